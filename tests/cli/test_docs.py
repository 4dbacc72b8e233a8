"""What docs/cli.md shows of a new project is what the commands print."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.support import servers
from tests.support.command import run
from tests.support.markdown import blocks_of
from tina4_wsgi.cli.main import COMMANDS

PAGE = servers.ROOT / "docs" / "cli.md"
SHOWN = [block for block in blocks_of(PAGE) if block.language == "console"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("new")
    assert run(folder, "init", "chat").returncode == 0
    # An app that doesn't patch itself, as those are that have a server already.
    (folder / "chat" / "shop.py").write_text("from tina4_wsgi import App\n\napp = App()\n")
    return folder / "chat"


@pytest.mark.parametrize("block", SHOWN, ids=lambda block: block.text.partition("\n")[0])
def test_what_is_shown_is_printed(block, project):
    command, _, output = block.text.partition("\n")

    done = run(project, *shlex.split(command)[2:])

    assert without_place(done.stdout) == without_place(output)


def without_place(text: str) -> str:
    """Leave out the folder in which history is kept: it depends on the user and the project."""
    return re.sub(r"in /\S+/(?=history-0\.sqlite)", "in ", text)


def test_every_command_has_its_section():
    sections = [line for line in PAGE.read_text().splitlines() if line.startswith("## ")]

    assert {f"## {command.name}" for command in COMMANDS} <= set(sections)
