"""WebSocket routes that a Flask app or a blueprint of it declares."""

from __future__ import annotations

import functools

import pytest
from flask import Blueprint, Flask, request, url_for
from werkzeug.test import Client

import tina4_wsgi
from tests.contrib.flask_house import KEY, ask, make_app, serving
from tests.support.own_server import dial, running
from tina4_wsgi import RouteError, Router, UsageError
from tina4_wsgi.contrib.flask import websocket, wrap

HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}


def tell(connection, event, data):
    """Tell the client where it is, as Flask sees it."""
    if event == "message":
        connection.send_json(
            {
                "params": connection.params,
                "view_args": request.view_args,
                "endpoint": request.endpoint,
                "blueprint": request.blueprint,
                "path": request.path,
            }
        )


@pytest.fixture
def app() -> Flask:
    return make_app()


def test_a_route_of_the_app_is_served_and_flask_knows_it(app):
    websocket(app, "/ws/board/{board:int}")(tell)
    with serving(app) as house:
        told = ask(house.connect("/ws/board/7?x=1"))

    assert told == {
        "params": {"board": 7},
        "view_args": {"board": 7},
        "endpoint": "tell",
        "blueprint": None,
        "path": "/ws/board/7",
    }


def test_a_route_of_a_blueprint_has_its_prefix_and_its_name(app):
    blueprint = Blueprint("live", __name__, url_prefix="/team/<team>")
    websocket(blueprint, "/ws/{board:int}", endpoint="board")(tell)
    app.register_blueprint(blueprint)
    with serving(app) as house:
        told = ask(house.connect("/team/k%C3%A4se/ws/7"))

    assert told["params"] == {"team": "käse", "board": 7}
    assert (told["endpoint"], told["blueprint"]) == ("live.board", "live")


def test_a_slash_at_the_end_makes_no_difference(app):
    websocket(app, "/ws/live")(tell)
    with serving(app) as house:
        client, other = house.connect("/ws/live/"), house.connect("/ws/live")
        tina4_wsgi.broadcast("/ws/live", "hello")

        assert (client.read_text(), other.read_text()) == ("hello", "hello")


def test_a_page_gets_the_address_by_url_for(app):
    websocket(app, "/ws/board/{board:int}")(tell)

    with app.test_request_context("/", base_url="https://shop.example"):
        assert url_for("tell", board=7) == "wss://shop.example/ws/board/7"


def test_a_callback_gets_the_address_of_a_page(app):
    @websocket(app, "/ws/live")
    def live(connection, event, data):
        if event == "message":
            connection.send_json(
                [url_for("login", name="ada"), url_for("login", name="ada", _external=True)]
            )

    with serving(app) as house:
        near, far = ask(house.connect("/ws/live", [("Host", "shop.example")]))

    assert (near, far) == ("/login/ada", "http://shop.example/login/ada")


def test_routes_of_the_router_are_served_beside_and_in_the_same_context(app):
    router = Router()
    router.websocket("/ws/other", tell)
    with serving(app, router=router) as house:
        told = ask(house.connect("/ws/other"))

    assert (told["path"], told["endpoint"]) == ("/ws/other", None)


def test_a_view_pushes_to_those_who_listen(app):
    websocket(app, "/ws/live")(tell)

    @app.post("/orders")
    def order():
        tina4_wsgi.broadcast("/ws/live", "an order")
        return "thanks"

    with serving(app) as house:
        client = house.connect()
        app.test_client().post("/orders")

        assert client.read_text() == "an order"


@pytest.mark.parametrize("path", ["/ws/board/x", "/ws/board/" + "9" * 5_000, "/nowhere", "/"])
def test_another_path_is_left_to_flask(app, path):
    websocket(app, "/ws/board/{board:int}")(tell)
    expected = app.test_client().get(path, headers=HANDSHAKE)
    answer = Client(wrap(app, router=Router())).get(path, headers=HANDSHAKE)

    assert (answer.status_code, answer.text) == (expected.status_code, expected.text)
    assert "this server can't hand over" not in answer.text


@pytest.mark.parametrize("is_wrapped", [False, True], ids=["bare", "wrapped, but not served"])
def test_an_app_that_is_served_without_its_websockets_says_how_they_are_served(
    app, caplog, is_wrapped
):
    websocket(app, "/ws/live")(tell)
    if is_wrapped:
        wrap(app, router=Router())

    answers = [app.test_client().get("/ws/live", headers=HANDSHAKE) for _ in range(3)]

    answer = answers[-1]
    assert caplog.text.count("Make the app live by `Live(app)`") == 1
    assert answer.status_code == 501
    assert "Make the app live by `Live(app)`" in answer.text


def test_it_may_be_put_into_the_app_as_middleware_is(app):
    websocket(app, "/ws/live")(tell)
    app.wsgi_app = wrap(app, router=Router())

    assert app.test_client().get("/login/ada").text == "in"
    refused = app.test_client().get("/ws/live", headers=HANDSHAKE)
    assert (refused.status_code, refused.text.split(";")[0]) == (
        501,
        "this server can't hand over its sockets",
    )


def test_put_into_the_app_it_serves_events_as_well(app):
    websocket(app, "/ws/live")(tell)
    app.wsgi_app = Upper(app.wsgi_app)
    app.wsgi_app = wrapped = wrap(app, router=Router())
    with running(app) as server, dial(server) as client:
        client.upgrade("/WS/live", [])
        told = ask(client)
        client.send_close()
        assert client.read_close() == 1000
        wrapped.drain()

    assert (told["path"], told["endpoint"]) == ("/ws/live", "tell")


class Upper:
    """Middleware for paths in capitals."""

    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        return self.app({**environ, "PATH_INFO": environ["PATH_INFO"].lower()}, start_response)


@pytest.fixture
def shadowed(app) -> Flask:
    """An app with WebSockets, of which some have views at the same address."""
    websocket(app, "/ws/live")(tell)
    websocket(app, "/ws/board/{board:int}", endpoint="board")(tell)
    websocket(app, "/both", endpoint="both")(tell)
    app.add_url_rule("/both", "page", lambda: "a page", methods=["POST"])
    app.add_url_rule("/<name>/all", "all", lambda name: f"all of {name}")
    websocket(app, "/ws/all", endpoint="all_sockets")(tell)
    app.register_error_handler(
        404, lambda error: (f"nothing: {type(request.routing_exception).__name__}", 404)
    )
    return app


@pytest.mark.parametrize(
    ("method", "path", "answer"),
    [
        ("GET", "/ws/live", (404, "nothing: NotFound")),
        ("HEAD", "/ws/live", (404, "")),
        ("POST", "/ws/live", (404, "nothing: NotFound")),
        ("OPTIONS", "/ws/live", (404, "nothing: NotFound")),
        ("GET", "/ws/live/", (404, "nothing: NotFound")),
        ("GET", "/ws/board/7", (404, "nothing: NotFound")),
        ("GET", "/ws/all", (200, "all of ws")),
        ("POST", "/both", (200, "a page")),
    ],
)
def test_a_request_for_the_address_of_a_websocket_is_answered_as_if_there_were_none(
    shadowed, method, path, answer
):
    bare = shadowed.test_client().open(path, method=method)
    wrapped = Client(wrap(shadowed, router=Router())).open(path, method=method)

    assert (bare.status_code, bare.text) == (wrapped.status_code, wrapped.text) == answer


def test_a_wrong_method_names_those_of_views_alone(shadowed):
    answer = shadowed.test_client().put("/both")

    assert (answer.status_code, set(answer.allow)) == (405, {"OPTIONS", "POST"})


def test_websockets_of_somebody_else_keep_their_answer(app):
    app.add_url_rule("/sock", "sock", lambda: "a socket", websocket=True)  # as flask-sock has it

    assert Client(wrap(app, router=Router())).get("/sock").status_code == 400


def test_middleware_that_was_there_before_stays(app):
    inner = app.wsgi_app
    app.wsgi_app = lambda environ, start: inner({**environ, "PATH_INFO": "/login/ada"}, start)

    assert Client(wrap(app, router=Router())).get("/x").text == "in"


def test_something_else_than_a_flask_app_is_refused():
    with pytest.raises(
        UsageError, match=r"wrap\(.*\), expected a flask.Flask; for another WSGI app there is"
    ):
        wrap(lambda environ, start_response: [])


def test_a_setting_that_is_none_is_refused(app):
    with pytest.raises(tina4_wsgi.ConfigError, match="reauth_evry"):
        wrap(app, router=Router(), reauth_evry=1)


@pytest.mark.parametrize(
    ("path", "callback", "options", "why"),
    [
        ("/ws/:board", tell, {}, "{board}"),
        ("/ws/{board:integer}", tell, {}, "unknown converter"),
        ("/ws", lambda connection: None, {}, "expected (connection, event, data)"),
        ("/ws", tell, {"max_message_bites": 1}, "max_message_bites"),
    ],
)
def test_a_bad_route_is_refused_when_it_is_registered(app, path, callback, options, why):
    with pytest.raises(RouteError) as refusal:
        websocket(app, path, **options)(callback)

    assert why in str(refusal.value)
    assert __file__ in str(refusal.value)


def test_a_callback_without_a_name_needs_an_endpoint(app):
    nameless = functools.partial(tell)
    with pytest.raises(UsageError, match=r"has no name, expected endpoint"):
        websocket(app, "/ws/live")(nameless)

    websocket(app, "/ws/live", endpoint="live")(nameless)
    with serving(app) as house:
        assert ask(house.connect())["endpoint"] == "live"
