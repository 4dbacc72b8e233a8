"""What an event binds and runs in a Bottle app, and that nothing of it stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bottle
import pytest

from tests.support.events import Connection, run_event
from tina4_wsgi import Router
from tina4_wsgi.contrib.bottle import wrap
from tina4_wsgi.errors import ConnectionClosed, Refused, UsageError


class House:
    """A wrapped Bottle app whose hooks write down when they run, and its events."""

    def __init__(self, **options: Any) -> None:
        self.calls: list[str] = []
        self.refusal: Exception | None = None
        self.connection = Connection()
        app = bottle.Bottle()
        app.add_hook("before_request", self.before)
        app.add_hook("after_request", lambda: self.calls.append(f"after {bottle.request.path}"))
        router = Router()
        router.websocket("/ws/{name}", lambda connection, event, data: None)
        self.app = wrap(app, router=router, **options)

    def before(self) -> None:
        self.calls.append(f"before {bottle.request.path}")
        if self.refusal is not None:
            raise self.refusal

    def run(self, event: str, call: Callable[[], object] = lambda: None) -> object:
        return run_event(self.app, event, self.connection, call)

    def note(self) -> None:
        """What an event does."""
        self.calls.append(f"event {bottle.request.path}")

    def fail(self, error: type[BaseException]) -> Callable[[], None]:
        def event() -> None:
            raise error

        return event


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture(autouse=True)
def nothing_bound() -> None:
    """Let go of the last request of this thread, to which Bottle itself holds on."""
    bottle.request.bind({})
    bottle.response.bind()


def assert_unbound() -> None:
    """See that this thread has again what it had before."""
    assert "PATH_INFO" not in bottle.request.environ
    assert bottle.response.headerlist == [("Content-Type", "text/html; charset=UTF-8")]


def test_an_event_is_bound_between_the_hooks(house):
    house.run("message", house.note)

    assert house.calls == ["before /ws/x", "event /ws/x", "after /ws/x"]
    assert_unbound()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_event_that_raises_is_unbound_behind_its_hooks(house, error):
    with pytest.raises(error):
        house.run("message", house.fail(error))

    assert house.calls == ["before /ws/x", "after /ws/x"]
    assert_unbound()


def test_an_event_inside_of_another_brings_the_outer_one_back(house):
    def outer() -> None:
        environ = bottle.request.environ
        bottle.response.set_header("X-Outer", "1")
        house.run("auth", lambda: inner(environ))

        assert bottle.request.environ is environ
        assert bottle.response.get_header("X-Outer") == "1"

    def inner(environ: dict[str, Any]) -> None:
        assert bottle.request.environ is not environ
        assert bottle.response.get_header("X-Outer") is None

    house.run("message", outer)

    assert_unbound()


@pytest.mark.parametrize(
    ("status", "expected"), [(401, 401), (403, 403), (404, 404), (503, 503), (303, 403)]
)
def test_a_hook_that_answers_before_the_101_refuses(house, status, expected):
    house.refusal = bottle.HTTPResponse("no", status)

    with pytest.raises(Refused) as refused:
        house.run("auth")

    assert refused.value.status == expected
    assert_unbound()


@pytest.mark.parametrize(("status", "code"), [(401, 4401), (403, 4403), (404, 4403), (302, 4403)])
def test_one_that_answers_later_closes(house, status, code):
    house.refusal = bottle.HTTPError(status)

    with pytest.raises(ConnectionClosed):
        house.run("message")

    assert house.connection.closed_with == code


def test_one_that_answers_later_that_it_is_overloaded_closes_for_now(house):
    house.refusal = bottle.HTTPError(503)

    house.run("message")

    assert house.connection.closed_with == 1013


def test_one_that_fails_later_is_an_error(house):
    house.refusal = RuntimeError("no database")

    with pytest.raises(RuntimeError, match="no database"):
        house.run("message")

    assert house.connection.closed_with is None
    assert_unbound()


@pytest.mark.parametrize("error", [bottle.HTTPError(401), RuntimeError("no database")])
def test_close_runs_whatever_the_hooks_do(house, error):
    house.refusal = error

    house.run("close", house.note)

    assert house.calls == ["before /ws/x", "event /ws/x", "after /ws/x"]


def test_hooks_may_be_kept_to_the_handshake():
    house = House(hooks_per_event=False)

    house.run("auth")
    house.run("message", house.note)

    assert house.calls == ["before /ws/x", "after /ws/x", "event /ws/x"]


@pytest.mark.parametrize("wrong", [None, lambda environ, start_response: [], bottle.Bottle])
def test_what_is_no_bottle_is_not_wrapped(wrong):
    with pytest.raises(UsageError, match=r"no bottle\.Bottle"):
        wrap(wrong)
