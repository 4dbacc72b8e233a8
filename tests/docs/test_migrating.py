"""The programs of docs/migrating.md that are ours do what those before them did."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support import servers
from tests.support.markdown import blocks_of
from tests.support.raw import RawClient

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "migrating.md"

CHATS = [
    ("from_gevent_websocket", "/ws/chat", ["hi"], ['{"text": "hi"}']),
    ("from_flask_sock", "/echo/ada", ["hi"], ["ada, Anonymous: hi"]),
    (
        "from_socketio",
        "/ws",
        [
            '{"event": "join", "data": {"room": "a"}}',
            '{"event": "chat", "data": {"room": "a", "text": "hi"}}',
        ],
        ['{"event": "system", "data": "somebody came"}', '{"event": "chat", "data": "hi"}'],
    ),
    ("from_tina4_node", "/ws/chat/red", ['{"text": "hi"}'], ['{"room": "red", "text": "hi"}']),
    ("from_tina4_python", "/ws/chat/red", ["hi"], ["Welcome to red", "hi"]),
]


@pytest.fixture
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[servers.Server]:
    name: Any
    kind: Any
    name, kind = request.param
    program = next(block for block in blocks_of(PAGE) if block.value == f"{name}.py")
    (tmp_path / program.value).write_text(program.text)
    start = servers.own if kind == "own" else partial(servers.gunicorn, worker_class=kind)
    with start(f"{name}:app", tmp_path, tmp_path / "log", env={"PYTHONPATH": str(ROOT)}) as running:
        yield running


@pytest.mark.parametrize(
    ("server", "path", "said", "heard"),
    [((name, kind), *rest) for kind in ("own", "gthread") for name, *rest in CHATS],
    ids=[f"{name}-{kind}" for kind in ("own", "gthread") for name, *_ in CHATS],
    indirect=["server"],
)
def test_the_program_after_the_move_works(server, path, said, heard):
    with RawClient.open(server.address, path) as client:
        for text in said:
            client.send_text(text)

        assert [client.read_text() for _ in heard] == heard


def test_every_program_of_ours_is_tried():
    files = [Path(block.value).stem for block in blocks_of(PAGE) if block.mark == "file"]

    assert files == [name for name, *_ in CHATS]
