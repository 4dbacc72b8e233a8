"""Whatever a machine lacks, the package installs: with the engine compiled, or without it and with
a word about it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TRANSLATION = ("build", "cython")
BUILD_S = 300
PACK_S = 150

pytestmark = pytest.mark.deadline(BUILD_S + 30)

# What an install needs of the engine, from bytes to a connection's class.
USE = """
import tina4_wsgi, tina4_wsgi.websocket.connection
from tina4_wsgi.protocol.masking import apply_mask
print(tina4_wsgi.__file__, apply_mask(b"\\x7f\\x9f\\x4d\\x51\\x58", b"\\x37\\xfa\\x21\\x3d").decode())
"""

# Stand in for the compiler, and hand on to the real one what they don't spoil.
COMPILERS = {
    "fails-at-the-fifth-file": """
        echo . >>"$0.calls"
        [ "$(wc -l <"$0.calls")" -lt 5 ] || { echo "disk full" >&2; exit 1; }
        exec cc -O0 "$@"
    """,
    "is-killed": "kill -9 $$",
    "can't-link": """
        case " $* " in *" -shared "*) echo "ld: no" >&2; exit 1;; esac
        exec cc -O0 "$@"
    """,
    "has-no-python-headers": """
        for one; do
            shift
            case "$one" in -I*python*) ;; *) set -- "$@" "$one";; esac
        done
        exec cc -O0 "$@"
    """,
}


class Build(NamedTuple):
    """What pip said, and the wheel that it made, if any."""

    exit_code: int
    output: str
    wheel: Path | None

    @property
    def modules(self) -> set[str]:
        """The compiled modules in the wheel."""
        assert self.wheel is not None, self.output
        with zipfile.ZipFile(self.wheel) as archive:
            return {name.partition(".")[0] for name in archive.namelist() if name.endswith(".so")}


@pytest.fixture(scope="module")
def translated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree in which Cython has been at work already, which takes most of the time."""
    tree = tmp_path_factory.mktemp("translated") / "tree"
    left_out = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "*.so")
    shutil.copytree(ROOT, tree, ignore=left_out)
    build(tree, tree.parent, CC="no-such-cc")
    assert list(tree.joinpath(*TRANSLATION).rglob("*.c"))
    return tree


@pytest.fixture
def tree(translated: Path, tmp_path: Path) -> Path:
    """A copy of that, for one build."""
    copy = tmp_path / "tree"
    shutil.copytree(translated, copy)  # times go along, or all would be translated again
    return copy


def build(source: Path, folder: Path, **env: str) -> Build:
    """Have pip make a wheel, with what is installed here."""
    wheels = folder / "wheels"
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-v",
        "--no-deps",
        "--no-build-isolation",
        "--no-cache-dir",
    ]
    done = subprocess.run(
        [*command, "--wheel-dir", str(wheels), str(source)],
        env={**os.environ, "CFLAGS": "-O0", **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BUILD_S,
        check=False,
    )
    return Build(done.returncode, done.stdout, next(wheels.glob("*.whl"), None))


def assert_it_is_pure_and_works(built: Build, folder: Path) -> None:
    assert built.wheel is not None, built.output
    assert built.wheel.name.endswith("-py3-none-any.whl")
    assert built.modules == set()
    assert used(built.wheel, folder) == "Hello"


def used(wheel: Path, folder: Path) -> str:
    """Import the package from an unpacked wheel, and give what it made of a masked word."""
    inside = folder / "inside"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(inside)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", USE],
        cwd=inside,
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    where, word = done.stdout.split()
    assert Path(where).is_relative_to(inside)
    return word


def a_compiler(folder: Path, script: str) -> str:
    path = folder / "cc-of-this-machine"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def assert_it_says_why(output: str) -> None:
    assert "the engine is not compiled: " in output
    assert "apt-get install build-essential python3-dev" in output


@pytest.fixture(scope="module")
def of_sdist(translated: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """What pip makes of the source distribution on a machine that has all that it takes."""
    folder = tmp_path_factory.mktemp("sdist")
    sdist = [sys.executable, "setup.py", "--quiet", "sdist", "--dist-dir", str(folder)]
    subprocess.run(sdist, cwd=translated, check=True, timeout=BUILD_S, capture_output=True)
    return build(next(folder.glob("*.tar.gz")), folder)


def test_an_sdist_becomes_a_wheel_with_every_module_compiled(of_sdist, tmp_path):
    declared = {
        str(path.relative_to(ROOT).with_suffix("")) for path in (ROOT / "tina4_wsgi").rglob("*.pxd")
    }

    assert of_sdist.modules == declared
    assert used(of_sdist.wheel, tmp_path) == "Hello"
    assert "not compiled" not in of_sdist.output


def test_an_application_that_pyinstaller_packs_has_all_of_it(of_sdist, tmp_path):
    site = tmp_path / "site"
    with zipfile.ZipFile(of_sdist.wheel) as archive:
        archive.extractall(site)
    shutil.copy(HERE / "packed_app.py", tmp_path)
    packing = subprocess.run(
        [sys.executable, "-m", "PyInstaller", "--log-level", "ERROR", "packed_app.py"],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(site),
            "PYINSTALLER_CONFIG_DIR": str(tmp_path / "config"),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=PACK_S,
    )
    if "Python shared library" in packing.stderr:
        pytest.skip("PyInstaller packs Python's shared library, and this interpreter has none")
    assert packing.returncode == 0, packing.stderr
    shutil.rmtree(site)

    done = subprocess.run(
        [tmp_path / "dist" / "packed_app" / "packed_app"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert "Traceback" not in done.stderr
    assert done.stdout.splitlines() == [
        "GET /hello 200",
        "GET /__tina4/tina4-ws.js 200",
        "GET /__tina4/tina4-ws.mjs 200",
        "GET /__tina4/live 200",
        "GET /__tina4/live/table.js 200",
        "GET /metrics 200",
        "GET /nothing 404",
        "echo: hi",
        "files of a new project: True",
    ]


def test_without_a_compiler_the_wheel_is_pure(tree, tmp_path):
    built = build(tree, tmp_path, CC="no-such-cc")

    assert_it_is_pure_and_works(built, tmp_path)
    assert_it_says_why(built.output)


@pytest.mark.parametrize("fault", COMPILERS)
def test_where_the_compiler_fails_nothing_is_left_half_compiled(tree, tmp_path, fault):
    built = build(tree, tmp_path, CC=a_compiler(tmp_path, COMPILERS[fault]), CFLAGS="")

    assert_it_is_pure_and_works(built, tmp_path)
    assert_it_says_why(built.output)


def test_modules_of_an_earlier_build_are_not_taken_along(tree, tmp_path):
    first = build(tree, tmp_path / "first")
    (tree / "tina4_wsgi" / "websocket" / "transport.py").touch()

    built = build(tree, tmp_path, CC="no-such-cc")

    assert "tina4_wsgi/websocket/transport" in first.modules
    assert_it_is_pure_and_works(built, tmp_path)


def test_without_cython_the_wheel_is_pure(tree, tmp_path):
    (tmp_path / "Cython.py").write_text("raise ModuleNotFoundError(\"No module named 'Cython'\")\n")

    built = build(tree, tmp_path, PYTHONPATH=str(tmp_path))

    assert_it_is_pure_and_works(built, tmp_path)
    assert "the engine is not compiled: No module named 'Cython'" in built.output


def test_where_cython_fails_the_wheel_is_pure(tree, tmp_path):
    (tree / "tina4_wsgi" / "hub" / "flush_queue.pxd").write_text(
        "cdef class Turn:\n    cdef no_such_type field\n"
    )

    built = build(tree, tmp_path)

    assert_it_is_pure_and_works(built, tmp_path)
    assert "the engine is not compiled: Cython: " in built.output


def test_one_may_ask_for_pure_python(tree, tmp_path):
    built = build(tree, tmp_path, TINA4_WSGI_PURE="1")

    assert_it_is_pure_and_works(built, tmp_path)
    assert "not compiled" not in built.output


def test_one_may_ask_for_the_compiled_engine_or_an_error(tree, tmp_path):
    built = build(tree, tmp_path, TINA4_WSGI_PURE="0", CC="no-such-cc")

    assert built.exit_code != 0
    assert built.wheel is None
    assert "no-such-cc" in built.output
