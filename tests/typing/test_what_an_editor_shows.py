"""What an editor shows where the pointer rests on a name, asked of pyright's language server, and
what `help` says.
"""

from __future__ import annotations

import inspect
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.typing.checkers import ROOT, language_server
from tina4_wsgi import Router

PROGRAM = '''\
from tina4_wsgi import Router

Router.websocket
Router().websocket
Router.group("/a").websocket
Router.group
Router.include
Router.match_websocket

@Router.websocket("/b")
def chat(connection, event, data):
    """Talk to everybody."""
'''
LAST_LINE_OF_NAMES = 8

pytestmark = pytest.mark.deadline(120)


class LanguageServer:
    """Talks to a language server by its standard input and output; ends it behind the block."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            language_server(), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._asked = 0
        folders = [{"uri": folder.as_uri(), "name": folder.name}]
        self.ask("initialize", {"processId": None, "workspaceFolders": folders, "capabilities": {}})
        self.tell("initialized", {})

    def __enter__(self) -> LanguageServer:
        return self

    def __exit__(self, *raised: object) -> None:
        self._process.kill()
        self._process.communicate()

    def tell(self, method: str, params: object) -> None:
        self._send({"method": method, "params": params})

    def ask(self, method: str, params: object) -> Any:
        """Ask, and pass over all that the server says of its own until it answers."""
        self._asked += 1
        self._send({"id": self._asked, "method": method, "params": params})
        while "result" not in (answer := self._read()):
            if "id" in answer:  # it asks for settings of the editor, which has none
                self._send(
                    {"id": answer["id"], "result": [{} for _ in answer["params"].get("items", ())]}
                )
        return answer["result"]

    def _send(self, message: dict[str, object]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        self._process.stdin.flush()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        length = 0
        while (line := self._process.stdout.readline().strip()) or not length:
            assert line or length, "the language server has ended"
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        found: dict[str, Any] = json.loads(self._process.stdout.read(length))
        return found


@pytest.fixture(scope="module")
def hovers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What is shown for the last name of each line."""
    folder = tmp_path_factory.mktemp("editor")
    (folder / "pyrightconfig.json").write_text(
        json.dumps({"extraPaths": [str(ROOT)], "pythonVersion": "3.10"})
    )
    program = folder / "program.py"
    program.write_text(PROGRAM)
    at = {"uri": program.as_uri()}
    opened = {**at, "languageId": "python", "version": 1, "text": PROGRAM}
    with LanguageServer(folder) as server:
        server.tell("textDocument/didOpen", {"textDocument": opened})
        shown = {}
        for number, line in enumerate(PROGRAM.splitlines()):
            if line and number < LAST_LINE_OF_NAMES:
                place = {"line": number, "character": len(line) - 1}
                found = server.ask("textDocument/hover", {"textDocument": at, "position": place})
                shown[line] = found["contents"]["value"]
        yield shown


@pytest.mark.parametrize(
    "name", ["Router.websocket", "Router().websocket", 'Router.group("/a").websocket']
)
def test_hovering_over_websocket_shows_its_docstring_and_its_settings(hovers, name):
    assert "Serve a path as a WebSocket by `callback(connection, event, data)`" in hovers[name]
    assert "called with the request before the 101" in hovers[name]
    assert "RouteSettings" in hovers[name]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Router.group", "registers routes under a common prefix"),
        ("Router.include", "Take in all routes that another router has now"),
        ("Router.match_websocket", "Find the WebSocket route of a path"),
    ],
)
def test_hovering_over_other_methods_of_a_router_shows_their_docstrings(hovers, name, says):
    assert says in hovers[name]


@pytest.mark.parametrize(
    "method", [Router.websocket, Router().websocket, Router.group("/a").websocket]
)
def test_help_shows_the_docstring_and_the_parameters(method):
    assert inspect.getdoc(method).startswith(
        "Serve a path as a WebSocket by `callback(connection, event, data)`."
    )
    assert list(inspect.signature(method).parameters) == [
        "path",
        "callback",
        "auth",
        "subprotocols",
        "options",
    ]
