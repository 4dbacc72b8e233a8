"""An application that is checked by `mypy --strict` finds the types of the public names right, and its own mistakes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MYPY_S = 110.0  # without a cache, on a loaded machine

RIGHT = '''
from __future__ import annotations

import json
from pathlib import Path

from tina4_wsgi import (
    App, BackplaneError, Connection, ConnectionClosed, Request, Response, Router, broadcast, count, members, publish,
)
from tina4_wsgi.testing import TestClient

USERS = {"secret": "ada"}


def logged_in(request: Request) -> str | None:
    return USERS.get(request.query.get("token", ""))


@Router.websocket("/ws/room/{name}/{table:int}", auth=logged_in, max_message_bytes=4_096, on_error="close")
def room(connection: Connection, event: str, data: str | bytes) -> None:
    name: str = connection.params.name
    table: int = connection.params["table"]
    if event == "open":
        connection.state["name"] = connection.query.get("name", "Anonymous")
        connection.join("everybody")
        connection.send_json({"room": name, "table": table, "user": connection.auth, "id": connection.id})
    elif event == "message":
        message = connection.json(data)
        try:
            connection.broadcast(json.dumps({"text": message["text"]}), exclude_self=True)
        except ConnectionClosed as error:
            print(error.code, error.reason)
    else:
        connection.broadcast_to_room("everybody", f"{connection.path} {connection.close_code}")


Router.websocket("/ws/echo", lambda connection, event, data: connection.send(data))


@Router.get("/room/{name}")
def page(request: Request, response: Response) -> Response:
    return response.html("room.html", {"room": request.params.name})


@Router.post("/announce")
def announce(request: Request, response: Response) -> dict[str, object]:
    broadcast("/ws/room/a/1", request.form.get("text", ""))
    return {"count": count("/ws/room/a/1"), "who": [member.id for member in members("/ws/room/a/1")]}


app = App(root=Path("."), drain_timeout_s=3, allowed_origins=["https://example.org"], health="/health")
try:
    print(publish("/ws/news", "x").processes)
except BackplaneError as error:
    print(error)
with TestClient(app) as client, client.websocket("/ws/room/a/1", query={"token": "secret"}) as ws:
    ws.send("hi")
    assert ws.receive_json()["room"] == ws.connection.params.name
'''

WRONG = '''
from tina4_wsgi import Connection


def chat(connection: Connection, event: str, data: str) -> None:
    connection.speak(data)
    connection.send(7)
'''

FOUND = (
    'wrong.py:6: error: "Connection" has no attribute "speak"  [attr-defined]\n'
    'wrong.py:7: error: Argument 1 to "send" of "Connection" has incompatible type "int"; '
    'expected "str | bytes | dict[str, Any] | list[Any]"  [arg-type]\n'
)


@pytest.mark.deadline(120)
def test_mypy_finds_the_mistakes_in_an_application_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "right.py").write_text(RIGHT)
    (tmp_path / "wrong.py").write_text(WRONG)
    options = ["--strict", "--config-file=", f"--cache-dir={ROOT / '.cache' / 'mypy-users'}", "--no-error-summary"]

    done = subprocess.run(
        # silent: the package lies beside the application here, and is checked by `make types`
        [sys.executable, "-m", "mypy", *options, "--follow-imports=silent", "right.py", "wrong.py"],
        cwd=tmp_path, env={**os.environ, "MYPYPATH": str(ROOT)}, capture_output=True, text=True, timeout=MYPY_S,
        check=False,
    )  # fmt: skip

    assert done.stdout == FOUND
    assert done.stderr == ""
