"""Handshakes and events pass the middleware inside of a Flask app, or around it, and see what a
view sees.
"""

from __future__ import annotations

from collections.abc import Callable

import flask
import pytest
from flask import Flask, request, url_for
from flask.sessions import SessionInterface
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import Client

from tests.contrib.flask_house import ask, eventually, make_app, serving
from tina4_wsgi import Router, UsageError, broadcast
from tina4_wsgi.contrib.flask import websocket, wrap

RECHECK_S = 0.1
PROXIED = [
    ("X-Forwarded-For", "9.9.9.9, 203.0.113.5, 10.0.0.1"),
    ("X-Forwarded-Proto", "https, https, http"),
]


def facts() -> dict[str, object]:
    """What a request says about itself."""
    return {
        "address": request.remote_addr,
        "url": url_for("page", _external=True),
        "base": request.base_url.rpartition("/")[0].replace("ws", "http"),
        "tenant": request.environ.get("shop.tenant"),
    }


@pytest.fixture
def app() -> Flask:
    app = make_app()
    app.add_url_rule("/page", "page", facts)

    @websocket(app, "/live")
    def live(connection, event, data):
        if event == "message":
            connection.send_json(facts())

    return app


class Prefixed:
    """The snippet for a prefix that a proxy names, as Flask apps have it."""

    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        prefix = environ.get("HTTP_X_SCRIPT_NAME", "")
        if prefix and environ["PATH_INFO"].startswith(prefix):
            environ["SCRIPT_NAME"] = prefix
            environ["PATH_INFO"] = environ["PATH_INFO"][len(prefix) :]
        return self.app(environ, start_response)


class Tenanted:
    """Puts a tenant into the environ, which it copies."""

    def __init__(self, app):
        self.application = app

    def __call__(self, environ, start_response):
        return self.application(
            {**environ, "shop.tenant": environ["HTTP_HOST"].partition(".")[0]}, start_response
        )


def as_function(app):
    """Middleware as a closure."""

    def call(environ, start_response):
        environ["shop.tenant"] = "closure"
        return app(environ, start_response)

    return call


def as_generator(app):
    """Middleware that begins when its body is read."""

    def call(environ, start_response):
        environ["shop.tenant"] = "generator"
        yield from app(environ, start_response)

    return call


def one_proxy(app):
    return ProxyFix(app, x_for=1, x_proto=1)


def two_proxies(app):
    return ProxyFix(app, x_for=2, x_proto=2)


def several(app):
    return as_function(ProxyFix(Tenanted(app), x_for=3, x_proto=1))


@pytest.mark.parametrize(
    "middleware", [Tenanted, as_function, as_generator, one_proxy, two_proxies, several]
)
def test_a_callback_sees_what_a_view_sees(app, middleware):
    app.wsgi_app = middleware(app.wsgi_app)
    fields = [("Host", "acme.shop.example"), *PROXIED]
    with serving(app) as house:
        seen_by_view = (
            Client(app).get("/page", headers=fields, environ_base={"REMOTE_ADDR": "127.0.0.1"}).json
        )
        seen = ask(house.connect("/live", fields))

    assert seen == seen_by_view


def test_a_route_is_found_behind_a_prefix_and_its_group_has_the_apps_own_path(app):
    app.wsgi_app = Prefixed(app.wsgi_app)
    with serving(app) as house:
        client = house.connect("/shop/live", [("X-Script-Name", "/shop")])
        seen = ask(client)
        broadcast("/live", "an order")

        assert client.read_text() == "an order"
    assert seen["url"].endswith("/shop/page")


def test_a_route_of_the_router_is_found_behind_a_prefix_too(app):
    router = Router()
    router.websocket(
        "/ws/other", lambda connection, event, data: connection.send(request.script_root)
    )
    app.wsgi_app = Prefixed(app.wsgi_app)
    with serving(app, router=router) as house:
        assert house.connect("/shop/ws/other", [("X-Script-Name", "/shop")]).read_text() == "/shop"


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://shop.example", 101),
        ("https://shop.example:8443", 403),
        ("https://evil.example", 403),
        ("http://127.0.0.1", 403),  # the host that only the proxy asks for
    ],
)
def test_the_origin_is_compared_with_the_host_as_the_app_sees_it(app, origin, status):
    app.wsgi_app = ProxyFix(app.wsgi_app, x_host=1)
    fields = [
        ("Host", "127.0.0.1"),
        ("X-Forwarded-Host", "shop.example"),
        ("X-Forwarded-Proto", "https"),
        ("Origin", origin),
    ]
    with serving(app) as house:
        if status == 101:
            house.connect("/live", fields)
        else:
            assert house.refusal("/live", fields)[0] == status


def test_trusted_hosts_are_those_that_the_app_sees(app):
    app.config["TRUSTED_HOSTS"] = ["shop.example"]
    app.wsgi_app = ProxyFix(app.wsgi_app, x_host=1)
    with serving(app) as house:
        assert (
            house.refusal("/live", [("Host", "10.0.0.1"), ("X-Forwarded-Host", "evil.example")])[0]
            == 400
        )
        house.connect("/live", [("Host", "10.0.0.1"), ("X-Forwarded-Host", "shop.example")])


def test_auth_sees_it_in_both_requests(app):
    seen = []

    @websocket(
        app, "/careful", auth=lambda ours: seen.append((ours.ip, request.remote_addr)) or "somebody"
    )
    def careful(connection, event, data):
        if event == "message":
            connection.refresh_auth()
            connection.send_json(connection.auth)

    app.wsgi_app = ProxyFix(app.wsgi_app)
    with serving(app) as house:
        assert ask(house.connect("/careful", [("X-Forwarded-For", "203.0.113.5")])) == "somebody"

    assert seen == [("203.0.113.5", "203.0.113.5")] * 2  # at the handshake and when asked again


class Door:
    """Middleware that answers by itself while it is shut."""

    def __init__(self, app, status, fields=()):
        self.app = app
        self.status = status
        self.fields = list(fields)
        self.is_shut = True

    def __call__(self, environ, start_response):
        if not self.is_shut:
            return self.app(environ, start_response)
        start_response(self.status, [("Content-Type", "text/plain"), *self.fields])
        return [b"go away\n"]


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ("401 Unauthorized", 401),
        ("429 Too Many Requests", 429),
        ("503 Closed", 503),
        ("302 Found", 403),
        ("200 OK", 403),
    ],
)
def test_middleware_that_answers_by_itself_refuses_the_handshake(app, answer, status):
    app.wsgi_app = Door(app.wsgi_app, answer)
    with serving(app) as house:
        assert house.refusal("/live") == (status, "the application refuses\n")


def test_what_a_refusal_asks_for_is_passed_on(app):
    app.wsgi_app = Door(
        app.wsgi_app, "401 Unauthorized", [("WWW-Authenticate", 'Basic realm="shop"')]
    )
    client = Client(wrap(app, router=Router()))

    answer = client.get("/live", headers={"Tina4-Probe": "1"}, method="HEAD")

    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Basic realm="shop"')


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("401 Unauthorized", 4401),
        ("403 Forbidden", 4403),
        ("302 Found", 4403),
        ("503 Closed", 1013),
    ],
)
def test_middleware_that_answers_an_event_by_itself_closes_and_close_still_runs(app, answer, code):
    app.wsgi_app = door = Door(app.wsgi_app, answer)
    door.is_shut = False
    events = []
    websocket(app, "/noted")(lambda connection, event, data: events.append((event, request.path)))
    with serving(app) as house:
        client = house.connect("/noted")
        eventually(lambda: events, "it is open")
        door.is_shut = True
        client.send_text("let me in")

        assert client.read_close() == code
        client.send_close()
        eventually(lambda: len(events) == 2, "close has run")
    assert events == [("open", "/noted"), ("close", "/noted")]


def test_middleware_that_answers_a_recheck_by_itself_sends_away(app):
    app.wsgi_app = door = Door(app.wsgi_app, "401 Unauthorized")
    door.is_shut = False
    websocket(app, "/checked", auth=lambda request: "ada")(lambda connection, event, data: None)
    with serving(app, reauth_every=RECHECK_S) as house:
        client = house.connect("/checked")
        door.is_shut = True

        assert client.read_close() == 4401


def test_middleware_that_raises_is_logged_and_ends_nothing_else(app, caplog):
    class Broken:
        def __init__(self, app):
            self.app = app

        def __call__(self, environ, start_response):
            if is_broken:
                raise ConnectionError("the store is gone")
            return self.app(environ, start_response)

    is_broken = False
    app.wsgi_app = Broken(app.wsgi_app)
    with serving(app) as house:
        client = house.connect("/live")
        is_broken = True
        assert house.refusal("/live")[0] == 500
        client.send_text("lost")
        eventually(lambda: "raised at 'message'" in caplog.text, "it is logged")
        is_broken = False

        assert ask(client)["tenant"] is None


class Content(dict):
    """A session that doesn't say whether it was modified."""


class WsgiSession:
    """A session in the environ, kept by middleware, as Beaker's is."""

    def __init__(self, app):
        self.app = app
        self.store: dict[str, Content] = {}

    def __call__(self, environ, start_response):
        environ["wsgi.session"] = self.store.setdefault(
            environ.get("HTTP_X_SESSION", ""), Content()
        )
        return self.app(environ, start_response)


class FromEnviron(SessionInterface):
    """Flask's old snippet for such sessions."""

    saved = 0

    def open_session(self, app, request):
        return request.environ["wsgi.session"]

    def save_session(self, app, session, response):
        self.saved += 1


def test_a_session_that_middleware_keeps_is_read_and_is_saved_where_it_changed(app):
    app.session_interface = interface = FromEnviron()
    app.wsgi_app = WsgiSession(app.wsgi_app)

    @websocket(app, "/visits")
    def visits(connection, event, data):
        if data == "count":
            flask.session["visits"] = flask.session.get("visits", 0) + 1
        if event == "message":
            connection.send_json(flask.session.get("visits"))

    with serving(app) as house:
        client = house.connect("/visits", [("X-Session", "ada")])

        assert [ask(client, "count"), ask(client, "look"), ask(client, "count")] == [1, 1, 2]
    assert interface.saved == 2


def test_the_request_of_auth_has_none_of_what_finds_the_way(app):
    seen = []

    def auth(ours):
        seen.append({name for name in ours.environ if name.startswith("tina4_wsgi.")})
        return "ada"

    app.wsgi_app = Tenanted(app.wsgi_app)
    websocket(app, "/checked", endpoint="checked", auth=auth)(lambda connection, event, data: None)
    with serving(app) as house:
        house.connect("/checked")

    assert seen == [{"tina4_wsgi.match", "tina4_wsgi.server", "tina4_wsgi.wrapped"}]


def test_looking_for_a_route_runs_no_view_and_takes_no_socket(app):
    """What is mounted beside the app must not be asked with more than an OPTIONS."""
    seen = []

    def beside(environ, start_response):
        seen.append(
            (environ["REQUEST_METHOD"], "gunicorn.socket" in environ, "HTTP_UPGRADE" in environ)
        )
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"beside\n"]

    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/beside": beside})
    client = Client(wrap(app, router=Router()))
    answer = client.get(
        "/beside/ws",
        headers={"Upgrade": "websocket", "Connection": "Upgrade"},
        environ_base={"gunicorn.socket": "a socket"},
    )

    assert answer.text == "beside\n"
    assert seen == [("OPTIONS", False, False), ("GET", True, True)]


def test_pages_are_served_as_before(app):
    app.wsgi_app = Tenanted(app.wsgi_app)

    assert (
        Client(wrap(app, router=Router()))
        .get("/page", headers={"Host": "acme.example"})
        .json["tenant"]
        == "acme"
    )


# -- wrap(stack, app=inner)


def mounted(app):
    def front(environ, start_response):
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"the front\n"]

    return DispatcherMiddleware(front, {"/shop": app})


@pytest.mark.parametrize(
    ("stack", "path", "seen"),
    [
        (Tenanted, "/live", {"tenant": "acme"}),
        (
            lambda app: Tenanted(ProxyFix(app)),
            "/live",
            {"tenant": "acme", "address": "203.0.113.5"},
        ),
        (mounted, "/shop/live", {"url": "http://acme.example/shop/page"}),
        (as_generator, "/live", {"tenant": "generator"}),
    ],
)
def test_events_pass_middleware_around_an_app(app, stack: Callable, path, seen):
    with serving(app, stack=stack(app)) as house:
        told = ask(
            house.connect(path, [("Host", "acme.example"), ("X-Forwarded-For", "203.0.113.5")])
        )

    assert seen.items() <= told.items()


def test_pages_of_a_stack_are_those_of_the_stack(app):
    client = Client(wrap(mounted(app), app=app, router=Router()))

    assert client.get("/elsewhere").text == "the front\n"
    assert client.get("/shop/page").json["base"].endswith("/shop")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((mounted(Flask("x")), None), r"wrap\(stack, app=flask_app\)"),
        (
            (mounted(Flask("x")), "x"),
            "expected the flask.Flask that stands inside of the middleware",
        ),
        (("x", Flask("x")), "expected the WSGI application that stands around the Flask app"),
        ((None, None), "expected a flask.Flask"),
    ],
)
def test_wrap_says_what_to_write(arguments, why):
    stack, app = arguments
    with pytest.raises(UsageError, match=why):
        wrap(stack, app=app)


def test_the_app_alone_may_be_given_by_name(app):
    assert Client(wrap(app=app, router=Router())).get("/page").status_code == 200


# -- leave_out


class Recorder:
    """Middleware that keeps what passes it."""

    def __init__(self, app):
        self.wsgi_app = app
        self.paths: list[str] = []

    def __call__(self, environ, start_response):
        self.paths.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
        return self.wsgi_app(environ, start_response)


class SlotRecorder(Recorder):
    """One without a `__dict__` of its own to copy."""

    __slots__ = ("unused",)


RECORDERS = [Recorder, SlotRecorder, f"{__name__}.Recorder"]


@pytest.mark.parametrize("name", RECORDERS)
def test_events_and_rechecks_leave_out_what_is_named(app, name):
    recorder = SlotRecorder(Tenanted(app.wsgi_app))
    app.wsgi_app = ProxyFix(recorder)
    websocket(app, "/checked", auth=lambda request: "ada")(
        lambda connection, event, data: (
            connection.send_json(facts()) if connection.refresh_auth() else None
        )
    )
    with serving(app, leave_out=[name]) as house:
        client = house.connect(
            "/checked", [("Host", "acme.example"), ("X-Forwarded-For", "203.0.113.5")]
        )
        client.read_text()
        at_handshake = list(recorder.paths)
        seen = ask(client)
        Client(app).get("/page")

    assert at_handshake == ["OPTIONS /checked", "GET /checked"]
    assert recorder.paths == [*at_handshake, "GET /page"]
    assert (seen["tenant"], seen["address"]) == ("acme", "203.0.113.5")  # all else is passed


def test_middleware_around_an_app_can_be_left_out(app):
    recorder = Recorder(Tenanted(app))
    with serving(app, stack=recorder, leave_out=(Recorder,)) as house:
        client = house.connect("/live", [("Host", "acme.example")])
        before = len(recorder.paths)
        assert ask(client)["tenant"] == "acme"

    assert len(recorder.paths) == before


@pytest.mark.parametrize(
    ("middleware", "why"),
    [
        (Tenanted, "expected middleware on the way to the Flask app, .*met: .*Tenanted$"),
        (
            lambda app: as_function(Recorder(app)),
            "met: none; behind <function .*> it can't be followed",
        ),
        (lambda app: app, "met: none$"),
    ],
)
def test_what_cannot_be_left_out_is_refused(app, middleware, why):
    app.wsgi_app = middleware(app.wsgi_app)
    with pytest.raises(UsageError, match=f"leave_out names '.*Recorder', .*{why}"):
        wrap(app, router=Router(), leave_out=[Recorder])
