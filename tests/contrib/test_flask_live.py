"""`Live` puts WebSockets into a Flask app, and the app stays what servers and tests call."""

from __future__ import annotations

import contextlib
import http.client
import signal
from pathlib import Path

import flask_login
import pytest
from flask import Blueprint, Flask, request
from werkzeug.middleware.proxy_fix import ProxyFix

import tina4_wsgi
from tests.contrib.flask_house import ask, make_app
from tests.support import servers
from tests.support.own_server import dial, running
from tests.support.raw import RawClient
from tina4_wsgi import ConnectionClosed, RouteError, Router, UsageError
from tina4_wsgi import ask as ask_app
from tina4_wsgi.contrib.flask import Live, login_required, websocket, wrap
from tina4_wsgi.testing import HandshakeRefused, TestClient

APPS = Path(__file__).parent / "apps"


def tell(connection, event, data):
    """Tell the client where it is, as Flask sees it."""
    if event == "message":
        connection.send_json(
            {
                "view_args": request.view_args,
                "endpoint": request.endpoint,
                "ip": request.remote_addr,
                "root": request.script_root,
            }
        )


@pytest.fixture
def app() -> Flask:
    return make_app()


def told(app: Flask, path: str, **options) -> dict[str, object]:
    """What a callback tells to one message."""
    with TestClient(app) as client, client.websocket(path, **options) as ws:
        ws.send("?")
        found: dict[str, object] = ws.receive_json()
        return found


def test_a_route_is_served_by_the_app_itself(app):
    live = Live(app, router=Router())
    live.websocket("/ws/board/{board:int}")(tell)

    found = told(app, "/ws/board/7")

    assert (found["endpoint"], found["view_args"]) == ("tell", {"board": 7})


def test_pages_are_answered_as_before(app):
    Live(app, router=Router()).websocket("/ws/board")(tell)

    assert app.test_client().get("/login/ada").text == "in"
    assert app.test_client().get("/ws/board").status_code == 404


def test_a_view_pushes_to_those_who_listen(app):
    Live(app, router=Router()).websocket("/ws/orders")(tell)
    app.add_url_rule(
        "/order", "order", lambda: tina4_wsgi.broadcast("/ws/orders", "an order") or "thanks"
    )

    with TestClient(app) as client, client.websocket("/ws/orders") as ws:
        assert client.get("/order").text == "thanks"
        assert ws.receive() == "an order"


def test_each_app_of_a_factory_is_served(app):
    live = Live(router=Router())
    live.websocket("/ws/before")(tell)
    other = make_app()
    live.init_app(app)
    live.init_app(other)
    live.websocket("/ws/behind", endpoint="behind")(tell)

    assert [
        told(one, path)["endpoint"] for path in ("/ws/before", "/ws/behind") for one in (app, other)
    ] == ["tell", "tell", "behind", "behind"]


def test_a_route_of_a_blueprint_has_its_prefix(app):
    live = Live(app, router=Router())
    boards = Blueprint("boards", __name__, url_prefix="/team/<team>")
    live.websocket("/ws/{board:int}", blueprint=boards)(tell)
    app.register_blueprint(boards)

    found = told(app, "/team/red/ws/7")

    assert (found["endpoint"], found["view_args"]) == ("boards.tell", {"team": "red", "board": 7})


def test_routes_of_the_function_are_served_too(app):
    Live(app, router=Router())
    websocket(app, "/ws/other")(tell)

    assert told(app, "/ws/other")["endpoint"] == "tell"


@pytest.mark.parametrize("is_first", [True, False], ids=["within", "around"])
def test_what_a_proxy_says_holds_in_events_wherever_its_middleware_stands(app, is_first):
    if is_first:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_prefix=1)
    live = Live(app, router=Router())
    if not is_first:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_prefix=1)
    live.websocket("/ws/live")(tell)

    found = told(
        app,
        "/ws/live",
        headers={"X-Forwarded-For": "10.0.0.9", "X-Forwarded-Prefix": "/shop"},
    )

    assert (found["ip"], found["root"]) == ("10.0.0.9", "/shop")


def test_a_log_out_closes_the_sockets_of_its_session(app):
    Live(app, router=Router()).websocket("/ws/live", auth=login_required)(tell)
    app.add_url_rule("/leave", "leave", lambda: flask_login.logout_user() and "left")

    with TestClient(app) as client:
        with pytest.raises(HandshakeRefused) as refusal:
            client.websocket("/ws/live")
        client.get("/login/ada")
        with client.websocket("/ws/live") as ws:
            client.get("/leave")
            with pytest.raises(ConnectionClosed) as closed:
                ws.receive()

    assert (refusal.value.status, closed.value.code) == (401, 4401)


def test_a_test_client_ends_the_connections_itself(app, capfd):
    Live(app, router=Router()).websocket("/ws/live")(tell)

    told(app, "/ws/live")

    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("is_called", [False, True], ids=["as auth", "by an auth"])
def test_a_view_of_the_app_may_say_who_connects(app, is_called):
    """Through the middleware, as the browser would ask it."""
    asked = []

    @app.get("/api/me")
    def me():
        asked.append((request.script_root, request.path, request.remote_addr))
        user = flask_login.current_user
        return {"name": user.name} if user.is_authenticated else ("who?", 401)

    app.wsgi_app = Below("/shop", ProxyFix(app.wsgi_app))
    live = Live(app, router=Router())
    question = ask_app("/shop/api/me")
    auth = (lambda request: question(request)) if is_called else question

    @live.websocket("/ws/live", auth=auth)
    def say(connection, event, data):
        if event == "open":
            connection.send_json(connection.auth)

    with TestClient(app) as client:
        fields = {"X-Forwarded-For": "10.0.0.9"}
        with pytest.raises(HandshakeRefused) as refusal:
            client.websocket("/shop/ws/live", headers=fields)
        client.get("/shop/login/ada")
        with client.websocket("/shop/ws/live", headers=fields) as ws:
            assert ws.receive_json() == {"name": "ada"}

    assert refusal.value.status == 401
    assert asked == [("/shop", "/api/me", "10.0.0.9")] * 2


class Below:
    """Middleware that serves an app below a prefix, and nothing beside it."""

    def __init__(self, prefix, app):
        self.prefix = prefix
        self.app = app

    def __call__(self, environ, start_response):
        path = environ["PATH_INFO"]
        if not path.startswith(f"{self.prefix}/"):
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"beside"]
        inside = {"SCRIPT_NAME": self.prefix, "PATH_INFO": path.removeprefix(self.prefix)}
        return self.app({**environ, **inside}, start_response)


def test_what_views_have_done_may_be_pushed_without_a_line_in_them(app):
    def tell(method, path, status, environ):
        tina4_wsgi.broadcast("/ws/live", f"{method} {path} {status}")

    Live(app, router=Router(), on_response=tell).websocket("/ws/live")(tell_nothing)

    with TestClient(app) as client, client.websocket("/ws/live") as ws:
        client.get("/login/ada").close()
        client.get("/nowhere").close()
        client.get("/logout").close()

        assert [ws.receive(), ws.receive()] == ["GET /login/ada 200", "GET /logout 200"]


def tell_nothing(connection, event, data):
    """Only listen."""


def test_settings_hold(app):
    live = Live(router=Router(), max_message_bytes=125)
    live.websocket("/ws/live")(tell)
    live.init_app(app)

    with TestClient(app) as client, client.websocket("/ws/live") as ws:
        ws.send("?" * 126, wait=False)
        with pytest.raises(ConnectionClosed) as closed:
            ws.receive()

    assert closed.value.code == 1009


def test_our_own_server_serves_it(app):
    Live(app, router=Router()).websocket("/ws/live")(tell)
    with running(app) as server, dial(server) as client:
        client.upgrade("/ws/live", [])
        assert ask(client)["endpoint"] == "tell"
        client.send_close()
        assert client.read_close() == 1000
        app.wsgi_app.drain()


@pytest.mark.deadline(60)
@pytest.mark.parametrize("worker_class", ["gevent", "sync"])
def test_gunicorn_serves_the_flask_object_itself(tmp_path, worker_class):
    env = {"PYTHONPATH": str(servers.ROOT)}
    with servers.gunicorn(
        "flask_live:app", APPS, tmp_path / "log", worker_class=worker_class, env=env
    ) as server:
        servers.wait_until_answering(server)
        with RawClient.open(server.address, "/ws/orders") as client:
            assert get(server, "/order/pears") == "thanks"

            assert client.read_text() == "pears"
            assert_it_says_goodbye(server, client)


def test_the_command_line_serves_it_by_its_own_settings_and_says_goodbye(tmp_path):
    program = (APPS / "flask_live.py").read_text()
    (tmp_path / "shop.py").write_text(
        program.replace("router=Router()", "router=Router(), max_header_count=16")
    )
    env = {"PYTHONPATH": str(servers.ROOT)}
    with servers.own("shop:app", tmp_path, tmp_path / "log", env=env) as server:
        with RawClient.dial(server.address) as client:
            client.send_bytes(b"GET /order/pears HTTP/1.1\r\nHost: x\r\n")
            client.send_bytes(b"X-One: 1\r\n" * 20 + b"\r\n")
            assert client.read_head().status == 431

        with RawClient.open(server.address, "/ws/orders") as client:
            assert_it_says_goodbye(server, client)


def assert_it_says_goodbye(server: servers.Server, client: RawClient) -> None:
    """Stop a server, and answer and hang up as a browser does, or it would wait for that."""
    server.process.send_signal(signal.SIGTERM)
    assert client.read_close() == 1001
    client.send_close(1001)
    client.close()
    server.stop()


def get(server: servers.Server, path: str) -> str:
    connection = http.client.HTTPConnection(*server.address, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", path)
        return connection.getresponse().read().decode()


# -- refusals


def test_an_app_is_made_live_once(app):
    Live(app, router=Router())

    with pytest.raises(UsageError, match="is live already, by Live"):
        Live(router=Router()).init_app(app)
    with pytest.raises(UsageError, match=r"wrap\(app\): .* is live already"):
        wrap(app, router=Router())


def test_an_app_that_is_wrapped_from_within_is_refused(app):
    app.wsgi_app = wrap(app, router=Router())

    with pytest.raises(UsageError, match=r"is what wrap\(app\) returned"):
        Live(app, router=Router())


def test_an_app_that_has_served_is_refused(app):
    app.test_client().get("/login/ada")

    with pytest.raises(UsageError, match="has served its first request"):
        Live(app, router=Router())


def test_a_route_behind_the_first_request_is_refused(app):
    live = Live(app, router=Router())
    app.test_client().get("/login/ada")

    with pytest.raises(UsageError, match="after the first request"):
        live.websocket("/ws/late")(tell)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (Blueprint("boards", __name__), r"@live.websocket\(path, blueprint=…\)"),
        ("/ws/board", "takes a flask.Flask, not '/ws/board'"),
    ],
)
def test_what_is_no_flask_app_is_refused(given, why):
    with pytest.raises(UsageError, match=why):
        Live(given)


def test_a_bad_route_is_refused_where_it_is_declared_also_without_an_app():
    with pytest.raises(RouteError, match=__file__):
        Live(router=Router()).websocket("/ws/:board")(tell)


def test_a_setting_that_is_none_is_refused(app):
    with pytest.raises(tina4_wsgi.ConfigError, match="reauth_evry"):
        Live(app, router=Router(), reauth_evry=1)
