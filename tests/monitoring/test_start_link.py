"""Nobody but the page's own script joins its group, and what it is asked about is named as groups
are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from werkzeug.exceptions import Forbidden
from werkzeug.wrappers import Response

from tests.monitoring.conftest import SOCKET
from tina4_wsgi import ANONYMOUS, App, Router
from tina4_wsgi.testing import HandshakeRefused, TestClient

ORIGIN = {"Origin": "http://localhost"}


@pytest.fixture
def client() -> Iterator[TestClient]:
    router = Router()
    router.websocket("/{rest:path}", lambda connection, event, data: connection.broadcast("caught"))
    with TestClient(App(router=router, live=lambda request: ANONYMOUS)) as opened:
        yield opened


@pytest.mark.parametrize(
    "path", [SOCKET, f"{SOCKET}/", f"{SOCKET}//", f"{SOCKET}%2F", "/__tina4%2Flive/socket"]
)
def test_every_spelling_of_the_sockets_address_is_the_pages_own(client, path):
    with client.websocket(path, headers=ORIGIN) as ws:
        assert ws.receive_json()["type"] == "history"


@pytest.mark.parametrize("path", [SOCKET, f"{SOCKET}/", f"{SOCKET}//"])
def test_and_asks_for_the_pages_own_origin(client, path):
    with pytest.raises(HandshakeRefused, match="403"):
        client.websocket(path, headers={"Origin": ""}).__enter__()


@pytest.mark.parametrize(
    "path",
    [
        "/__tina4",
        "/__tina4/",
        "/__tina4/live",
        "/__tina4/live/",
        "/__tina4/live/socket/x",
        "/__tina4/other",
        "/__tina4/live/./socket",
        "/__tina4//live/socket",
    ],
)
def test_a_route_that_takes_every_path_takes_none_below_our_own(client, path):
    with pytest.raises(HandshakeRefused, match="404"):
        client.websocket(path).__enter__()


@pytest.mark.parametrize("route", ["/__tina4/mine", "/__tina4/{name}", "/__tina4/{rest:path}"])
def test_a_route_that_names_our_prefix_has_what_we_have_not(route):
    router = Router()
    router.websocket(route, lambda connection, event, data: connection.send("mine"))
    with TestClient(App(router=router, live=lambda request: True)) as client:
        with client.websocket("/__tina4/mine") as ws:
            assert ws.receive() == "mine"
        with client.websocket(f"{SOCKET}/", headers=ORIGIN) as ws:
            assert ws.receive_json()["type"] == "history"


@pytest.mark.parametrize("path", ["/__tina4x", "/x/__tina4/live/socket", "/__TINA4/live"])
def test_a_path_that_only_looks_like_it_is_the_apps(client, path):
    with client.websocket(path) as ws:
        assert ws.receive() == "caught"


@pytest.mark.parametrize("path", ["/room/a", "/room/a/", "/room/a//"])
def test_connections_are_found_and_kicked_by_any_spelling_of_their_path(path):
    router = Router()
    router.websocket("/room/{name}", lambda connection, event, data: None)
    with (
        TestClient(App(router=router, live=lambda request: True)) as client,
        contextlib.ExitStack() as stack,
    ):
        guest = stack.enter_context(client.websocket("/room/a/"))
        watcher = stack.enter_context(client.websocket(SOCKET, headers=ORIGIN))

        watcher.send_json({"do": "watch", "path": path})
        assert told(watcher, "found")["count"] == 1
        watcher.send_json({"do": "kick", "path": path})
        assert told(watcher, "kicked")["count"] == 1
        guest.wait_closed()

        assert guest.closed_with[0] == 1008


@pytest.mark.parametrize("path", [SOCKET, f"{SOCKET}/", f"{SOCKET}//"])
def test_the_watchers_themselves_are_not_kicked_by_any_spelling(client, path):
    with client.websocket(SOCKET, headers=ORIGIN) as watcher:
        watcher.send_json({"do": "kick", "path": path})

        assert told(watcher, "refused")["message"] == "these are the watchers themselves"


def told(watcher: Any, kind: str) -> Any:
    """The next message of a kind."""
    while (message := watcher.receive_json())["type"] != kind:
        pass
    return message


@pytest.mark.parametrize("gives", [False, 0, "", None, [], {}, ()])
def test_only_what_is_true_may_look(gives):
    with TestClient(App(router=Router(), live=lambda request: gives)) as client:
        assert client.get("/__tina4/live").status_code == 401
        with pytest.raises(HandshakeRefused, match="401"):
            client.websocket(SOCKET, headers=ORIGIN).__enter__()


@pytest.mark.parametrize("gives", [Forbidden, (None, 403), Response("no", 403), LookupError()])
def test_a_mistake_of_whoever_says_who_may_look_shows_nothing(gives):
    client = TestClient(App(router=Router(), live=lambda request: gives), raise_errors=False)
    assert client.get("/__tina4/live").status_code == 500
    with pytest.raises(HandshakeRefused, match="500"):
        client.websocket(SOCKET, headers=ORIGIN).__enter__()
    client.close()


def test_whoever_looks_in_debug_is_nobody_that_a_disconnect_means():
    app = App(router=Router(), debug=True)
    with TestClient(app) as client:
        client.get(app.start_link.path)
        with client.websocket(SOCKET, headers=ORIGIN) as watcher:
            assert watcher.receive_json()["type"] == "history"
            assert app.disconnect(auth=True) == 0
