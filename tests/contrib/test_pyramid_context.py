"""What a Pyramid app's WebSocket routes refuse when they are declared, and what an event leaves
behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationConflictError, ConfigurationExecutionError
from pyramid.httpexceptions import HTTPNotFound
from pyramid.threadlocal import get_current_request, manager

from tests.support.events import Connection, found, run_event
from tina4_wsgi import Router
from tina4_wsgi.contrib.pyramid import add_websocket, wrap
from tina4_wsgi.errors import ConnectionClosed, UsageError


def callback(request, connection, event, data):
    """One as it should be."""


class Transaction:
    """What a manager begins."""

    user = ""

    def note(self, text: str) -> None:
        """What it is about."""


class Manager:
    """A transaction manager that writes down what is done with it."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.is_doomed = False
        self.fails = False

    def begin(self) -> Transaction:
        self.calls.append("begin")
        return Transaction()

    def get(self) -> Transaction:
        return Transaction()

    def isDoomed(self) -> bool:
        return self.is_doomed

    def commit(self) -> None:
        self.calls.append("commit")
        if self.fails:
            raise RuntimeError("conflict")

    def abort(self) -> None:
        self.calls.append("abort")


class House:
    """A wrapped app with one WebSocket route, and its events."""

    def __init__(self, *, has_tm: bool = True, **settings: Any) -> None:
        self.tm = Manager()
        self.finished: list[bool] = []
        self.factory_fails = False
        self.connection = Connection()
        with Configurator(
            settings={"tm.manager_hook": lambda request: self.tm, **settings}
        ) as config:
            config.include("tina4_wsgi.contrib.pyramid")
            if has_tm:
                config.include("pyramid_tm")
            config.add_websocket("/ws/{name}", callback, factory=self.make_context)
            self.app = wrap(config.make_wsgi_app(), router=Router())

    def make_context(self, request):
        if self.factory_fails:
            raise HTTPNotFound
        return self

    def run(self, event: str, call: Callable[[], object] = lambda: None) -> object:
        return run_event(self.app, event, self.connection, call)

    def note_finish(self, *, fails: bool = False) -> None:
        """Have the current request note its end."""

        def finish(request):
            self.finished.append("commit" in self.tm.calls)
            if fails:
                raise ZeroDivisionError

        get_current_request().add_finished_callback(finish)


@pytest.fixture
def house() -> Iterator[House]:
    yield House()
    assert manager.stack == []


def test_an_event_commits_and_pops(house):
    def event() -> object:
        house.note_finish()
        assert get_current_request().environ["tm.active"]
        return get_current_request()

    request = house.run("message", event)

    assert house.tm.calls == ["begin", "commit"]
    assert house.finished == [True]
    assert get_current_request() is None
    assert "tm.active" not in request.environ


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, HTTPNotFound])
def test_an_event_that_raises_aborts_and_pops(house, error):
    def event() -> None:
        house.note_finish()
        raise error

    with pytest.raises(error):
        house.run("message", event)

    assert house.tm.calls == ["begin", "abort"]
    assert house.finished == [False]


def test_a_doomed_transaction_aborts(house):
    def event() -> None:
        house.tm.is_doomed = True

    house.run("message", event)

    assert house.tm.calls == ["begin", "abort"]


def test_a_commit_that_fails_is_raised(house):
    house.tm.fails = True

    with pytest.raises(RuntimeError, match="conflict"):
        house.run("message")

    assert house.tm.calls[:2] == ["begin", "commit"]


def test_a_finished_callback_that_raises_is_no_reason_to_stay(house):
    with pytest.raises(ZeroDivisionError):
        house.run("message", lambda: house.note_finish(fails=True))

    assert house.tm.calls == ["begin", "commit"]


def test_an_event_inside_of_another_leaves_its_transaction_alone(house):
    def event() -> None:
        outer = get_current_request()
        assert house.run("auth", get_current_request) is not outer
        assert get_current_request() is outer

    house.run("message", event)

    assert house.tm.calls == ["begin", "commit"]


def test_the_activate_hook_of_pyramid_tm_is_asked():
    house = House(**{"tm.activate_hook": lambda request: False})

    house.run(
        "message", lambda: house.finished.append("tm.active" in get_current_request().environ)
    )

    assert house.finished == [False]
    assert house.tm.calls == []


def test_close_runs_although_its_context_is_gone(house):
    house.factory_fails = True

    assert house.run("close", lambda: get_current_request().context is None) is True
    assert house.tm.calls == ["begin", "commit"]
    with pytest.raises(ConnectionClosed):
        house.run("message")
    assert house.connection.closed_with == 4403


def test_an_app_without_pyramid_tm_needs_none():
    house = House(has_tm=False)

    house.run(
        "message", lambda: house.finished.append("tm.active" in get_current_request().environ)
    )

    assert house.finished == [False]


def declare(*arguments: Any, **keywords: Any) -> None:
    with Configurator() as config:
        config.include("tina4_wsgi.contrib.pyramid")
        config.add_websocket(*arguments, **keywords)


@pytest.mark.parametrize("path", ["/ws/:name", "/ws/{name:no}", r"/ws/{name:\d+}"])
def test_a_path_that_cant_be_is_refused_at_the_commit_with_its_line(path):
    with pytest.raises(
        ConfigurationExecutionError, match=r"(?s)route .* refused.*test_pyramid_context"
    ):
        declare(path, callback)


def test_a_setting_that_isnt_one_is_refused():
    with pytest.raises(ConfigurationExecutionError, match="max_message"):
        declare("/ws", callback, max_message=1)


def test_one_path_twice_is_a_conflict():
    config = Configurator()
    config.include("tina4_wsgi.contrib.pyramid")
    config.add_websocket("/ws", callback)
    config.add_websocket("/ws", lambda *_: None)

    with pytest.raises(ConfigurationConflictError):
        config.commit()


@pytest.mark.parametrize(
    "wrong", [lambda request: None, lambda connection, event: None, "os.getcwd", 7]
)
def test_a_callback_that_cant_be_called_so_is_refused(wrong):
    with pytest.raises(
        UsageError, match=r"expected (a function of )?\(request, connection, event, data\)"
    ):
        declare("/ws", wrong)


def test_an_async_callback_is_refused():
    async def live(request, connection, event, data):
        """Nobody would await it."""

    with pytest.raises(UsageError, match="write `def`"):
        declare("/ws", live)


def test_a_generator_is_refused():
    def live(request, connection, event, data):
        yield

    with pytest.raises(UsageError, match="`yield`"):
        declare("/ws", live)


def test_what_is_no_pyramid_app_is_not_wrapped():
    with pytest.raises(UsageError, match=r"config\.make_wsgi_app"):
        wrap(lambda environ, start_response: [])


def test_a_path_may_be_written_as_pyramids_are():
    with Configurator() as config:
        add_websocket(config, "ws/board", callback)
    app = wrap(config.make_wsgi_app(), router=Router())

    assert found(app, "/ws/board") is not None
    assert found(app, "/ws/other") is None
