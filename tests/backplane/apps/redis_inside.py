"""The Redis backplane from inside: each function is tried in a patched process of its own, which
prints "done".

The wire of Redis is plain, so where a real one would have to be brought into a state by force, a
scripted one answers.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import logging  # noqa: E402
import socket  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402
import pytest  # noqa: E402

from tina4_wsgi.backplane.envelope import Kind, pack, pack_json  # noqa: E402
from tina4_wsgi.backplane.redis.backplane import RedisBackplane  # noqa: E402
from tina4_wsgi.backplane.redis.publisher import _Post  # noqa: E402
from tina4_wsgi.config import Config  # noqa: E402
from tina4_wsgi.errors import ConfigError  # noqa: E402

WAIT_S = 8.0
HELLO = b"\x81\x05hello"
STRANGER = bytes(range(16))


class Ears:
    """The connections of one process, as a backplane sees them."""

    def __init__(self) -> None:
        self.heard: list[tuple[Kind, str, bytes]] = []
        self.error: Exception | None = None

    def keeps(self, kind: Kind, name: str) -> bool:
        return False

    def deliver(self, kind: Kind, name: str, frame: bytes) -> None:
        if self.error is not None:
            raise self.error
        self.heard.append((kind, name, frame))

    def count_here(self, kind: Kind, name: str) -> int:
        return 0

    def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        return {"echo": question}


def join(url: str, **settings: Any) -> tuple[RedisBackplane, Ears]:
    ears = Ears()
    config = Config(backplane="redis", backplane_url=url, **settings)
    one = RedisBackplane(config, 0, ears)
    one.start()
    return one, ears


def wait_until(is_so: Callable[[], object], what: str) -> None:
    with gevent.Timeout(WAIT_S, AssertionError(what)):
        while not is_so():
            gevent.sleep(0.002)


def heard_by(one: RedisBackplane, kind: Kind, name: str) -> None:
    """Enter, and wait until Redis has confirmed it."""
    one.enter(kind, name)
    channel = one._channels.of(kind, name)
    wait_until(lambda: one._subscriber._channels[channel].confirmed.is_set(), "the subscription")


def envelope(kind: Kind, name: str, frame: bytes, number: int) -> bytes:
    return pack(kind, name, frame, STRANGER, number)


# -- with a real Redis


def who_retires_sends_all_of_it_and_hears_no_more(url: str) -> None:
    (one, ears), (other, others) = join(url), join(url)
    heard_by(one, Kind.PATH, "/x")
    heard_by(other, Kind.PATH, "/x")

    for _ in range(500):
        one.carry(Kind.PATH, "/x", HELLO)
    one.retire(WAIT_S)
    assert one.status().queued_messages == 0
    wait_until(lambda: len(others.heard) == 500, "all of it")

    other.carry(Kind.PATH, "/x", HELLO)
    other.retire(WAIT_S)
    one.retire(WAIT_S)
    one.enter(Kind.PATH, "/y")
    one.leave(Kind.PATH, "/y")
    assert one.wait_until_heard(Kind.PATH, "/y", WAIT_S) is False
    assert ears.heard == []
    one.close()
    other.close()


def who_closes_gives_the_connections_back(url: str) -> None:
    one, _ = join(url)
    heard_by(one, Kind.PATH, "/x")
    one.carry(Kind.PATH, "/x", HELLO)
    wait_until(lambda: not one.status().queued_messages, "the publishing")

    one.close()
    gevent.sleep(0)

    with gevent.Timeout(WAIT_S, AssertionError("Redis still has clients")):
        while b"name=tina4_wsgi" in ask(url, b"CLIENT LIST\r\n"):
            gevent.sleep(0.01)


def ask(url: str, command: bytes) -> bytes:
    host, port = url.removeprefix("redis://").split(":")
    with socket.create_connection((host, int(port))) as sock:
        sock.sendall(command)
        return sock.recv(100_000)


def long_names_are_hashed_and_reach_everybody(url: str) -> None:
    one, ears = join(url)
    name = "/" + "long" * 100
    heard_by(one, Kind.PATH, name)
    (other, _) = join(url)

    other.carry(Kind.PATH, name, HELLO)

    wait_until(lambda: ears.heard, "the message")
    assert ears.heard == [(Kind.PATH, name, HELLO)]
    assert b"tina4:path#" in ask(url, b"PUBSUB CHANNELS\r\n")
    assert b"longlong" not in ask(url, b"PUBSUB CHANNELS\r\n")
    one.close()
    other.close()


def who_enters_and_leaves_at_once_is_not_subscribed(url: str) -> None:
    one, _ = join(url)
    heard_by(one, Kind.PATH, "/other")

    one.enter(Kind.PATH, "/x")
    one.leave(Kind.PATH, "/x")
    one.leave(Kind.PATH, "/x")
    one.leave(Kind.PATH, "/never")
    heard_by(one, Kind.PATH, "/later")

    channels = ask(url, b"PUBSUB CHANNELS\r\n")
    assert b":/later" in channels
    assert b":/x" not in channels
    assert one._channels.of(Kind.PATH, "/x") not in one._subscriber._channels
    one.close()


def an_error_of_ours_while_handing_on_is_logged_and_the_next_arrives(url: str) -> None:
    (one, ears), (other, _) = join(url), join(url)
    heard_by(one, Kind.PATH, "/x")
    ears.error = LookupError("a mistake of ours")
    other.carry(Kind.PATH, "/x", HELLO)
    wait_until(lambda: "a mistake of ours" in log(), "the log line")

    ears.error = None
    other.carry(Kind.PATH, "/x", HELLO)

    wait_until(lambda: ears.heard == [(Kind.PATH, "/x", HELLO)], "the next one")
    assert "a message of another process could not be handed on" in log()
    one.close()
    other.close()


def what_a_user_may_not_publish_is_dropped_and_told_once(url: str) -> None:
    assert ask(url, b"ACL SETUSER mute on >pw +@all -publish allchannels\r\n") == b"+OK\r\n"
    one, _ = join(url.replace("redis://", "redis://mute:pw@"))
    heard_by(one, Kind.PATH, "/x")

    for _ in range(3):
        one.carry(Kind.PATH, "/x", HELLO)
    wait_until(lambda: one.status().dropped_messages == 3, "the refusals")

    assert one.status().queued_messages == 0
    assert log().count("can't be published and are dropped") == 1
    assert "tina4:path:/x" in log()
    assert "pw" not in log()
    one.close()


def what_comes_twice_is_heard_once_and_little_is_remembered(url: str) -> None:
    one, ears = join(url)
    heard_by(one, Kind.PATH, "/x")
    channel = one._channels.of(Kind.PATH, "/x")
    for number in (1, 2, 2, 1, 3):
        one._received(channel, envelope(Kind.PATH, "/x", HELLO, number))
    assert len(ears.heard) == 3

    for number in range(20_000):
        one._received(channel, pack(Kind.PATH, "/x", HELLO, number.to_bytes(16, "big"), 1))

    assert len(ears.heard) == 20_003
    assert len(one._repetitions._heard) == 20_000  # one was forgotten: that of the stranger
    one._received(channel, pack_json(Kind.HELLO, "", {}, STRANGER, 1))  # means nothing here
    assert log() == ""
    one.close()


def a_name_that_utf8_can_not_express_makes_nobody_deaf_or_mute(url: str) -> None:
    (one, ears), (other, others_ears) = join(url), join(url)
    for name in ("/\ud800", "\udfff", "/x\x00y"):
        one.enter(Kind.PATH, name)
        one.carry(Kind.ROOM, name, HELLO)
        assert one.ask({"ask": "count", "path": name}, 0.05) == []
    heard_by(one, Kind.PATH, "/x")
    heard_by(other, Kind.PATH, "/x")

    one.carry(Kind.PATH, "/x", HELLO)
    other.carry(Kind.PATH, "/x", HELLO)

    wait_until(lambda: ears.heard and others_ears.heard, "both to hear each other")
    assert one.status().is_up
    assert one.status().queued_messages == 0
    one.close()
    other.close()


def a_message_that_can_not_be_laid_out_is_dropped_and_the_next_arrives(url: str) -> None:
    (one, _), (other, ears) = join(url), join(url)
    heard_by(other, Kind.PATH, "/x")
    for channel in ("tina4:\ud800", None, object()):
        one._publisher._queue.append(_Post(channel, b"x", 1, None))
    told: list[int] = []
    one._publisher.put("tina4:\udc00", b"x", told.append)

    one.carry(Kind.PATH, "/x", HELLO)

    wait_until(lambda: ears.heard, "the next message")
    assert told == [0]
    assert one.status().dropped_messages == 4
    assert one.status().is_up
    one.close()
    other.close()


def what_an_acl_forbids_is_told_once_and_all_else_is_up(url: str) -> None:
    rules = (
        b"on >pw +@all ~* resetchannels &tina4:everybody &tina4:inbox:* &tina4:path:/ok* "
        b"&tina4:room:*"
    )
    assert ask(url, b"ACL SETUSER half " + rules + b"\r\n") == b"+OK\r\n"
    (one, ears), (other, _) = join(url.replace("redis://", "redis://half:pw@")), join(url)
    for name in ("/ok/1", "/no/1", "/ok/2", "/no/2", "/no/1"):
        one.enter(Kind.PATH, name)
    one.enter(Kind.ROOM, "any")

    assert not one.wait_until_heard(Kind.PATH, "/no/3", WAIT_S)
    for name in ("/ok/1", "/no/1", "/ok/2"):
        one.wait_until_heard(Kind.PATH, name, WAIT_S)
        other.carry(Kind.PATH, name, HELLO)
    one.wait_until_heard(Kind.ROOM, "any", WAIT_S)
    other.carry(Kind.ROOM, "any", HELLO)

    wait_until(lambda: len(ears.heard) == 3, "what may be heard")
    assert [name for _, name, _ in ears.heard] == ["/ok/1", "/ok/2", "any"]
    assert one.status().is_up
    assert one.status().outages == 0
    assert set(one.status().denied) == {"tina4:path:/no/1", "tina4:path:/no/2"}
    assert log().count("redis forbids") == 2
    assert "pw" not in log()

    one.leave(Kind.PATH, "/no/2")
    ask(url, b"ACL SETUSER half &tina4:path:/no/1\r\n")
    one.leave(Kind.PATH, "/no/1")
    one.leave(Kind.PATH, "/no/1")
    heard_by(one, Kind.PATH, "/no/1")
    other.carry(Kind.PATH, "/no/1", HELLO)
    wait_until(lambda: len(ears.heard) == 4, "what may be heard now")
    one.close()
    other.close()


def what_nobody_can_do_without_is_an_outage_while_it_is_forbidden(url: str) -> None:
    ask(url, b"ACL SETUSER lone on >pw +@all ~* resetchannels &tina4:path:*\r\n")
    one, _ = join(url.replace("redis://", "redis://lone:pw@"))
    wait_until(lambda: not one.status().is_up, "the outage")
    assert "NoPermission" in one.status().error

    ask(url, b"ACL SETUSER lone allchannels\r\n")

    wait_until(lambda: one.status().is_up, "the end of it")
    one.close()


def a_huge_number_in_its_name_mutes_nobody(url: str) -> None:
    one, ears = join(url)
    heard_by(one, Kind.PATH, "/x")
    channel = one._channels.of(Kind.PATH, "/x")
    for number in (7, 8, 2**64 - 1, 9, 9, 10, 2**40, 11, 10, 12):
        one._received(channel, envelope(Kind.PATH, "/x", HELLO, number))

    assert len(ears.heard) == 8  # each once: 7, 8, the two forged ones, 9, 10, 11 and 12
    one.close()


def a_question_that_makes_us_fail_is_answered_with_nothing(url: str) -> None:
    (one, ears), (other, _) = join(url), join(url)
    for one_of_us in (one, other):
        one_of_us._subscriber.wait_until_confirmed(one_of_us._channels.everybody, WAIT_S)

    def fail(question: dict[str, Any]) -> dict[str, Any]:
        if question["ask"] == "raise":
            raise OverflowError("too large")
        return {"huge": {1: object()}} if question["ask"] == "unpackable" else {"yes": 1}

    ears.answer = fail  # type: ignore[method-assign]
    assert other.ask({"ask": "raise"}, WAIT_S) == []
    assert other.ask({"ask": "unpackable"}, WAIT_S) == []
    assert other.ask({"no": "ask"}, WAIT_S) == []
    assert other.ask({"ask": "well"}, WAIT_S) == [{"yes": 1}]
    one.close()
    other.close()


def a_url_that_can_not_be_read_is_told_at_the_start(url: str) -> None:
    with pytest.raises(ConfigError, match="percent-encoded") as raised:
        join(url.replace("redis://", "redis://user:pass/word@"))

    assert "pass/" not in str(raised.value)


# -- with one that is scripted


class Scripted:
    """A Redis that answers what a test says, and writes down what it was asked.

    Args:
        answer: gives the answer to one command, None for the usual one.
    """

    def __init__(self, answer: Callable[[list[bytes]], bytes | None]) -> None:
        self.asked: list[list[bytes]] = []
        self.connections = 0
        self.lines: list[Any] = []
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}"
        gevent.spawn(self._accept)

    def _accept(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            self.connections += 1
            self.lines.append(sock)
            gevent.spawn(self._serve, sock)

    def _serve(self, sock: Any) -> None:
        with sock, sock.makefile("rb") as lines:
            while head := lines.readline():
                command = []
                for _ in range(int(head[1:])):
                    size = int(lines.readline()[1:])
                    command.append(lines.read(size + 2)[:-2])
                self.asked.append(command)
                answer = self._answer(command)
                sock.sendall(usual(command) if answer is None else answer)

    def count(self, name: bytes) -> int:
        return sum(command[0] == name for command in self.asked)


def usual(command: list[bytes]) -> bytes:
    name, *names = command
    if name.endswith(b"SUBSCRIBE"):
        return b"".join(reply(name.lower(), one) for one in names)
    return b":1\r\n" if name.endswith(b"PUBLISH") else b"+OK\r\n"


def reply(kind: bytes, name: bytes) -> bytes:
    return b"*3\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n:1\r\n" % (len(kind), kind, len(name), name)


def a_shard_that_has_moved_gets_the_message_where_it_is_now() -> None:
    there = Scripted(lambda command: None)
    port = there.url.rpartition(":")[2].encode()
    here = Scripted(
        lambda command: (
            b"-MOVED 7 127.0.0.1:" + port + b"\r\n" if command[0] == b"SPUBLISH" else None
        )
    )
    one, _ = join(here.url, backplane_sharded=True)

    one.carry(Kind.PATH, "/x", HELLO)

    wait_until(lambda: there.count(b"SPUBLISH") == 1, "the message")
    wait_until(lambda: not one.status().queued_messages, "the answer")
    assert one.status().dropped_messages == 0
    one.close()


def an_answer_that_can_not_be_parsed_is_an_outage() -> None:
    answers = [b"-MOVED somewhere\r\n"]
    here = Scripted(
        lambda command: answers.pop() if command[0] == b"SPUBLISH" and answers else None
    )
    one, _ = join(here.url, backplane_sharded=True)

    one.carry(Kind.PATH, "/x", HELLO)

    wait_until(lambda: here.count(b"SPUBLISH") == 2, "another try")
    wait_until(lambda: not one.status().queued_messages, "the answer")
    assert (one.status().outages, one.status().dropped_messages) == (1, 0)
    one.close()


def a_subscriber_whose_shard_leaves_connects_again() -> None:
    here = Scripted(lambda command: None)
    one, _ = join(here.url, backplane_sharded=True)
    heard_by(one, Kind.PATH, "/x")
    channel = one._channels.of(Kind.PATH, "/x").encode()
    (line,) = here.lines

    line.sendall(
        reply(b"sunsubscribe", b"unknown")
        + reply(b"ssubscribe", b"unknown")
        + reply(b"else", b"unknown")
    )
    line.sendall(b"+PONG\r\n")
    line.sendall(reply(b"sunsubscribe", channel))

    wait_until(lambda: here.connections == 2, "another connection")
    wait_until(
        lambda: one._subscriber._channels[channel.decode()].confirmed.is_set(), "the subscription"
    )
    assert one.status().outages == 1
    one.close()


def a_subscriber_that_can_not_write_connects_again() -> None:
    here = Scripted(lambda command: None)
    one, _ = join(here.url)
    heard_by(one, Kind.PATH, "/x")
    one._subscriber._connection._sock.shutdown(socket.SHUT_WR)

    one.enter(Kind.PATH, "/y")

    wait_until(lambda: here.connections == 2, "another connection")
    wait_until(
        lambda: one._subscriber._channels["tina4:path:/y"].confirmed.is_set(), "the subscription"
    )
    one.close()


_log_lines: list[str] = []


def log() -> str:
    return "\n".join(_log_lines)


class _Noting(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _log_lines.append(self.format(record))


if __name__ == "__main__":
    logging.getLogger("tina4_wsgi").addHandler(_Noting(logging.WARNING))
    globals()[sys.argv[1]](*sys.argv[2:])
    print("done")
