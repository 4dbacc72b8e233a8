"""`make serve` and `make test` do their own set-up, and say in one line what they can't do."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import servers

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What the set-up needs of the repository, in a folder of its own."""
    for name in ("pyproject.toml", "setup.py", "Makefile"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    return tmp_path


@pytest.fixture
def ordinary_user(tmp_path: Path) -> dict[str, str]:
    """Variables under which `id -u` answers as for someone who is not root."""
    commands = tmp_path / "commands"
    commands.mkdir()
    script(commands / "id", "echo 1000")
    return {"PATH": f"{commands}:/usr/bin:/bin"}


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def run(command: list[str], tree: Path, **env: str) -> subprocess.CompletedProcess[str]:
    # Not a part of the make that runs these tests, which would have this one say which folders it
    # enters.
    own = {
        name: value
        for name, value in os.environ.items()
        if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    }
    return subprocess.run(
        command,
        cwd=tree,
        env={**own, **env},
        capture_output=True,
        text=True,
        timeout=25,
        check=False,
    )


@pytest.mark.deadline(120)
def test_make_serve_serves_the_pages_and_stops(tmp_path):
    log = tmp_path / "log"
    with log.open("wb") as output:
        make = subprocess.Popen(
            ["make", "serve", "PORT=0", f"PYTHON={sys.executable}"],
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = servers.Server(make, ("127.0.0.1", 0), log)
    try:
        port = int(server.wait_for_log(servers.ADDRESS.pattern, timeout_s=100)[1])
        asker = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        asker.request("GET", "/")
        status = asker.getresponse().status
        asker.close()
        server.stop(signal.SIGTERM)
    finally:
        server.kill()

    assert status == 200, log.read_text()


def test_make_help_names_every_target():
    shown = run(["make", "help"], ROOT).stdout

    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {line.split()[1] for line in shown.splitlines()} == targets


def test_a_python_that_is_not_there_is_named(tree):
    done = run(["scripts/setup"], tree, PYTHON="python3.99")

    assert done.returncode == 1
    assert done.stderr.startswith("no python3.99 here")
    assert done.stderr.count("\n") == 1


def test_a_python_that_is_too_old_is_named(tree):
    old = script(tree / "old", 'case "$1" in -V) echo "Python 3.9.2";; *) exit 1;; esac')

    done = run(["scripts/setup"], tree, PYTHON=str(old))

    assert done.returncode == 1
    assert "is Python 3.9.2, but 3.10 or later is needed" in done.stderr
    assert done.stderr.count("\n") == 1


def test_pythons_that_are_there_are_left_alone(tree):
    for release in ("sid", "trixie", "bookworm"):
        folder = tree / ".cache" / "interpreters" / release
        folder.mkdir(parents=True)
        (folder / "complete").touch()

    done = run(["scripts/get-pythons"], tree, DEBIAN_MIRROR="http://127.0.0.1:9")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_pythons_that_cannot_be_had_are_an_error_that_says_why(tree):
    done = run(["scripts/get-pythons"], tree, DEBIAN_MIRROR="http://127.0.0.1:9")

    assert done.returncode == 1
    assert "127.0.0.1" in done.stderr
    assert "could not get Python from Debian sid" in done.stderr.splitlines()[-1]
    assert not (tree / ".cache" / "interpreters" / "sid" / "complete").exists()


def test_who_is_not_root_is_told_which_package_python_lacks(tree, ordinary_user):
    bare = script(
        tree / "bare", f'case "$2" in *ensurepip*) exit 1;; *) exec {sys.executable} "$@";; esac'
    )

    done = run(["scripts/setup"], tree, PYTHON=str(bare), **ordinary_user)

    package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    assert done.returncode == 1
    assert done.stderr == f"{package} is missing: apt-get install {package}\n"
    assert not (tree / ".venv").exists()


def test_who_is_not_root_is_told_in_one_line_what_the_tests_lack(tree, ordinary_user):
    (tree / "scripts" / "system-deps").write_text(
        "no-such-browser chromium # why\n\nno-such-node nodejs\n"
    )

    done = run(["scripts/install-system-deps"], tree, **ordinary_user)

    assert done.returncode == 0
    assert done.stderr == "missing, so their tests are skipped: apt-get install chromium nodejs\n"


def test_nothing_is_said_when_nothing_lacks(tree, ordinary_user):
    (tree / "scripts" / "system-deps").write_text("sh dash\n")

    done = run(["scripts/install-system-deps"], tree, **ordinary_user)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
