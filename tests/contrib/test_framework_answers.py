"""What Pyramid, Falcon and Bottle answer an exception with is the status of a refusal, and their
JSON is ours.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import json
import uuid
from functools import partial
from typing import Any

import bottle
import falcon
import falcon.media
import pytest
from pyramid import httpexceptions
from pyramid.config import Configurator
from pyramid.renderers import JSON
from pyramid.response import Response

from tests.contrib.django_program import printed_by
from tests.support.events import Connection, run_event
from tina4_wsgi import App, Router
from tina4_wsgi.contrib import bottle as with_bottle
from tina4_wsgi.contrib import falcon as with_falcon
from tina4_wsgi.contrib import pyramid as with_pyramid
from tina4_wsgi.errors import ConnectionClosed, Refused


class Odd(Exception):
    """What nobody expects, unless a test says so."""


class VeryOdd(Odd):
    """A kind of it."""


def router() -> Router:
    made = Router()
    made.websocket("/ws/{name}", lambda connection, event, data: None)
    return made


def outcome(app: App, event: str, error: Exception) -> Any:
    """Run an event that raises: gives the status of the refusal, or the code of the close, or what
    came out.
    """
    connection = Connection()

    def call() -> None:
        raise error

    try:
        run_event(app, event, connection, call)
    except Refused as refused:
        return refused.status
    except ConnectionClosed:
        return connection.closed_with
    except Exception as exc:  # noqa: BLE001  # whatever it is, it is what came out
        return exc
    raise AssertionError("nothing was raised")


# -- Pyramid


def pyramid_app() -> App:
    def add(config: Configurator, kind: type[Exception], status: int) -> None:
        config.add_exception_view(lambda error, request: Response(status=status), context=kind)

    with Configurator() as config:
        config.include("tina4_wsgi.contrib.pyramid")
        add(config, Odd, 402)
        add(config, ZeroDivisionError, 401)
        add(config, KeyError, 302)
        add(config, OSError, 500)
        add(config, httpexceptions.HTTPGone, 451)
        return with_pyramid.wrap(config.make_wsgi_app(), router=router())


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (httpexceptions.HTTPUnauthorized(), 401),
        (httpexceptions.HTTPForbidden(), 403),
        (httpexceptions.HTTPNotFound(), 404),
        (httpexceptions.HTTPServiceUnavailable(), 503),
        (httpexceptions.HTTPFound("/log-in"), 403),
        (httpexceptions.HTTPGone(), 451),
        (Odd(), 402),
        (VeryOdd(), 402),
        (ZeroDivisionError(), 401),
        (KeyError("x"), 403),
    ],
)
def test_an_exception_view_of_pyramid_decides_the_status(error, status):
    assert outcome(pyramid_app(), "auth", error) == status


@pytest.mark.parametrize(
    "error", [RuntimeError("nobody has a view for it"), OSError("its view says 500")]
)
def test_what_pyramid_has_no_answer_to_is_raised_again(error):
    assert outcome(pyramid_app(), "auth", error) is error


@pytest.mark.parametrize(
    ("error", "code"), [(httpexceptions.HTTPForbidden(), 4403), (ZeroDivisionError(), 4401)]
)
def test_an_exception_view_of_pyramid_may_close(error, code):
    assert outcome(pyramid_app(), "message", error) == code


@pytest.mark.parametrize("error", [Odd(), httpexceptions.HTTPNotFound()])
def test_any_other_answer_of_pyramid_to_a_message_is_an_error(error):
    assert outcome(pyramid_app(), "message", error) is error


def test_a_catch_all_of_pyramid_is_not_shown_what_is_in_the_course_of_things():
    def answer(error, request):
        shown.append(error)
        return Response(status=500)

    shown: list[object] = []
    with Configurator() as config:
        config.add_exception_view(answer, context=Exception)
        app = with_pyramid.wrap(config.make_wsgi_app(), router=router())

    assert outcome(app, "message", ConnectionClosed(1001)) is None
    assert outcome(app, "auth", Refused(429, "not so fast")) == 429
    assert shown == []


def test_tweens_and_events_of_pyramid_are_around_an_event():
    seen: list[str] = []

    def tween_factory(handler, registry):
        def tween(request):
            seen.append("in")
            response = handler(request)
            seen.append(
                f"out {response.status_code} {request.matched_route.pattern} {request.matchdict}"
            )
            return response

        return tween

    globals()["tween_factory"] = tween_factory
    with Configurator() as config:
        config.add_tween(f"{__name__}.tween_factory")
        config.add_subscriber(lambda event: seen.append("new request"), "pyramid.events.NewRequest")
        config.add_subscriber(
            lambda event: seen.append("context found"), "pyramid.events.ContextFound"
        )
        app = with_pyramid.wrap(config.make_wsgi_app(), router=router())

    run_event(app, "message", Connection(), lambda: seen.append("event"))

    assert seen == [
        "in",
        "new request",
        "context found",
        "event",
        "out 204 /ws/{name} {'name': 'x'}",
    ]


# -- Falcon


def falcon_app() -> App:
    def answering(status: int) -> Any:
        def handle(req, resp, ex, params):
            resp.status = status

        return handle

    def raising(req, resp, ex, params):
        raise falcon.HTTPForbidden

    app = falcon.App()
    app.add_error_handler(Odd, answering(402))
    app.add_error_handler(ZeroDivisionError, answering(401))
    app.add_error_handler(KeyError, raising)
    app.add_error_handler(LookupError, answering(302))
    app.add_error_handler(OSError, answering(500))
    app.add_error_handler(falcon.HTTPGone, answering(451))
    return with_falcon.wrap(app, router=router())


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (falcon.HTTPUnauthorized(), 401),
        (falcon.HTTPTooManyRequests(), 429),
        (falcon.HTTPStatus(404), 404),
        (falcon.HTTPFound("/log-in"), 403),
        (falcon.HTTPGone(), 451),
        (Odd(), 402),
        (VeryOdd(), 402),
        (ZeroDivisionError(), 401),
        (KeyError("x"), 403),
        (IndexError("x"), 403),
    ],
)
def test_an_error_handler_of_falcon_decides_the_status(error, status):
    assert outcome(falcon_app(), "auth", error) == status


@pytest.mark.parametrize(
    "error", [RuntimeError("nobody has a handler for it"), OSError("its handler says 500")]
)
def test_what_falcon_has_no_answer_to_is_raised_again(error):
    assert outcome(falcon_app(), "auth", error) is error


@pytest.mark.parametrize(
    ("error", "code"), [(falcon.HTTPForbidden(), 4403), (ZeroDivisionError(), 4401)]
)
def test_an_error_handler_of_falcon_may_close(error, code):
    assert outcome(falcon_app(), "message", error) == code


@pytest.mark.parametrize("error", [Odd(), falcon.HTTPConflict()])
def test_any_other_answer_of_falcon_to_a_message_is_an_error(error):
    assert outcome(falcon_app(), "message", error) is error


# -- Bottle


def bottle_app() -> App:
    app = bottle.Bottle()

    @app.error(418)
    def teapot(error):
        bottle.response.status = 451
        return "not here"

    @app.error(500)
    def failed(error):
        if isinstance(error.exception, Odd):
            bottle.response.status = 402
        return "failed"

    return with_bottle.wrap(app, router=router())


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (bottle.HTTPError(401), 401),
        (bottle.HTTPError(503), 503),
        (bottle.HTTPResponse(status=404), 404),
        (bottle.HTTPResponse(status=303, Location="/log-in"), 403),
        (bottle.HTTPError(418), 451),
        (Odd(), 402),
        (VeryOdd(), 402),
    ],
)
def test_an_error_page_of_bottle_decides_the_status(error, status):
    assert outcome(bottle_app(), "auth", error) == status


def test_what_bottle_has_no_answer_to_is_raised_again():
    error = RuntimeError("on purpose")

    assert outcome(bottle_app(), "auth", error) is error


@pytest.mark.parametrize(
    ("error", "code"), [(bottle.HTTPError(401), 4401), (bottle.HTTPError(403), 4403)]
)
def test_an_answer_of_bottle_may_close(error, code):
    assert outcome(bottle_app(), "message", error) == code


def test_plugins_of_bottle_are_around_an_event():
    seen: list[object] = []

    class Plugin:
        api = 2

        def apply(self, callback, route):
            def wrapped(*args, **params):
                seen.append((route.rule, route.method, args, params))
                return callback(*args, **params)

            return wrapped

    app = bottle.Bottle()
    app.install(Plugin())

    run_event(with_bottle.wrap(app, router=router()), "message", Connection(), lambda: None)

    assert seen == [("/ws/{name}", "GET", (), {"name": "x"})]


def test_bottle_writes_no_traceback_of_its_own(capsys):
    outcome(bottle_app(), "message", RuntimeError("on purpose"))

    assert "on purpose" not in capsys.readouterr().err


# -- JSON


@dataclasses.dataclass
class Point:
    """A type of the app's own."""

    x: int

    def __json__(self, request: object) -> object:
        return {"x": self.x}


class Encoder(json.JSONEncoder):
    def default(self, o: object) -> object:
        return dataclasses.asdict(o) if isinstance(o, Point) else super().default(o)


def pyramid_adapters() -> App:
    renderer = JSON()
    renderer.add_adapter(datetime.date, lambda value, request: value.isoformat())
    with Configurator() as config:
        config.add_renderer("json", renderer)
        return with_pyramid.wrap(config.make_wsgi_app(), router=router())


def falcon_dumps() -> App:
    app = falcon.App()
    handler = falcon.media.JSONHandler(dumps=partial(json.dumps, cls=Encoder))
    app.resp_options.media_handlers["application/json"] = handler
    return with_falcon.wrap(app, router=router())


def bottle_dumps() -> App:
    app = bottle.Bottle()
    app.uninstall(bottle.JSONPlugin)
    app.install(bottle.JSONPlugin(json_dumps=partial(json.dumps, cls=Encoder)))
    return with_bottle.wrap(app, router=router())


@pytest.mark.parametrize("make", [pyramid_adapters, falcon_dumps, bottle_dumps])
def test_the_frameworks_encoder_knows_types_of_the_app(make):
    bridge: Any = make()._bridge

    assert bridge.json_default(Point(3)) == {"x": 3}
    with pytest.raises(TypeError):
        bridge.json_default(object())


def test_an_adapter_of_pyramid_is_asked():
    bridge: Any = pyramid_adapters()._bridge

    assert bridge.json_default(datetime.date(2024, 2, 3)) == "2024-02-03"


@pytest.mark.usefixtures("django_programs")
def test_djangos_encoder_is_asked():
    lines = printed_by("""
        import datetime, decimal, uuid
        from django.utils.functional import lazystr

        def main():
            for value in (lazystr("late"), datetime.timedelta(hours=1), decimal.Decimal("1.50"), uuid.UUID(int=7)):
                print(app._bridge.json_default(value))
            try:
                app._bridge.json_default(object())
            except TypeError as exc:
                print("TypeError")
    """)

    assert lines == [
        "late",
        "P0DT01H00M00S",
        str(decimal.Decimal("1.50")),
        str(uuid.UUID(int=7)),
        "TypeError",
    ]
