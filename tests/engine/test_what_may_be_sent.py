"""Lists and dicts go as JSON everywhere; paths that no client can be on are refused where they are
given.
"""

from __future__ import annotations

import dataclasses
import uuid

import pytest

import tina4_wsgi
from tina4_wsgi import App, Publisher, Router, UsageError, publish
from tina4_wsgi.testing import TestClient
from tina4_wsgi.websocket.bridge import Bridge

PATH = "/ws/hall/a"


@dataclasses.dataclass
class Point:
    x: int


class PointBridge(Bridge):
    def json_default(self, value):
        return (
            dataclasses.asdict(value) if isinstance(value, Point) else super().json_default(value)
        )


@pytest.fixture
def client():
    router = Router()

    @router.websocket("/ws/hall/{name}")
    def hall(connection, event, data):
        if event == "open":
            connection.join("room")
        if event == "message":
            CALLS[data](connection)

    with TestClient(App(router=router, bridge=PointBridge())) as client:
        yield client


CALLS = {
    "send": lambda connection: connection.send({"n": [1]}),
    "broadcast": lambda connection: connection.broadcast({"n": [1]}),
    "broadcast_to": lambda connection: connection.broadcast_to(PATH, {"n": [1]}),
    "broadcast_to_room": lambda connection: connection.broadcast_to_room("room", {"n": [1]}),
    "module": lambda connection: tina4_wsgi.broadcast(PATH, {"n": [1]}),
    "publish": lambda connection: publish(PATH, {"n": [1]}),
    "own type": lambda connection: connection.broadcast([Point(1), {"id": uuid.UUID(int=1)}]),
}


@pytest.mark.parametrize("call", [name for name in CALLS if name != "own type"])
def test_a_dict_goes_as_json(client, call):
    with client.websocket(PATH) as ws:
        ws.send(call)

        assert ws.receive() == '{"n":[1]}'


def test_a_list_goes_as_json(client):
    with client.websocket(PATH) as ws:
        tina4_wsgi.broadcast(PATH, [1, "é", None])

        assert ws.receive() == '[1,"é",null]'


def test_types_of_the_app_go_by_the_framework_s_encoder(client):
    with client.websocket(PATH) as ws:
        ws.send("own type")

        assert ws.receive() == '[{"x":1},{"id":"00000000-0000-0000-0000-000000000001"}]'


@pytest.mark.parametrize("message", [None, 5, {1, 2}, (1, 2), object()])
def test_what_is_neither_text_bytes_list_nor_dict_is_refused_with_what_is_expected(client, message):
    with (
        client.websocket(PATH),
        pytest.raises(UsageError, match="expected str, bytes, or a list or dict to be sent"),
    ):
        tina4_wsgi.broadcast(PATH, message)


@pytest.mark.parametrize("message", [{"when": object()}, [{1, 2}]])
def test_what_has_no_form_in_json_is_a_type_error_and_reaches_nobody(client, message):
    with client.websocket(PATH) as ws:
        with pytest.raises(TypeError, match="has no form in JSON"):
            tina4_wsgi.broadcast(PATH, message)

        ws.receive_nothing()


WRONG = {
    "ws/hall/a": "does not begin with a slash, write '/ws/hall/a'",
    "": "does not begin with a slash, write '/'",
    "/ws/hall/{name}": "is the pattern of a route, expected a path of its clients",
    "/ws/hall/a}": "is the pattern of a route",
}
TAKING = {
    "App.broadcast": lambda app, path: app.broadcast(path, "x"),
    "broadcast": lambda app, path: tina4_wsgi.broadcast(path, "x"),
    "count": lambda app, path: tina4_wsgi.count(path),
    "members": lambda app, path: tina4_wsgi.members(path),
    "disconnect": lambda app, path: tina4_wsgi.disconnect(path=path),
    "publish": lambda app, path: publish(path, "x"),
    "Publisher.publish": lambda app, path: Publisher().publish(path, "x"),
}


@pytest.mark.parametrize("taking", TAKING)
@pytest.mark.parametrize("path", WRONG)
def test_a_path_that_no_client_can_be_on_is_refused_with_the_right_spelling(client, path, taking):
    with pytest.raises(UsageError) as caught:
        TAKING[taking](client.application, path)

    assert WRONG[path] in str(caught.value)


def test_a_callback_that_broadcasts_to_such_a_path_is_told(client):
    @client.application.router.websocket("/ws/wrong")
    def wrong(connection, event, data):
        if event == "open":
            connection.broadcast_to("ws/hall/a", "x")

    with pytest.raises(UsageError, match="does not begin with a slash"):
        client.websocket("/ws/wrong")


# Broadcasts to paths that no route has


def lost(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "tina4_wsgi.lost"]


@pytest.fixture
def worked_on():
    """An app with paths that no app of another test has: any that lives counts."""
    router = Router()
    router.websocket("/desk/of/orders", lambda connection, event, data: None)
    router.websocket("/ws/hall/{name}", lambda connection, event, data: None)
    with TestClient(App(router=router, debug=True)) as client:
        yield client


def test_in_debug_a_broadcast_that_no_route_can_ever_hear_is_pointed_out_once(worked_on, caplog):
    for _ in range(3):
        worked_on.application.broadcast("/desk/of/orderz", "x")
        worked_on.wait_until(lambda: lost(caplog))

    told = "a broadcast to '/desk/of/orderz' reaches nobody, since no WebSocket route has this path"
    assert set(lost(caplog)) == {f"{told}; did you mean '/desk/of/orders'?"}
    assert len([one for one in lost(caplog) if "orderz" in one]) == 1


def test_what_is_published_from_outside_to_such_a_path_is_pointed_out_too(worked_on, caplog):
    with worked_on.websocket("/desk/of/orders"):
        publish("/nothing/like/it", "x")
        worked_on.wait_until(lambda: lost(caplog))

    told = (
        "a broadcast to '/nothing/like/it' reaches nobody, since no WebSocket route has this path"
    )
    assert set(lost(caplog)) == {told}  # apps of other tests may be alive, and are told, too


@pytest.mark.parametrize("path", ["/desk/of/orders", "/desk/of/orders/", "/ws/hall/nobody-is-here"])
def test_a_broadcast_to_a_path_that_a_route_has_is_not(worked_on, caplog, path):
    worked_on.application.broadcast(path, "x")
    worked_on.settle()

    assert lost(caplog) == []


def test_in_production_nothing_is_looked_up(client, caplog):
    client.application.broadcast("/desk/of/orderz", "x")
    client.settle()

    assert lost(caplog) == []
