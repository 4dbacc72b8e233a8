"""`tina4-wsgi init DIR`: a project that runs and passes its test as it is made."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import languages
from tests.support.command import PATH, run


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("new")
    done = run(folder, "init", "chat")
    assert done.returncode == 0, done.stderr
    return folder / "chat"


def test_it_says_what_it_made_and_what_to_do_next(tmp_path):
    done = run(tmp_path, "init", "deep/chat")

    assert done.stdout.splitlines()[0] == "15 files made in deep/chat"
    assert "cd deep/chat\n  tina4-wsgi serve --reload" in done.stdout
    assert (tmp_path / "deep" / "chat" / ".gitignore").is_file()
    assert not list((tmp_path / "deep").rglob("*.tpl"))


@pytest.mark.parametrize(
    "runner",
    [["-m", "unittest"], ["-m", "pytest", "-p", "no:cacheprovider"], ["tests/test_chat.py"]],
)
def test_its_test_passes(project, runner):
    env = {**os.environ, "PYTHONPATH": f"{PATH['PYTHONPATH']}{os.pathsep}{project}"}

    done = subprocess.run(
        [sys.executable, "-W", "error", *runner],
        cwd=project,
        env=env,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "3" in done.stdout + done.stderr


def test_its_routes_can_be_listed(project):
    printed = run(project, "routes").stdout

    assert "/ws/room/{room}" in printed
    assert "src/routes/chat.py:" in printed


def test_its_readme_and_scripts_are_sound(project):
    for path in project.rglob("*"):
        check = languages.CHECKS.get({".py": "python", ".js": "js"}.get(path.suffix, ""))
        if check is not None:
            check(path.read_text())


@pytest.mark.parametrize("content", ["notes.txt", ".hidden"])
def test_a_folder_that_holds_something_is_left_alone(tmp_path, content):
    (tmp_path / content).write_text("mine")

    done = run(tmp_path, "init", ".")

    assert done.returncode == 1
    assert done.stderr == "tina4-wsgi: . is not empty, expected a folder that is new or empty\n"
    assert os.listdir(tmp_path) == [content]


def test_a_fresh_repository_is_as_good_as_empty(tmp_path):
    (tmp_path / ".git").mkdir()

    assert run(tmp_path, "init", ".").returncode == 0


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "chat").write_text("")

    done = run(tmp_path, "init", "chat")

    assert done.returncode == 1
    assert done.stderr == "tina4-wsgi: chat is a file, expected a folder that is new or empty\n"


def test_a_place_that_can_not_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")

    done = run(tmp_path, "init", "file/chat")

    assert done.returncode == 1
    assert done.stderr == "tina4-wsgi: file/chat can't be written: Not a directory\n"
