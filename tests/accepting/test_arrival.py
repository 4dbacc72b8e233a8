"""A log-out reaches those of whom the answer is still awaited: handshakes, and re-checks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from gevent.event import Event

from tests.support.engine_house import wait_until
from tests.support.own_server import dial, running
from tests.support.raw import RawClient, request_head
from tina4_wsgi import ANONYMOUS, App, Router
from tina4_wsgi.engine import presence
from tina4_wsgi.websocket.bridge import Bridge

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
WAIT_S = 10.0


class Slow(Bridge):
    """A framework that takes its time before it lets anybody in."""

    def __init__(self, hall: Hall) -> None:
        self._hall = hall

    def admit(self, environ: Any, match: Any) -> None:
        self._hall.wait()


class Hall:
    """An app whose `auth` answers when it is let; what it answers was true before.

    Attributes:
        auth: what the next answer is.
        is_slow: whether `auth` waits for `answer`.
    """

    def __init__(
        self, auth: Any = "ada", bridge: type[Slow] | None = None, **settings: Any
    ) -> None:
        self.auth = auth
        self.is_slow = True
        self.is_asked, self.may_answer = Event(), Event()
        self.events: list[str] = []
        router = Router()
        router.websocket("/ws/room/{name}", self.tell, auth=self.ask if bridge is None else None)
        self.app = App(
            router=router,
            backplane="none",
            bridge=None if bridge is None else bridge(self),
            **settings,
        )

    def wait(self) -> None:
        if self.is_slow:
            self.is_asked.set()
            assert self.may_answer.wait(WAIT_S)

    def ask(self, request: Any) -> Any:
        found = self.auth
        self.wait()
        return found

    def tell(self, connection: Any, event: str, data: Any) -> None:
        self.events.append(event)
        if event == "message":
            self.is_slow = True
            connection.send(f"{connection.refresh_auth()} {connection.auth}")

    @contextlib.contextmanager
    def client(self, path: str = "/ws/room/a") -> Iterator[RawClient]:
        """Begin a handshake, and go on when it waits for `auth`."""
        with running(self.app) as server, dial(server) as client:
            client.send_bytes(request_head(path, "localhost", KEY, ()))
            assert not self.is_slow or self.is_asked.wait(WAIT_S)
            yield client
            client.close()
            self.app.drain(0.5)


@pytest.mark.parametrize(
    ("whom", "expected"),
    [
        ({"auth": "ada"}, 401),
        ({"path": "/ws/room/a"}, 401),
        ({"path": "/ws/room/a//"}, 401),
        ({"auth": "ada", "path": "/ws/room/a"}, 401),
        ({"auth": "ada", "code": 4401}, 401),
        ({"auth": "ada", "code": 4403}, 403),
        ({"auth": "ada", "code": 1012}, 503),
        ({"auth": "ada", "code": 1001}, 503),
        ({"auth": "ada", "code": 4000}, 401),
    ],
)
def test_a_handshake_that_waits_for_auth_is_refused_when_it_is_meant(whom, expected):
    hall = Hall()
    with hall.client() as client:
        assert hall.app.disconnect(**whom) == 0
        hall.may_answer.set()
        head = client.read_head()

    assert head.status == expected
    assert ("retry-after" in head.headers) == (expected == 503)
    assert hall.events == []


@pytest.mark.parametrize(
    "whom",
    [
        {"auth": "grace"},
        {"path": "/ws/room/b"},
        {"auth": "ada", "path": "/ws/room/b"},
        {"auth": ["ada"]},
        {"connection_id": "0" * 32},
        {"auth": "ada", "connection_id": "0" * 32},
    ],
)
def test_nobody_else_is(whom):
    hall = Hall()
    with hall.client() as client:
        hall.app.disconnect(**whom)
        hall.may_answer.set()

        assert client.read_head().status == 101


@pytest.mark.parametrize("auth", [{"id": 1, "name": "ada"}, 7, True, ["ada", 7]])
def test_a_login_is_compared_as_that_of_a_connection(auth):
    hall = Hall(auth)
    with hall.client() as client:
        for other in (1, 1.0, "7", "true", {"name": "ada", "id": True}):
            hall.app.disconnect(auth=other)
        hall.app.disconnect(auth=auth)
        hall.may_answer.set()

        assert client.read_head().status == 401


@pytest.mark.parametrize("auth", [ANONYMOUS, object()])
def test_whoever_has_no_login_that_json_knows_is_only_meant_by_path(auth):
    hall = Hall(auth)
    with hall.client() as client:
        hall.app.disconnect(auth="ada")
        hall.app.disconnect(auth=repr(auth))
        hall.may_answer.set()
        assert client.read_head().status == 101

    hall = Hall(auth)
    with hall.client() as client:
        hall.app.disconnect(path="/ws/room/a")
        hall.may_answer.set()
        assert client.read_head().status == 401


def test_a_framework_that_is_asked_counts_as_waiting():
    hall = Hall(bridge=Slow)
    with hall.client() as client:
        hall.app.disconnect(path="/ws/room/a")
        hall.may_answer.set()

        assert client.read_head().status == 401


def test_a_question_of_another_process_counts_as_well():
    hall = Hall()
    with hall.client() as client:
        question = presence.disconnect_question(None, None, "ada", 4401, "logged out")
        assert hall.app._here().answer(question) == {"closed": 0}  # as the relay has it, in the hub
        hall.may_answer.set()

        assert client.read_head().status == 401


def test_whoever_comes_behind_the_log_out_is_let_in():
    hall = Hall()
    hall.is_slow = False
    hall.app.disconnect(auth="ada")
    with hall.client() as client:
        assert client.read_head().status == 101


def test_nothing_is_kept_of_a_handshake_that_is_over():
    hall = Hall()
    hall.auth = None
    with hall.client() as client:
        hall.may_answer.set()
        assert client.read_head().status == 401
        (engine,) = hall.app._here().engines
        assert engine.inquiries.open == {}


@pytest.mark.parametrize("whom", [{"auth": "grace"}, {"auth": "ada"}, {"path": "/ws/room/a"}])
def test_a_re_check_that_waits_is_not_overtaken_by_a_log_out(whom):
    """The connection was ada's; while the re-check that makes it grace's waits, either of them is
    sent away.
    """
    hall = Hall()
    hall.is_slow = False
    with hall.client() as client:
        assert client.read_head().status == 101
        hall.auth = "grace"
        client.send_text("again")
        assert hall.is_asked.wait(WAIT_S)
        hall.app.disconnect(**whom, code=4401, reason="logged out")
        hall.may_answer.set()

        assert client.read_close() == 4401


def test_a_re_check_of_somebody_else_goes_on():
    hall = Hall()
    hall.is_slow = False
    with hall.client() as client:
        assert client.read_head().status == 101
        hall.auth = "grace"
        client.send_text("again")
        assert hall.is_asked.wait(WAIT_S)
        hall.app.disconnect(auth="mallory")
        hall.may_answer.set()

        assert client.read_text() == "True grace"


class Register:
    """Writes down what an app tells other processes of a path's members."""

    def __init__(self, app: App, has_to_wait: bool) -> None:
        self.told: list[str] = []
        fanout = app._here().fanout
        fanout.wait_until_heard = lambda kind, name: has_to_wait  # type: ignore[method-assign]
        fanout.entered = lambda kind, name: self.told.append("entered")  # type: ignore[method-assign]
        fanout.left = lambda kind, name: self.told.append("left")  # type: ignore[method-assign]


def room(auth: Any = None) -> App:
    router = Router()
    router.websocket("/ws/room/{name}", lambda connection, event, data: None, auth=auth)
    return App(router=router, backplane="none")


def come_twice(app: App, served: Any = None, *, has_to_wait: bool = False) -> list[str]:
    """Let two clients in, one after the other; gives what others are told of the second."""
    register = Register(app, has_to_wait)
    with running(app if served is None else served) as server:
        with dial(server) as first, dial(server) as second:
            first.upgrade("/ws/room/a")
            wait_until(lambda: app.count("/ws/room/a") == 1)
            register.told.clear()
            second.upgrade("/ws/room/a")
            wait_until(lambda: app.count("/ws/room/a") == 2)
            told = list(register.told)
            app.drain(0.5)
        return told


def test_others_need_not_be_told_of_whoever_joins_those_who_are_there() -> None:
    assert come_twice(room()) == []


def test_they_are_told_while_their_broadcasts_have_yet_to_arrive_here() -> None:
    assert come_twice(room(), has_to_wait=True) == ["entered", "left"]


def test_they_are_told_for_as_long_as_auth_may_wait() -> None:
    assert come_twice(room(auth=lambda request: "ada")) == ["entered", "left"]


def test_they_are_told_for_as_long_as_a_middleware_keeps_the_answer() -> None:
    app = room()

    def around(environ: Any, start_response: Any) -> Any:
        return app(environ, lambda status, headers, exc=None: start_response(status, headers))

    around.drain = app.drain  # type: ignore[attr-defined]
    assert come_twice(app, around) == ["entered", "left"]
