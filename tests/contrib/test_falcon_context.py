"""What a Falcon app's resources are refused for when the app is wrapped, and what an event leaves
behind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import falcon
import falcon.asgi
import pytest

from tests.support.events import Connection, found, run_event
from tests.support.own_server import dial, running
from tina4_wsgi import Router
from tina4_wsgi.contrib.falcon import current_request, wrap
from tina4_wsgi.errors import ConnectionClosed, Refused, RouteError, UsageError


class Live:
    """A resource with a WebSocket."""

    def on_websocket(self, req, connection, event, data, name):
        """Nothing."""


class Middleware:
    """Writes down what is called, and raises what it is told to."""

    def __init__(self, name: str, calls: list[str]) -> None:
        self.name = name
        self.calls = calls
        self.raises: dict[str, Exception] = {}

    def _called(self, method: str, what: str = "") -> None:
        self.calls.append(f"{self.name} {method}{what}")
        if method in self.raises:
            raise self.raises[method]

    def process_request(self, req, resp):
        self._called("request")

    def process_resource(self, req, resp, resource, params):
        self._called("resource")

    def process_response(self, req, resp, resource, req_succeeded):
        self._called("response", " of success" if req_succeeded else " of failure")


class House:
    """A wrapped app with two middlewares, and its events."""

    def __init__(self, *, independent: bool = True, **options: Any) -> None:
        self.calls: list[str] = []
        self.connection = Connection()
        self.first, self.second = Middleware("first", self.calls), Middleware("second", self.calls)
        self.falcon_app = falcon.App(
            middleware=[self.first, self.second], independent_middleware=independent
        )
        self.falcon_app.add_route("/ws/{name}", Live())
        self.app = wrap(self.falcon_app, router=Router(), **options)

    def run(self, event: str, call: Callable[[], object] = lambda: None) -> object:
        return run_event(self.app, event, self.connection, call)

    def note(self) -> None:
        """What an event does."""
        self.calls.append("event")


IN = ["first request", "second request", "first resource", "second resource"]


@pytest.fixture
def house() -> House:
    return House()


def assert_no_current_request() -> None:
    with pytest.raises(UsageError, match="no WebSocket event"):
        current_request()


@pytest.mark.parametrize("independent", [True, False])
def test_an_event_goes_through_the_middleware_and_back(independent):
    house = House(independent=independent)

    house.run("message", lambda: house.calls.append(current_request().path))

    assert house.calls == [*IN, "/ws/x", "second response of success", "first response of success"]
    assert_no_current_request()


@pytest.mark.parametrize("independent", [True, False])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, falcon.HTTPConflict])
def test_an_event_that_raises_goes_back_as_a_failure(independent, error):
    house = House(independent=independent)

    def event() -> None:
        raise error

    with pytest.raises(error):
        house.run("message", event)

    assert house.calls == [*IN, "second response of failure", "first response of failure"]
    assert_no_current_request()


@pytest.mark.parametrize(
    ("independent", "behind"),
    [
        (True, ["second response of failure", "first response of failure"]),
        (False, ["first response of failure"]),
    ],
)
def test_what_is_behind_runs_as_falcon_has_it_when_middleware_refuses(independent, behind):
    house = House(independent=independent)
    house.second.raises["request"] = falcon.HTTPUnauthorized()

    with pytest.raises(Refused) as refused:
        house.run("auth")

    assert refused.value.status == 401
    assert house.calls == ["first request", "second request", *behind]


@pytest.mark.parametrize(
    ("error", "code"), [(falcon.HTTPUnauthorized, 4401), (falcon.HTTPForbidden, 4403)]
)
def test_middleware_that_refuses_later_closes(house, error, code):
    house.second.raises["resource"] = error()

    with pytest.raises(ConnectionClosed):
        house.run("message")

    assert house.connection.closed_with == code


def test_one_that_fails_is_an_error(house):
    house.first.raises["request"] = RuntimeError("no database")

    with pytest.raises(RuntimeError, match="no database"):
        house.run("message")

    assert house.connection.closed_with is None
    assert_no_current_request()


def test_one_that_fails_behind_lets_the_others_run(house):
    house.second.raises["response"] = RuntimeError("no database")

    with pytest.raises(RuntimeError, match="no database"):
        house.run("message")

    assert house.calls == [*IN, "second response of success", "first response of failure"]


@pytest.mark.parametrize("error", [falcon.HTTPUnauthorized(), RuntimeError("no database")])
def test_close_runs_whatever_the_middleware_does(house, error):
    house.first.raises["request"] = error

    house.run("close", house.note)

    assert house.calls == [*IN, "event", "second response of success", "first response of success"]


def test_an_event_inside_of_another_brings_the_outer_one_back(house):
    def outer() -> None:
        request = current_request()
        house.run("auth", lambda: seen.append(current_request() is request))
        seen.append(current_request() is request)

    seen: list[bool] = []
    house.run("message", outer)

    assert seen == [False, True]


def test_middleware_may_be_kept_to_the_handshake():
    house = House(middleware_per_event=False)

    house.run("message", lambda: house.calls.append(current_request().path))

    assert house.calls == ["/ws/x"]


@pytest.mark.parametrize("strips", [False, True])
def test_a_slash_at_the_end_is_no_part_of_a_name_whatever_falcon_takes_it_for(house, strips):
    house.falcon_app.req_options.strip_url_path_trailing_slash = strips

    assert found(house.app, "/ws/x/").params == {"name": "x"}


def test_a_route_that_is_added_later_is_found(house):
    house.falcon_app.add_route("/later/{name}", Live())

    assert found(house.app, "/later/x").params == {"name": "x"}
    assert found(house.app, "/later/x").route is found(house.app, "/later/y").route


def wrap_resource(resource: object, path: str = "/ws/{name}/{number:int}") -> None:
    app = falcon.App()
    app.add_route(path, resource)
    wrap(app, router=Router())


class TooFew:
    def on_websocket(self, req, connection):
        """It has no event and no data."""


class Unnamed:
    def on_websocket(self, req, connection, event, data, other):
        """It doesn't take the parameters of its path."""


class Generator:
    def on_websocket(self, req, connection, event, data, **params):
        yield


class Misspelt(Live):
    websocket_options = {"max_message": 1}  # noqa: RUF012

    def on_websocket(self, req, connection, event, data, **params):
        """It is right."""


@pytest.mark.parametrize(
    ("resource", "why"),
    [
        (TooFew(), r"expected \(req, connection, event, data, name, number\)"),
        (Unnamed(), r"expected \(req, connection, event, data, name, number\)"),
        (Generator(), "`yield`"),
        (Misspelt(), "max_message"),
    ],
)
def test_a_resource_that_cant_be_called_so_is_refused_with_its_line(resource, why):
    with pytest.raises(RouteError, match=rf"test_falcon_context\.py:\d+: route '/ws/.*{why}"):
        wrap_resource(resource)


@pytest.mark.parametrize("wrong", [None, lambda environ, start_response: [], falcon.asgi.App()])
def test_what_is_no_wsgi_app_of_falcon_is_not_wrapped(wrong):
    with pytest.raises(UsageError, match=r"expected a falcon\.App"):
        wrap(wrong)


def refuse_in_an_answer(req, resp, ex, params):
    """An error handler that answers instead of raising."""
    resp.status = falcon.HTTP_403


def test_an_error_that_the_app_answers_itself_refuses_with_its_status(house):
    house.falcon_app.add_error_handler(LookupError, refuse_in_an_answer)
    house.second.raises["request"] = LookupError("nobody of that name")

    with pytest.raises(Refused) as refused:
        house.run("auth")

    assert refused.value.status == 403


class OnlyBehind:
    """Middleware that does nothing ahead of a responder."""

    def __init__(self, calls: list[str]) -> None:
        self._calls = calls

    def process_response(self, req, resp, resource, req_succeeded):
        self._calls.append("only behind")


def test_dependent_middleware_may_have_nothing_to_do_ahead():
    house = House(independent=False)
    house.falcon_app.add_middleware(OnlyBehind(house.calls))

    house.run("message", house.note)

    assert house.calls == [
        *IN,
        "event",
        "only behind",
        "second response of success",
        "first response of success",
    ]


@pytest.mark.parametrize(("error", "status"), [(None, 101), (falcon.HTTPUnauthorized(), 401)])
def test_a_route_of_the_router_without_auth_has_the_middleware_asked_before_the_tunnel_opens(
    error, status
):
    house = House()
    house.app.router.websocket("/plain", lambda connection, event, data: None)
    if error is not None:
        house.first.raises["request"] = error

    with running(house.app) as server, dial(server) as client:
        head = client.ask_upgrade("/plain", "dGhlIHNhbXBsZSBub25jZQ==")

    assert head.status == status
    assert house.calls[0] == "first request"
