"""The program at the top of the README runs as printed, under each server that the README names."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support import servers
from tests.support.markdown import blocks_of
from tests.support.raw import RawClient

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = blocks_of(ROOT / "README.md")[0]


@pytest.fixture(params=["own", "gevent", "sync", "gthread"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[servers.Server]:
    (tmp_path / "wsgi.py").write_text(PROGRAM.text)
    kind = request.param
    start = servers.own if kind == "own" else partial(servers.gunicorn, worker_class=kind)
    with start("wsgi:app", tmp_path, tmp_path / "log", env={"PYTHONPATH": str(ROOT)}) as running:
        yield running


def test_it_has_at_most_twelve_lines_of_code():
    assert len([line for line in PROGRAM.text.splitlines() if line.strip()]) <= 12


def test_its_page_answers(server):
    with urllib.request.urlopen(f"{server.url}/hello/Ada", timeout=10) as answer:
        assert json.load(answer) == {"hello": "Ada"}


def test_its_chat_reaches_the_room_and_nobody_else(server):
    with (
        RawClient.open(server.address, "/ws/chat/red") as ada,
        RawClient.open(server.address, "/ws/chat/red") as bob,
        RawClient.open(server.address, "/ws/chat/blue") as eve,
    ):
        ada.send_text("hi")
        assert (ada.read_text(), bob.read_text()) == ("red: hi", "red: hi")
        eve.send_text("hello")
        assert eve.read_text() == "blue: hello"
