"""Routes and rooms that are registered after their first broadcast keep history all the same."""

from __future__ import annotations

import threading
from typing import Any, ClassVar

import falcon
import pytest
from flask import Blueprint, Flask

from tina4_wsgi import App, Router
from tina4_wsgi.contrib import falcon as falcon_bridge
from tina4_wsgi.contrib.flask import websocket, wrap
from tina4_wsgi.routing.names import GroupKind
from tina4_wsgi.testing import TestClient

CHAT = "/late/chat"


def quiet(connection: Any, event: str, data: Any) -> None:
    if event == "open":
        connection.join("team:a")


def app_of(router: Router) -> App:
    """Make an app that keeps something, and has been told of a path that no route has yet."""
    router.websocket("/late/old", quiet, history=10)
    return App(router=router)


def kept(app: App, path: str = CHAT) -> list[str | bytes]:
    return [one.message for one in app.history(path)]


def in_thread(function: Any) -> None:
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def test_a_route_that_comes_after_the_first_broadcast_keeps_what_follows() -> None:
    router = Router()
    app = app_of(router)
    with TestClient(app):
        app.broadcast(CHAT, "to nobody")

        router.websocket(CHAT, quiet, history=10)
        app.broadcast(CHAT, "kept")

        assert kept(app) == ["kept"]


def test_the_same_where_nothing_kept_history_before() -> None:
    router = Router()
    app = App(router=router)
    with TestClient(app):
        app.broadcast(CHAT, "to nobody")

        router.websocket(CHAT, quiet, history=10)
        app.broadcast(CHAT, "kept")

        assert kept(app) == ["kept"]


def test_the_same_where_the_route_takes_the_path_from_a_pattern() -> None:
    router = Router()
    router.websocket("/late/{name}", quiet)
    app = App(router=router)
    with TestClient(app) as client, client.websocket(CHAT) as ws:
        app.broadcast(CHAT, "unkept")

        router.websocket(CHAT, quiet, history=10)
        app.broadcast(CHAT, "kept")

        assert ws.receive_all() == ["unkept", "kept"]
        assert kept(app) == ["kept"]


def test_the_same_from_another_thread() -> None:
    router = Router()
    app = app_of(router)
    with TestClient(app):
        app.broadcast(CHAT, "to nobody")

        in_thread(lambda: router.websocket(CHAT, quiet, history=10))
        app.broadcast(CHAT, "kept")

        assert kept(app) == ["kept"]


def test_the_same_by_a_router_that_is_included() -> None:
    router, other = Router(), Router()
    app = app_of(router)
    other.websocket("/chat", quiet, history=10)
    other.room("team:{name}", history=10)
    with TestClient(app) as client, client.websocket("/late/old") as ws:
        app.broadcast(CHAT, "to nobody")

        router.include(other, "/late")
        app.broadcast(CHAT, "kept")
        ws.connection.broadcast_to_room("team:a", "for the team", once="k")

        assert kept(app) == ["kept"]
        assert ws.receive() == "for the team"


def test_rooms_that_are_declared_late_keep_history() -> None:
    router = Router()
    router.websocket(CHAT, quiet)
    app = App(router=router)
    with TestClient(app) as client, client.websocket(CHAT) as ws:
        ws.connection.broadcast_to_room("team:a", "unkept")

        router.room("team:{name}", history=10)
        for _ in range(2):
            ws.connection.broadcast_to_room("team:a", "kept", once="k")

        assert ws.receive_all() == ["unkept", "kept"]


def test_publishers_learn_of_a_late_route() -> None:
    router = Router()
    app = app_of(router)
    with TestClient(app) as client, client.websocket("/late/old"):
        position_before = app.position("/late/old")
        assert position_before

        router.websocket(CHAT, quiet, history=10)

        reading = app._here().fanout.reading
        assert reading is not None
        assert reading._journal is not None
        assert CHAT in [one.pattern for one in reading._journal.declared()]


def test_each_of_two_apps_on_one_router_learns_of_a_late_route() -> None:
    router = Router()
    apps = [app_of(router), App(router=router)]
    for app in apps:
        app.broadcast(CHAT, "to nobody")

    router.websocket(CHAT, quiet, history=10)

    with TestClient(apps[0]), TestClient(apps[1]):
        for app in apps:
            app.broadcast(CHAT, "kept")
        assert [kept(app) for app in apps] == [["kept"], ["kept"]]


@pytest.mark.parametrize("keeps_before", [True, False])
def test_a_flask_app_that_registers_a_blueprint_after_the_first_broadcast(
    keeps_before: bool,
) -> None:
    flask_app = Flask("shop")
    if keeps_before:
        websocket(flask_app, "/late/old", history=10, endpoint="old")(quiet)
    live = Blueprint("live", __name__, url_prefix="/late")
    websocket(live, "/chat", history=10)(quiet)
    app = wrap(flask_app)
    with TestClient(app):
        app.broadcast(CHAT, "to nobody")

        flask_app.register_blueprint(live)
        app.broadcast(CHAT, "kept")

        assert kept(app) == ["kept"]
        assert app.position(CHAT)


class Chat:
    """A resource of Falcon's with a WebSocket."""

    websocket_options: ClassVar = {"history": 10}

    def on_websocket(self, req: Any, connection: Any, event: str, data: Any) -> None:
        """Do nothing."""


def test_a_falcon_app_that_gets_a_route_after_the_first_broadcast() -> None:
    falcon_app = falcon.App()
    falcon_app.add_route("/late/old", Chat())
    app = falcon_bridge.wrap(falcon_app)
    with TestClient(app):
        app.broadcast(CHAT, "to nobody")

        falcon_app.add_route(CHAT, Chat())
        app.broadcast(CHAT, "kept")

        assert kept(app) == ["kept"]


def test_a_route_of_no_history_beside_it_keeps_nothing() -> None:
    router = Router()
    router.websocket("/late/{name}", quiet, history=10)
    app = App(router=router)
    with TestClient(app):
        app.broadcast(CHAT, "kept")

        router.websocket(CHAT, quiet)
        app.broadcast(CHAT, "unkept")

        assert not app.keeps(CHAT)
        assert app._histories.of((GroupKind.PATH, "/late/other")) is not None
