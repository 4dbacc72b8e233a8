"""A broadcast that no route can hear is pointed out, once, with the path that was meant."""

from __future__ import annotations

from collections.abc import Callable

import gevent
import pytest

from tina4_wsgi.engine.lost_broadcasts import LostBroadcasts
from tina4_wsgi.errors import Refused
from tina4_wsgi.routing.matching import Route


def route(path: str, kind: str = "websocket") -> Route:
    return Route(path, path, kind, frozenset({"GET"}), lambda *_: None)


ROUTES = [route("/ws/chat"), route("/ws/news"), route("/ws/chit", "http")]


def has_route(path: str) -> bool:
    if "\0" in path:
        raise Refused(400, "no such path")
    return path in {one.path for one in ROUTES if one.kind == "websocket"}


Say = Callable[[LostBroadcasts, str], list[str]]


@pytest.fixture
def say(caplog: pytest.LogCaptureFixture) -> Say:
    def say(lost: LostBroadcasts, path: str) -> list[str]:
        caplog.clear()
        lost.look(path)
        assert caplog.records == []  # it may be the hub that asks
        gevent.sleep(0)
        return [record.getMessage() for record in caplog.records]

    return say


def make() -> LostBroadcasts:
    return LostBroadcasts(lambda: ROUTES, has_route)


def test_a_path_without_a_route_is_told_with_the_one_that_is_like_it(say: Say) -> None:
    assert say(make(), "/ws/chta") == [
        "a broadcast to '/ws/chta' reaches nobody, since no WebSocket route has this path"
        "; did you mean '/ws/chat'?"
    ]


@pytest.mark.parametrize("path", ["/0123456789", "/ws/c\0"])
def test_a_path_that_is_like_none_or_can_not_be_one_is_told(say: Say, path: str) -> None:
    (line,) = say(make(), path)

    assert line.startswith(f"a broadcast to {path!r} reaches nobody")
    assert ("did you mean" in line) == path.startswith("/ws/")


def test_it_is_told_once(say: Say) -> None:
    lost = make()

    assert [len(say(lost, path)) for path in ("/a", "/b", "/a", "/b")] == [1, 1, 0, 0]


@pytest.mark.parametrize("path", ["/ws/chat", "//example.org/ws"])
def test_what_a_route_may_have_is_not_told(say: Say, path: str) -> None:
    assert say(make(), path) == []


def test_after_a_thousand_paths_nothing_is_looked_up_any_more(say: Say) -> None:
    asked: list[str] = []
    lost = LostBroadcasts(lambda: ROUTES, lambda path: bool(asked.append(path)) or True)

    for number in range(1_003):
        lost.look(f"/{number}")

    assert len(asked) == 1_000
    assert say(lost, "/one more") == []
