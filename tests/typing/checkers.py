"""Runs mypy and pyright over the programs, each once over all of them, and reads what they say."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(__file__).resolve().parent / "programs"
CHECK_S = 110.0  # without a cache, on a loaded machine

_EXPECTED = re.compile(r"\s*# (?P<checker>mypy|pyright) says (?P<code>[\w-]+): (?P<words>.+)")


class Said(NamedTuple):
    """One error that a checker reports, or that a program expects of it.

    Attributes:
        line: in the program, from 1.
        code: the checker's name of the rule.
        words: the message; of an expected one, words out of it.
    """

    line: int
    code: str
    words: str


def expected(program: Path, checker: str) -> list[Said]:
    """Read the comments of a program: they stand above the line that they are about."""
    found, codes_and_words = [], []
    for number, line in enumerate(program.read_text().splitlines(), 1):
        comment = _EXPECTED.fullmatch(line)
        if comment is not None:
            if comment["checker"] == checker:
                codes_and_words.append((comment["code"], comment["words"]))
        else:
            found += [Said(number, *one) for one in codes_and_words]
            codes_and_words = []
    return found


def mypy() -> dict[Path, list[Said]]:
    """Run `mypy --strict`, with the settings and the cache of `make types`, which has checked the
    package itself.
    """
    done = _run(sys.executable, "-m", "mypy", "--output=json", "--no-error-summary", *_programs())
    said: dict[Path, list[Said]] = {}
    for error in map(json.loads, done.stdout.splitlines()):
        if error["severity"] == "error":
            said.setdefault(ROOT / error["file"], []).append(
                Said(error["line"], error["code"], error["message"])
            )
    return said


def pyright() -> dict[Path, list[Said]]:
    """Run pyright as it is without settings. Its package holds the program, so that nothing is
    downloaded.
    """
    done = _run(
        _node(),
        str(_pyright_folder() / "index.js"),
        "--outputjson",
        "--pythonversion=3.10",
        f"--pythonpath={sys.executable}",
        *_programs(),
    )
    said: dict[Path, list[Said]] = {}
    for error in json.loads(done.stdout)["generalDiagnostics"]:
        if error["severity"] == "error":
            at = Said(error["range"]["start"]["line"] + 1, error.get("rule", ""), error["message"])
            said.setdefault(Path(error["file"]), []).append(at)
    return said


def language_server() -> list[str]:
    """Give the command that runs pyright's language server."""
    return [_node(), str(_pyright_folder() / "langserver.index.js"), "--stdio"]


def _programs() -> Iterator[str]:
    return (str(path.relative_to(ROOT)) for path in sorted(PROGRAMS.glob("*.py")))


def _pyright_folder() -> Path:
    spec = importlib.util.find_spec("pyright")
    assert spec is not None, "pyright is not installed, expected the `dev` extra"
    assert spec.origin is not None
    return Path(spec.origin).parent / "dist"


def _node() -> str:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    return node


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=CHECK_S, check=False
    )
    assert done.returncode in (0, 1), f"exit code {done.returncode}:\n{done.stdout}{done.stderr}"
    return done
