"""Checks whether a piece of code is sound; what is wrong is an AssertionError, ValueError or
SyntaxError.
"""

from __future__ import annotations

import configparser
import functools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path

import jinja2
import pytest
import yaml

from tests.support.changes import check_diff

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
RUN_S = 20

# Commands that a reader has, or that the text around has just told how to get.
SHELL_COMMANDS = frozenset(
    {
        ".",
        "apt-get",
        "cat",
        "cd",
        "curl",
        "echo",
        "export",
        "flask",
        "git",
        "gunicorn",
        "kill",
        "make",
        "mkdir",
        "nginx",
        "node",
        "openssl",
        "pip",
        "pyinstaller",
        "python",
        "python3",
        "redis-server",
        "sudo",
        "systemctl",
        "tina4-wsgi",
        "uwsgi",
    }
)
ASSIGNMENT = re.compile(r"^[A-Za-z_]\w*=")
OPTION = re.compile(r"--[a-z][a-z0-9-]*")


def run(command: Sequence[str], folder: Path) -> None:
    """Run a command, which must exit with 0."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    assert done.returncode == 0, f"exit code {done.returncode}:\n{done.stdout}{done.stderr}"


def environment() -> dict[str, str]:
    """Variables under which this interpreter's commands come first and the package can be
    imported.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"}


def check_python(text: str) -> None:
    """It compiles, without a warning."""
    compile(text, "block", "exec")


def check_shell(text: str) -> None:
    """Its syntax is right, each command is known, and each option of ours, make's and gunicorn's
    exists.
    """
    run(["bash", "-n", "-c", text], ROOT)
    for name, *words in simple_commands(text):
        base = Path(name).name or name  # "." has no name
        assert base in SHELL_COMMANDS, f"unknown command {name!r}, expected one of SHELL_COMMANDS"
        _check_arguments(base, words)


def check_console(text: str) -> None:
    """The lines that begin with `$ ` are a sound shell script; the others are output."""
    check_shell(
        "".join(line[2:] for line in text.splitlines(keepends=True) if line.startswith("$ "))
    )


def simple_commands(text: str) -> list[list[str]]:
    """Give the words of each simple command, without the variables set before it."""
    without_comments = re.sub(r"(^|\s)#[^\n]*", r"\1", text.replace("\\\n", " "))
    lexer = shlex.shlex(without_comments, posix=True, punctuation_chars="();<>|&\n")
    lexer.whitespace = " \t"
    commands: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set("();<>|&\n"):
            commands.append([])
        elif commands[-1] or not ASSIGNMENT.match(word):
            commands[-1].append(word)
    return [words for words in commands if words]


def _check_arguments(name: str, words: list[str]) -> None:
    options = {word.partition("=")[0] for word in words if word.startswith("--")}
    if name == "make":
        targets = {
            word for word in words if not ASSIGNMENT.match(word) and not word.startswith("-")
        }
        known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        assert targets <= known, f"the Makefile has no {targets - known}"
    elif name == "gunicorn":
        assert options <= options_of("gunicorn"), f"gunicorn lacks one of {options}"
    elif name == "tina4-wsgi" or words[:2] == ["-m", "tina4_wsgi"]:
        subcommand = (words if name == "tina4-wsgi" else words[2:])[:1]
        assert options <= options_of("tina4_wsgi", *subcommand), (
            f"tina4-wsgi lacks one of {options}"
        )


@functools.cache
def options_of(module: str, *subcommand: str) -> frozenset[str]:
    """Give the long options that a command's own help lists."""
    command = [sys.executable, "-m", module, *subcommand, "--help"]
    done = subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=RUN_S, check=False
    )
    assert done.returncode == 0, f"{' '.join(command[2:])}: {done.stderr}"
    return frozenset(OPTION.findall(done.stdout))


def check_javascript(text: str) -> None:
    """Node finds nothing wrong with its syntax; it is a module when it imports or exports."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    is_module = re.search(r"^\s*(import|export)\b", text, re.MULTILINE)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "block.mjs" if is_module else "block.cjs")
        path.write_text(text)
        run(["node", "--check", str(path)], path.parent)


class _Page(HTMLParser):
    """Remembers which tags are open, and the text of each script."""

    VOID = frozenset(
        {
            "area",
            "base",
            "br",
            "col",
            "embed",
            "hr",
            "img",
            "input",
            "link",
            "meta",
            "source",
            "track",
            "wbr",
        }
    )
    SCRIPT_TYPES = (None, "", "module", "text/javascript")

    def __init__(self) -> None:
        super().__init__()
        self.open_tags: list[str] = []
        self.scripts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open_tags.append(tag)
        if tag == "script":
            self.scripts.append("")
            if dict(attrs).get("type") not in self.SCRIPT_TYPES:
                self.open_tags[-1] = "script of data"

    def handle_endtag(self, tag: str) -> None:
        closed = self.open_tags.pop() if self.open_tags else ""
        if closed.partition(" ")[0] != tag:
            raise ValueError(f"</{tag}> in line {self.getpos()[0]} closes {closed or 'nothing'}")

    def handle_data(self, data: str) -> None:
        if self.open_tags[-1:] == ["script"]:
            self.scripts[-1] += data


def check_html(text: str) -> None:
    """Its tags are balanced and its scripts sound."""
    page = _Page()
    page.feed(text)
    page.close()
    assert not page.open_tags, f"never closed: {page.open_tags}"
    for script in filter(str.strip, page.scripts):
        check_javascript(script)


def check_jinja(text: str) -> None:
    """Jinja2 can read it."""
    try:
        jinja2.Environment(autoescape=True).parse(text)
    except jinja2.TemplateSyntaxError as exc:
        raise ValueError(f"{exc.message} in line {exc.lineno}") from exc


def check_nginx(text: str) -> None:
    """Braces and semicolons are right; nginx agrees, where it is installed and no certificate is
    needed.
    """
    text = re.sub(r"#.*", "", text)
    depth = 0
    for end in re.findall(r"[{};]", text):
        depth += {"{": 1, "}": -1, ";": 0}[end]
        assert depth >= 0, "a closing brace too many"
    assert depth == 0, "a brace is never closed"
    assert not re.search(r"[^{};\s]\s*(\}|\Z)", text), "a line lacks its semicolon"
    if shutil.which("nginx") is None or "ssl_certificate" in text:
        return
    if not re.search(r"^\s*(events|http|server|map|upstream)\b", text, re.MULTILINE):
        text = f"server {{ {text} }}"
    if not re.search(r"^\s*http\b", text, re.MULTILINE):
        text = f"events {{}} http {{ {text} }}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "nginx.conf")
        path.write_text(f"pid {folder}/pid;\n{text}")
        run(["nginx", "-t", "-q", "-c", str(path), "-p", folder], path.parent)


def check_yaml(text: str) -> None:
    """Each document can be read."""
    try:
        list(yaml.safe_load_all(text))
    except yaml.YAMLError as exc:
        raise ValueError(str(exc)) from exc


DOCKERFILE = {
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
}


def check_dockerfile(text: str) -> None:
    """Every instruction exists, the first is FROM, commands in brackets are JSON and others sound
    shell scripts.
    """
    lines = [
        line
        for line in text.replace("\\\n", " ").splitlines()
        if line.strip() and not line.startswith("#")
    ]
    instructions = [line.partition(" ")[::2] for line in lines]
    assert instructions[0][0] in ("FROM", "ARG"), f"begins with {instructions[0][0]}, expected FROM"
    for name, rest in instructions:
        assert name in DOCKERFILE, f"unknown instruction {name!r}"
        if name in ("CMD", "ENTRYPOINT") and rest.startswith("["):
            check_shell(shlex.join(json.loads(rest)))
        elif name in ("CMD", "ENTRYPOINT", "RUN"):
            check_shell(rest)


CHECKS: dict[str, Callable[[str], object]] = {
    "bash": check_shell,
    "console": check_console,
    "diff": check_diff,
    "dockerfile": check_dockerfile,
    "html": check_html,
    "ini": lambda text: configparser.RawConfigParser(strict=False).read_string(text),
    "javascript": check_javascript,
    "jinja": check_jinja,
    "js": check_javascript,
    "json": json.loads,
    "nginx": check_nginx,
    "python": check_python,
    "sh": check_shell,
    "text": lambda text: None,
    "toml": tomllib.loads,
    "yaml": check_yaml,
}
"""The check of each language that a page may use."""


def of_file(path: Path) -> str:
    """Give the language of a file by the end of its name."""
    return {".py": "python", ".ini": "ini", ".html": "html"}.get(path.suffix, "text")
