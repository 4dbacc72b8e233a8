"""A re-check that can't be made within its time ends in closed; one hiccup sends nobody away."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.event import Event
from greenlet import GreenletExit
from werkzeug.exceptions import Forbidden, ServiceUnavailable

from tests.support.engine_house import House, wait_until
from tina4_wsgi.websocket import deadlines
from tina4_wsgi.websocket.inquiries import Farewell

EVERY_S = 0.05


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let re-checks fail for three intervals only, where users get five seconds at least."""
    monkeypatch.setattr(deadlines, "_LEAST_AUTH_S", 0.6)


class Login:
    """An `auth` that does as it is told.

    Attributes:
        act: what it does from now on.
        count: how often it was asked.
        is_asked: set at each time.
    """

    def __init__(self, act: Callable[[], Any]) -> None:
        self.act = act
        self.count = 0
        self.is_asked = Event()

    def __call__(self, request: Any) -> Any:
        self.count += 1
        self.is_asked.set()
        return self.act()

    def wait(self, times: int) -> None:
        """Wait until it was asked so often."""
        while self.count < times:
            self.is_asked.clear()
            assert self.is_asked.wait(5)


def fail(error: BaseException) -> Callable[[], Any]:
    def act() -> Any:
        raise error

    return act


def hang() -> Any:
    Event().wait()


@pytest.fixture
def events() -> list[str]:
    return []


@pytest.fixture
def note(events: list[str]) -> Callable[..., None]:
    def callback(connection: Any, event: str, data: Any) -> None:
        events.append(event)

    return callback


@pytest.mark.parametrize(
    "act",
    [
        fail(LookupError("no database")),
        fail(ServiceUnavailable()),
        fail(gevent.Timeout(1)),
        fail(SystemExit(1)),
        fail(BaseException("odd")),
        lambda: ("ada", 200),
        lambda: Forbidden,
        hang,
    ],
    ids=["raises", "503", "Timeout", "SystemExit", "BaseException", "a tuple", "a class", "hangs"],
)
def test_whoever_cannot_be_checked_any_more_is_closed_with_1013(
    house: House, act, note, events
) -> None:
    login = Login(act)
    client, connection = house.connect(note, auth=login, reauth_every=EVERY_S)

    assert client.read_close() == 1013
    client.send_close(1013)
    client.read_to_end()
    assert connection.close_reason == "login could not be checked"
    assert login.count > 1  # it was tried again
    while events != ["open", "close"]:
        gevent.sleep(0)


def test_an_auth_that_does_not_answer_is_logged_as_that_and_is_no_error_of_a_callback(
    house: House, note, caplog: pytest.LogCaptureFixture
) -> None:
    client, connection = house.connect(note, auth=Login(hang), reauth_every=EVERY_S)

    assert client.read_close() == 1013

    told = f"auth of /ws/test has not answered within 0.2 s, connection {connection.id}"
    assert {(one.levelname, one.getMessage()) for one in caplog.records} == {("ERROR", told)}
    assert connection._lifecycle.service.tally.error_count == 0


def test_a_re_check_that_is_killed_is_logged_as_that(
    house: House, note, caplog: pytest.LogCaptureFixture
) -> None:
    login = Login(fail(GreenletExit()))
    client, connection = house.connect(note, auth=login, reauth_every=EVERY_S)

    assert client.read_close() == 1013

    told = f"callback of /ws/test was killed at 'auth', connection {connection.id}"
    assert {(one.levelname, one.getMessage()) for one in caplog.records} == {("WARNING", told)}


def test_not_even_an_auth_that_swallows_everything_keeps_somebody_in(house: House, note) -> None:
    may_end = Event()

    def swallow() -> Any:
        while not may_end.is_set():
            with contextlib.suppress(BaseException):  # the worst that an app can do
                may_end.wait()

    client, _ = house.connect(note, auth=Login(swallow), reauth_every=EVERY_S)

    assert client.read_close() == 1013
    may_end.set()


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (lambda: None, 4401),
        (lambda: False, 4401),
        (lambda: "", 4401),
        (fail(Forbidden()), 4403),
        (lambda: Forbidden(), 4403),
    ],
)
def test_whoever_is_refused_goes_at_once(house: House, act, code, note) -> None:
    login = Login(act)
    client, _ = house.connect(note, auth=login, reauth_every=EVERY_S)

    assert client.read_close() == code
    assert login.count == 1


@pytest.mark.parametrize(
    "hiccup", [fail(LookupError("no database")), fail(gevent.Timeout(1)), hang]
)
def test_one_hiccup_sends_nobody_away(house: House, hiccup, note) -> None:
    login = Login(hiccup)
    _, connection = house.connect(note, auth=login, reauth_every=EVERY_S)

    login.wait(1)
    login.act = lambda: "ada"
    login.wait(5)

    assert not connection.closed
    assert connection.auth == "ada"


def test_a_callback_that_runs_for_long_is_no_hiding_place(house: House) -> None:
    """Its connection is asked about beside it, so that a revoked login ends while it still runs."""
    may_end = Event()
    login = Login(lambda: "ada")
    client, connection = house.connect(lambda *_: may_end.wait(), auth=login, reauth_every=EVERY_S)

    login.wait(4)
    assert not connection.closed
    login.act = lambda: None
    assert client.read_close() == 4401
    may_end.set()


def test_nor_is_anybody_closed_because_of_one(house: House) -> None:
    may_end = Event()
    login = Login(lambda: "ada")
    _, connection = house.connect(lambda *_: may_end.wait(), auth=login, reauth_every=EVERY_S)

    began_at_s = house.engine.hub.loop.now()
    while house.engine.hub.loop.now() < began_at_s + 3 * deadlines._LEAST_AUTH_S:
        gevent.sleep(EVERY_S)

    assert not connection.closed
    may_end.set()


def test_a_re_check_that_waits_is_not_begun_twice(house: House, note) -> None:
    login = Login(hang)
    client, _ = house.connect(note, auth=login, reauth_every=EVERY_S)
    waiting: list[int] = []

    def ask() -> Any:
        waiting.append(house.engine.dispatcher.busy_count)
        hang()

    login.act = ask
    assert client.read_close() == 1013
    assert max(waiting) == 1


def test_whoever_asks_again_may_set_a_time_of_their_own(house: House) -> None:
    """A Timeout belongs to the block that it was made for, and isn't taken for a failure of
    `auth`.
    """
    told: list[object] = []

    def ask(connection: Any, event: str, data: Any) -> None:
        if event == "open":
            with gevent.Timeout(0.05, False):
                told.append(connection.refresh_auth())
            told.append("gave up")

    _, connection = house.connect(ask, auth=Login(hang))

    while not told:
        gevent.sleep(0)
    assert told == ["gave up"]
    assert not connection.closed


def test_while_one_waits_for_its_answer_no_other_is_begun(
    house: House, note, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "_LEAST_AUTH_S", 60.0)
    gate, sweeps = Event(), []
    login = Login(lambda: gate.wait() and "ada")
    house.connect(note, auth=login, reauth_every=EVERY_S)
    login.wait(1)

    house.engine.on_sweep = lambda: bool(sweeps.append(0)) or True
    wait_until(lambda: len(sweeps) > 4)
    house.engine.on_sweep = None

    assert login.count == 1
    gate.set()


@pytest.mark.parametrize(("auth", "may_stay"), [('"ada"', False), ('"bob"', True)])
def test_whoever_was_sent_away_while_auth_answered_may_not_stay(
    house: House, note, auth: str, may_stay: bool
) -> None:
    def act() -> Any:
        house.engine.inquiries.note(Farewell(auth, 4_001, "away"), None)
        return "ada"

    _, connection = house.connect(note, auth=Login(act))
    connection.auth = "eve"

    assert connection.refresh_auth() is may_stay

    assert connection.auth == ("ada" if may_stay else "eve")
    assert (connection.close_code, connection.close_reason) == (
        (None, "") if may_stay else (4_001, "away")
    )


def test_messages_before_the_next_re_check_ask_nobody(house: House) -> None:
    login = Login(lambda: "ada")

    def echo(connection: Any, event: str, data: Any) -> None:
        if event == "message":
            connection.send(data)

    client, _ = house.connect(echo, auth=login, reauth_every=600.0)
    for text in ("a", "b", "c"):
        client.send_text(text)

    assert [client.read_text() for _ in range(3)] == ["a", "b", "c"]
    assert login.count == 0


@pytest.mark.parametrize(
    ("act", "may_stay", "auth", "code"),
    [
        (lambda: "bob", True, "bob", None),
        (fail(LookupError("no database")), True, "ada", None),
        (fail(ServiceUnavailable()), True, "ada", None),
        (fail(Forbidden()), False, "ada", 4403),
        (lambda: None, False, "ada", 4401),
    ],
)
def test_whoever_asks_again_is_told_whether_the_client_may_stay(
    house: House, note, act: Callable[[], Any], may_stay: bool, auth: str, code: int | None
) -> None:
    _, connection = house.connect(note, auth=Login(act))
    connection.auth = "ada"

    assert connection.refresh_auth() is may_stay

    assert (connection.auth, connection.close_code) == (auth, code)


@pytest.mark.parametrize("end", [lambda: "ada", fail(LookupError("no database"))])
def test_an_auth_that_outlasts_its_connection_can_still_answer(
    house: House, caplog: pytest.LogCaptureFixture, end: Callable[[], Any]
) -> None:
    may_end, may_answer = Event(), Event()

    def wait_and_end() -> Any:
        may_answer.wait()
        return end()

    def callback(connection: Any, event: str, data: Any) -> None:
        if event == "message":
            may_end.wait()

    login = Login(wait_and_end)
    client, connection = house.connect(callback, auth=login, reauth_every=EVERY_S)
    client.send_text("hello")
    login.wait(1)
    client.reset()
    may_end.set()
    del connection
    wait_until(lambda: not house.process.connection_count)

    may_answer.set()
    gevent.sleep(0.01)

    assert [one for one in caplog.messages if "callback failed" in one] == []
    assert login.count == 1
