"""What `auth` and callbacks of a Flask app raise goes through the app's error handlers."""

from __future__ import annotations

import logging

import flask
import pytest
from flask import Blueprint, Flask, abort, g, make_response, request
from werkzeug.exceptions import Conflict, Forbidden, InternalServerError, NotFound, Unauthorized

from tests.contrib.flask_house import ask, eventually, make_app, serving
from tina4_wsgi.contrib.flask import websocket

RECHECK_S = 0.1


class OutOfStock(Exception):
    """An error of the shop."""


class TokenError(Exception):
    """What a library for tokens raises."""


class ExpiredToken(TokenError):
    """A narrower one."""


class Teapot(Conflict):
    """An HTTP error of the app's own."""

    code = 418


@pytest.fixture
def app() -> Flask:
    app = make_app()
    app.register_error_handler(OutOfStock, lambda error: ("none left", 410))
    app.register_error_handler(
        TokenError, lambda error: (f"bad token: {error}", 401, {"WWW-Authenticate": "Bearer"})
    )
    app.register_error_handler(PermissionError, lambda error: flask.redirect("/login/ada"))
    app.register_error_handler(LookupError, lambda error: {"error": "not here"})
    return app


def raising(error):
    def raise_it(*_: object):
        raise error

    return raise_it


@pytest.fixture
def heard(app):
    """What the app's error trackers hear."""
    errors = []
    with flask.got_request_exception.connected_to(
        lambda sender, exception: errors.append(exception), app
    ):
        yield errors


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (OutOfStock(), 410),
        (TokenError(), 401),
        (ExpiredToken(), 401),  # by the handler of its base
        (PermissionError(), 403),  # a redirect leads a WebSocket nowhere
        (KeyError("x"), 403),  # nor does a page
        (Forbidden(), 403),
        (NotFound(), 404),
        (Teapot(), 418),
    ],
)
def test_auth_that_raises_is_refused_as_the_apps_handlers_say(app, heard, caplog, error, status):
    websocket(app, "/ws/live", auth=raising(error))(lambda connection, event, data: None)
    with caplog.at_level(logging.ERROR), serving(app) as house:
        assert house.refusal()[0] == status

    assert (heard, caplog.records) == ([], [])


def test_a_handler_of_a_status_decides_too(app):
    app.register_error_handler(401, lambda error: ("not you", 499))
    websocket(app, "/ws/live", auth=lambda request: abort(401))(
        lambda connection, event, data: None
    )
    with serving(app) as house:
        assert house.refusal()[0] == 499


def test_what_the_app_says_of_its_own_errors_is_told(app):
    websocket(app, "/ws/live", auth=raising(Forbidden("only on Sundays")))(
        lambda connection, event, data: None
    )
    with serving(app) as house:
        assert house.refusal() == (403, "only on Sundays\n")


def test_a_blueprint_has_handlers_of_its_own(app):
    blueprint = Blueprint("admin", __name__, url_prefix="/admin")
    blueprint.register_error_handler(OutOfStock, lambda error: ("ask the manager", 423))
    websocket(blueprint, "/ws", endpoint="ws", auth=raising(OutOfStock()))(
        lambda connection, event, data: None
    )
    websocket(app, "/ws", endpoint="ws", auth=raising(OutOfStock()))(
        lambda connection, event, data: None
    )
    app.register_blueprint(blueprint)
    with serving(app) as house:
        assert (house.refusal("/admin/ws")[0], house.refusal("/ws")[0]) == (423, 410)


def test_a_handler_of_everything_is_asked(app, heard):
    app.register_error_handler(Exception, lambda error: ("we are sorry", 502))
    websocket(app, "/ws/live", auth=raising(RuntimeError("on purpose")))(
        lambda connection, event, data: None
    )
    with serving(app) as house:
        assert house.refusal()[0] == 502

    assert heard == []


@pytest.mark.parametrize("handler", [500, InternalServerError])
def test_a_handler_of_500_is_asked_and_trackers_and_the_log_hear_once(app, heard, caplog, handler):
    app.register_error_handler(handler, lambda error: (f"busy: {error.original_exception}", 503))
    error = RuntimeError("on purpose")
    websocket(app, "/ws/live", auth=raising(error))(lambda connection, event, data: None)
    with serving(app) as house:
        assert house.refusal()[0] == 503

    assert heard == [error]
    assert [record.exc_info[1] for record in caplog.records if record.exc_info] == [error]


def test_what_nobody_handles_is_500_and_trackers_and_the_log_hear_once(app, heard, caplog):
    error = RuntimeError("on purpose")
    websocket(app, "/ws/live", auth=raising(error))(lambda connection, event, data: None)
    with serving(app) as house:
        assert house.refusal()[0] == 500

    assert heard == [error]
    assert [record.exc_info[1] for record in caplog.records if record.exc_info] == [error]


def test_a_handler_that_raises_is_500_with_its_own_error(app, heard):
    error = ZeroDivisionError("in the handler")
    app.register_error_handler(ArithmeticError, raising(error))
    websocket(app, "/ws/live", auth=raising(OverflowError()))(lambda connection, event, data: None)
    with serving(app) as house:
        assert house.refusal()[0] == 500

    assert heard == [error]


@pytest.mark.parametrize(
    ("error", "code"), [(ExpiredToken(), 4401), (Forbidden(), 4403), (OutOfStock(), 4401)]
)
def test_a_recheck_goes_the_same_way(app, error, code):
    is_good = True

    def auth(request):
        if not is_good:
            raise error
        return "ada"

    websocket(app, "/ws/live", auth=auth)(lambda connection, event, data: None)
    with serving(app, reauth_every=RECHECK_S) as house:
        client = house.connect()
        is_good = False

        assert client.read_close() == code


@pytest.mark.parametrize(
    ("error", "code"),
    [(Unauthorized(), 4401), (ExpiredToken(), 4401), (Forbidden(), 4403), (Teapot(), None)],
)
def test_an_event_that_is_refused_closes(app, heard, caplog, error, code):
    app.register_error_handler(Teapot, lambda error: ("tea", 418))

    @websocket(app, "/ws/live")
    def live(connection, event, data):
        if data == "raise":
            raise error
        if event == "message":
            connection.send_json("still here")

    with caplog.at_level(logging.ERROR), serving(app) as house:
        client = house.connect()
        client.send_text("raise")
        if code is None:
            assert ask(client) == "still here"
        else:
            assert client.read_close() == code
            assert caplog.records == []
    assert heard == []


def test_an_open_that_is_refused_closes(app):
    @websocket(app, "/ws/live")
    def live(connection, event, data):
        if event == "open":
            abort(403)

    with serving(app) as house:
        assert house.connect().read_close() == 4403


def test_a_handler_runs_in_the_context_of_the_event(app, heard, caplog):
    seen = []

    @app.errorhandler(ArithmeticError)
    def roll_back(error):
        seen.append((g.get("event"), request.endpoint))
        return make_response("rolled back", 500)

    @websocket(app, "/ws/live")
    def live(connection, event, data):
        g.event = event
        if event == "message":
            raise ZeroDivisionError(data)

    with serving(app) as house:
        client = house.connect()
        client.send_text("on purpose")
        eventually(lambda: "raised at 'message'" in caplog.text, "it is logged as ever")

    assert seen == [("message", "live")]
    assert [str(error) for error in heard] == ["on purpose"]


def test_signals_are_sent_in_the_order_of_a_view(app):
    def note(signal):
        def receive(sender, **_: object):
            sent.append(signal.name)

        return receive

    sent: list[str] = []
    receivers = []
    for signal in (
        flask.appcontext_pushed,
        flask.request_started,
        flask.got_request_exception,
        flask.request_finished,
        flask.request_tearing_down,
        flask.appcontext_tearing_down,
        flask.appcontext_popped,
    ):
        receivers.append(note(signal))
        signal.connect(receivers[-1], app)
    app.add_url_rule("/good", "good", lambda: "good")
    app.add_url_rule("/bad", "bad", raising(RuntimeError("on purpose")))

    @websocket(app, "/ws/live")
    def live(connection, event, data):
        if data == "bad":
            raise RuntimeError("on purpose")

    def signals_of(do, count):
        sent.clear()
        do()
        eventually(lambda: len(sent) >= count, "all signals came")
        return list(sent)

    browser = app.test_client()
    good = signals_of(lambda: browser.get("/good"), 1)
    bad = signals_of(lambda: browser.get("/bad"), 1)
    with serving(app) as house:
        client = None

        def connect():
            nonlocal client
            client = house.connect()

        assert signals_of(connect, len(good)) == good
        assert signals_of(lambda: client.send_text("good"), len(good)) == good
        assert signals_of(lambda: client.send_text("bad"), len(bad)) == bad


def test_an_open_telemetry_span_is_begun_and_ended_by_its_own_functions():
    """Its instrumentation hangs on a `before_request` function, which events don't run
    otherwise.
    """
    app = make_app()
    spans = []
    app._is_instrumented_by_opentelemetry = True  # as its FlaskInstrumentor leaves an app
    app._before_request = lambda: spans.append(f"begin {request.url_rule}")
    app.teardown_request(lambda error: spans.append("end"))
    websocket(app, "/ws/live")(lambda connection, event, data: None)
    with serving(app) as house:
        client = house.connect()
        client.send_text("x")
        eventually(lambda: len(spans) == 4, "two events passed")
        assert spans == ["begin /ws/live", "end"] * 2


class Newest(Flask):
    """An app that hands its context to its own methods, as Flask does from 3.2 on."""

    def wsgi_app(self, environ, start_response):
        context = self.request_context(environ)
        error = None
        try:
            try:
                context.push()
                response = self.full_dispatch_request(context)
            except Exception as exc:  # noqa: BLE001  # as Flask has it
                error = exc
                response = self.handle_exception(context, exc)
            return response(environ, start_response)
        finally:
            context.pop(error)

    def full_dispatch_request(self, context):
        return super().full_dispatch_request()

    def handle_exception(self, context, error):
        return super().handle_exception(error)

    def handle_user_exception(self, context, error=None):
        # Flask's own code, of before 3.2, calls it without.
        return super().handle_user_exception(context if error is None else error)

    def handle_http_exception(self, context, error=None):
        return super().handle_http_exception(context if error is None else error)

    def preprocess_request(self, context=None):
        return super().preprocess_request()


def test_methods_of_the_app_are_called_as_the_installed_flask_calls_them():
    app = Newest("shop")
    asked = []
    app.before_request(lambda: asked.append(request.endpoint))
    app.register_error_handler(OutOfStock, lambda error: ("none left", 410))
    app.register_error_handler(500, lambda error: ("busy", 503))
    app.add_url_rule("/page", "page", lambda: "page")

    @websocket(app, "/ws/live", auth=lambda ours: raising(errors[0])() if errors else "ada")
    def live(connection, event, data):
        if event == "message":
            connection.send_json(connection.auth)

    errors: list[Exception] = []
    with serving(app, run_before_request=True) as house:
        client = house.connect()
        assert ask(client) == "ada"
        errors.append(OutOfStock())
        assert house.refusal()[0] == 410
        errors[0] = RuntimeError("on purpose")
        assert house.refusal()[0] == 503

    assert asked == ["live"] * 3
    assert app.test_client().get("/page").text == "page"
