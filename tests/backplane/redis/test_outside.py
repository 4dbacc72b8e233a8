"""A publisher in Redis: what it sends, what it makes of the answers, and where a redirect leads."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from tina4_wsgi.backplane.envelope import NOBODY, Kind, unpack
from tina4_wsgi.backplane.redis import channels as channels_module
from tina4_wsgi.backplane.redis import outside as outside_module
from tina4_wsgi.backplane.redis.channels import RedisNode
from tina4_wsgi.backplane.redis.outside import RedisOutsider
from tina4_wsgi.config import Config
from tina4_wsgi.errors import BackplaneError

HELLO = b"\x81\x05hello"
MOVED = redis.ResponseError("MOVED 7 10.0.0.7:6381")


class Line:
    """A connection of redis-py to a Redis that gives these answers."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.commands: list[tuple[Any, ...]] = []
        self.is_closed = False

    def connect(self) -> None: ...

    def disconnect(self) -> None:
        self.is_closed = True

    def send_command(self, *command: Any, check_health: bool) -> None:
        assert not check_health
        self.commands.append(command)

    def read_response(self) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def lines(monkeypatch):
    """The connections, in the order in which they are made; and to which node each is."""
    lines: list[Line] = []
    rest = iter(lines)
    nodes: list[Any] = []

    def connection(config: Config, timeout_s: float, place: RedisNode) -> Line:
        nodes.append(place.address)
        return next(rest)

    monkeypatch.setattr(outside_module, "new_connection", connection)
    return lines, nodes


def publisher(**settings: Any) -> RedisOutsider:
    return RedisOutsider(Config(backplane_prefix="t", backplane_url="redis://u:pw@h", **settings))


def test_it_says_how_many_processes_are_subscribed(lines):
    lines[0].append(Line(2))

    assert publisher().carry(Kind.PATH, "/x", HELLO) == (2, None)

    ((command, channel, data),) = lines[0][0].commands
    envelope = unpack(data)
    assert (command, channel) == ("PUBLISH", "t:path:/x")
    assert (envelope.kind, envelope.name, envelope.body) == (Kind.PATH, "/x", HELLO)
    assert (envelope.sender, envelope.number) == (NOBODY, 0)


def test_where_nobody_is_on_the_path_the_processes_are_counted(lines):
    lines[0].append(Line(0, [b"t:everybody", 3]))

    assert publisher().carry(Kind.PATH, "/x", HELLO) == (3, 0)

    assert lines[0][0].commands[1] == ("PUBSUB", "NUMSUB", "t:everybody")


def test_without_any_process_it_is_an_error(lines):
    lines[0].append(Line(0, [b"t:everybody", 0]))

    with pytest.raises(BackplaneError, match="nobody took the message: no process"):
        publisher().carry(Kind.PATH, "/x", HELLO)


def test_on_a_cluster_the_commands_are_those_of_shards(lines):
    lines[0].append(Line(0, [b"{t}:everybody", 1]))

    publisher(backplane="redis", backplane_sharded=True).carry(Kind.ROOM, "r", HELLO)

    assert [command[:2] for command in lines[0][0].commands] == [
        ("SPUBLISH", "{t}:room:r"),
        ("PUBSUB", "SHARDNUMSUB"),
    ]


def test_the_connection_is_kept_until_it_is_closed(lines):
    lines[0].extend([Line(1, 1), Line(1)])
    outsider = publisher()

    outsider.carry(Kind.PATH, "/x", HELLO)
    outsider.carry(Kind.PATH, "/x", HELLO)
    outsider.close()
    outsider.close()
    outsider.carry(Kind.PATH, "/x", HELLO)

    assert [len(line.commands) for line in lines[0]] == [2, 1]
    assert [line.is_closed for line in lines[0]] == [True, False]


def test_a_redirect_is_followed_once(lines):
    lines[0].extend([Line(MOVED), Line(1, 1)])
    outsider = publisher()

    assert outsider.carry(Kind.PATH, "/x", HELLO) == (1, None)
    outsider.carry(Kind.PATH, "/x", HELLO)

    assert lines[1] == [None, ("10.0.0.7", 6381)]
    assert [line.is_closed for line in lines[0]] == [True, False]


def test_a_second_redirect_is_an_error_and_the_url_counts_again(lines):
    lines[0].extend([Line(MOVED), Line(MOVED), Line(1)])
    outsider = publisher()

    with pytest.raises(BackplaneError, match="redis can't be reached: ResponseError: MOVED"):
        outsider.carry(Kind.PATH, "/x", HELLO)
    outsider.carry(Kind.PATH, "/x", HELLO)

    assert lines[1] == [None, ("10.0.0.7", 6381), None]


@pytest.mark.parametrize(
    "error", [redis.ConnectionError("no pw"), OSError("no pw"), redis.ResponseError("no pw")]
)
def test_an_error_is_told_without_the_password_and_ends_the_connection(lines, error):
    lines[0].extend([Line(error), Line(1)])
    outsider = publisher()

    with pytest.raises(BackplaneError, match=r"redis can't be reached: \w+: no \*\*\*$"):
        outsider.carry(Kind.PATH, "/x", HELLO)

    assert lines[0][0].is_closed
    assert outsider.carry(Kind.PATH, "/x", HELLO) == (1, None)


def test_without_redis_py_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(channels_module, "client", None)

    with pytest.raises(BackplaneError, match="pip install"):
        publisher()
