"""The queue of what one process publishes: what is sent, what is sent again, and what is dropped.

Redis is a connection that answers from a list, since what it must do here can't be had of a real
one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
import redis

from tina4_wsgi.backplane.redis import publisher as publisher_module
from tina4_wsgi.backplane.redis.channels import RedisNode
from tina4_wsgi.backplane.redis.health import Backoff, Health
from tina4_wsgi.backplane.redis.publisher import RedisPublisher
from tina4_wsgi.config import Config

WAIT_S = 5.0
MOST_BYTES = 65_536
GOOD, BROKEN = 1, redis.ConnectionError("broken")


class Line:
    """A connection of redis-py, and what Redis answers on it: numbers and errors, then ones."""

    def __init__(self, *answers: int | Exception) -> None:
        self.answers = list(answers)
        self.batches: list[list[bytes]] = []
        self.is_connected = False
        self.is_closed = False

    def connect(self) -> None:
        self.is_connected = True
        if self.answers and self.answers[0] is None:
            raise BROKEN

    def disconnect(self) -> None:
        self.is_closed = True

    def pack_command(self, *args: Any) -> list[bytes]:
        command, channel, data = args
        if channel == "unpackable":
            raise redis.DataError("no")
        return [f"{command} {channel} ".encode(), data + b"\n"]

    def send_packed_command(self, command: list[bytes], check_health: bool = True) -> None:
        assert (self.is_connected, check_health) == (True, False)
        self.batches += [joined.splitlines() for joined in command]

    def read_response(self) -> int:
        answer = self.answers.pop(0) if self.answers else GOOD
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def sent(self) -> list[bytes]:
        return [message for batch in self.batches for message in batch]


class Redis:
    """All connections that a publisher makes, one after the other."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.to_come: list[Line] = []
        self.nodes: list[RedisNode] = []

    def connection(self, config: Config, timeout_s: float, place: RedisNode) -> Line:
        self.nodes.append(place)
        self.lines.append(self.to_come.pop(0) if self.to_come else Line())
        return self.lines[-1]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Redis:
    server = Redis()
    monkeypatch.setattr(publisher_module, "open_connection", server.connection)
    monkeypatch.setattr(Backoff, "next_s", lambda self: 0.0)
    return server


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def publisher(server: Redis, health: Health) -> Iterator[RedisPublisher]:
    publisher = RedisPublisher(Config(max_backplane_bytes=MOST_BYTES), health, RedisNode())
    yield publisher
    publisher.close()
    gevent.sleep(0)


def wait_until_sent(publisher: RedisPublisher) -> None:
    with gevent.Timeout(WAIT_S):
        while publisher.queued_messages:
            gevent.sleep(0)


def test_messages_leave_together_and_in_order(server, publisher):
    for data in (b"one", b"two"):
        publisher.put("a", data)
    assert publisher.queued_messages == 2

    wait_until_sent(publisher)

    (line,) = server.lines
    assert line.batches == [[b"PUBLISH a one", b"PUBLISH a two"]]


def test_a_sharded_channel_has_a_command_of_its_own(server, health):
    config = Config(backplane="redis", backplane_url="redis://h", backplane_sharded=True)
    publisher = RedisPublisher(config, health, RedisNode())
    publisher.put("a", b"one")

    wait_until_sent(publisher)

    assert server.lines[0].sent == [b"SPUBLISH a one"]
    publisher.close()
    gevent.sleep(0)


def test_whoever_asks_is_told_how_many_got_it(server, publisher):
    server.to_come = [Line(3, 0)]
    told: list[int] = []

    publisher.put("a", b"one", told.append)
    publisher.put("b", b"two", told.append)
    wait_until_sent(publisher)

    assert told == [3, 0]


def test_what_comes_while_a_batch_is_away_is_sent_too(server, publisher):
    publisher.put("a", b"one", lambda count: publisher.put("a", b"two"))

    wait_until_sent(publisher)

    assert server.lines[0].batches == [[b"PUBLISH a one"], [b"PUBLISH a two"]]


def test_over_the_limit_messages_are_dropped_and_counted(server, publisher, health):
    publisher.put("a", bytes(MOST_BYTES - 40))
    publisher.put("a", bytes(40))
    publisher.put("a", b"x")
    assert (publisher.queued_messages, health.dropped_messages) == (2, 1)

    wait_until_sent(publisher)
    for data in (bytes(MOST_BYTES - 1), b"x", b"x"):
        publisher.put("a", data)
    assert (publisher.queued_messages, health.dropped_messages) == (2, 2)


def test_a_single_message_may_be_larger_than_the_limit(server, publisher, health):
    publisher.put("a", bytes(2 * MOST_BYTES))

    wait_until_sent(publisher)

    assert (len(server.lines[0].sent), health.dropped_messages) == (1, 0)


def test_a_message_without_an_answer_is_sent_again_over_a_new_connection(server, publisher, health):
    server.to_come = [Line(GOOD, BROKEN)]
    for data in (b"one", b"two"):
        publisher.put("a", data)

    wait_until_sent(publisher)

    first, second = server.lines
    assert (first.is_closed, second.sent) == (True, [b"PUBLISH a two"])
    assert (health.outages, health.is_up, health.dropped_messages) == (1, True, 0)


def test_a_message_that_breaks_five_connections_is_dropped_and_the_next_leaves(
    server, publisher, health, caplog
):
    server.to_come = [Line(BROKEN) for _ in range(5)]
    told: list[int] = []
    publisher.put("a", b"bad", told.append)
    publisher.put("a", b"good", told.append)

    wait_until_sent(publisher)

    assert [line.sent[0] for line in server.lines] == [b"PUBLISH a bad"] * 5 + [b"PUBLISH a good"]
    assert (told, health.dropped_messages) == ([0, 1], 1)
    assert "the connection broke 5 times while it was sent" in caplog.text


@pytest.mark.parametrize(("breaks", "dropped"), [(4, 0), (5, 1)])
@pytest.mark.parametrize(
    "first",
    [(GOOD, BROKEN), (redis.ResponseError("MOVED 7 10.0.0.7:6381"),)],
    ids=["success", "redirect"],
)
def test_a_success_and_a_redirect_forget_failed_tries(
    server, publisher, health, first, breaks, dropped
):
    server.to_come = [Line(*first), *(Line(BROKEN) for _ in range(breaks))]
    for data in (b"one", b"two"):
        publisher.put("a", data)

    wait_until_sent(publisher)

    assert health.dropped_messages == dropped


def test_connections_that_never_came_about_count_against_no_message(server, publisher, health):
    server.to_come = [Line(None) for _ in range(9)]  # type: ignore[arg-type]
    publisher.put("a", b"one")

    wait_until_sent(publisher)

    assert (server.lines[-1].sent, health.dropped_messages) == ([b"PUBLISH a one"], 0)


def test_what_redis_refuses_is_dropped_and_told_once_for_each_channel(
    server, publisher, health, caplog
):
    server.to_come = [Line(*[redis.ResponseError("no")] * 3)]

    with caplog.at_level(logging.ERROR, "tina4_wsgi.backplane"):
        for channel in "aab":
            publisher.put(channel, b"one")
        wait_until_sent(publisher)

    assert (health.dropped_messages, list(health.denied)) == (3, [])
    assert caplog.messages == [
        f"messages for {channel!r} can't be published and are dropped: ResponseError: no"
        for channel in "ab"
    ]


def test_only_a_hundred_channels_are_named_in_the_log(server, publisher, caplog):
    server.to_come = [Line(*[redis.ResponseError("no")] * 102)]

    for number in range(102):
        publisher.put(f"channel {number}", b"one")
    wait_until_sent(publisher)

    assert len(caplog.messages) == 100


def test_a_channel_that_the_acl_forbids_is_kept_until_it_is_allowed(server, publisher, health):
    server.to_come = [Line(redis.exceptions.NoPermissionError("no"), GOOD)]

    publisher.put("a", b"one")
    wait_until_sent(publisher)
    assert list(health.denied) == ["a"]

    publisher.put("a", b"two")
    wait_until_sent(publisher)
    assert list(health.denied) == []


def test_a_redirect_sends_the_rest_to_the_other_node(server, publisher, health):
    server.to_come = [Line(GOOD, redis.ResponseError("MOVED 7 10.0.0.7:6381"))]
    for data in (b"one", b"two"):
        publisher.put("a", data)

    wait_until_sent(publisher)

    first, second = server.lines
    assert (first.is_closed, second.sent) == (True, [b"PUBLISH a two"])
    assert server.nodes[-1].address == ("10.0.0.7", 6381)
    assert (health.outages, health.dropped_messages) == (0, 0)


def test_after_an_outage_the_node_of_the_url_is_asked_again(server, publisher):
    server.to_come = [Line(redis.ResponseError("MOVED 7 10.0.0.7:6381")), Line(BROKEN)]
    publisher.put("a", b"one")

    wait_until_sent(publisher)

    assert (len(server.lines), server.nodes[-1].address) == (3, None)


def test_a_message_that_can_not_be_encoded_is_dropped_alone(server, publisher, health, caplog):
    told: list[int] = []
    for channel in ("a", "unpackable", "b"):
        publisher.put(channel, b"one", told.append)

    wait_until_sent(publisher)

    assert server.lines[0].batches == [[b"PUBLISH a one"], [b"PUBLISH b one"]]
    assert (told, health.dropped_messages) == ([1, 0, 1], 1)
    assert "'unpackable' can't be published" in caplog.text


def test_a_batch_has_at_most_128_messages(server, publisher):
    for _ in range(129):
        publisher.put("a", b"1")

    wait_until_sent(publisher)

    assert [len(batch) for batch in server.lines[0].batches] == [128, 1]


def test_a_batch_has_at_most_a_mebibyte(server, health):
    publisher = RedisPublisher(Config(), health, RedisNode())
    for data in (bytes(1 << 19), bytes(1 << 19), b"1"):
        publisher.put("a", data)

    wait_until_sent(publisher)

    assert [len(batch) for batch in server.lines[0].batches] == [2, 1]
    publisher.close()
    gevent.sleep(0)


def test_a_message_larger_than_a_batch_is_sent_alone(server, publisher, monkeypatch):
    monkeypatch.setattr(publisher_module, "_MOST_BYTES", 2)

    for data in (b"large", b"1"):
        publisher.put("a", data)
    wait_until_sent(publisher)

    assert [len(batch) for batch in server.lines[0].batches] == [1, 1]


def test_a_new_connection_is_made_when_another_one_was_found_broken(server, publisher):
    publisher.put("a", b"one")
    wait_until_sent(publisher)

    publisher.renew()
    publisher.put("a", b"two")
    wait_until_sent(publisher)
    publisher.put("a", b"three")
    wait_until_sent(publisher)

    assert [line.sent for line in server.lines] == [
        [b"PUBLISH a one"],
        [b"PUBLISH a two", b"PUBLISH a three"],
    ]
    assert [line.is_closed for line in server.lines] == [True, False]


def test_a_flush_waits_for_the_queue(server, publisher):
    publisher.put("a", b"one")

    publisher.flush(WAIT_S)

    assert (publisher.queued_messages, server.lines[0].sent) == (0, [b"PUBLISH a one"])


def test_a_flush_waits_for_nothing_while_redis_is_away(server, publisher, health):
    health.down("subscriber", "gone")
    publisher.put("a", b"one")

    publisher.flush(WAIT_S)

    assert publisher.queued_messages == 1


def test_a_flush_gives_up_after_its_time(server, publisher):
    publisher.put("a", b"one")

    publisher.flush(0.0)

    assert publisher.queued_messages == 1


def test_the_end_closes_the_connection(server, publisher):
    publisher.put("a", b"one")
    wait_until_sent(publisher)

    publisher.close()
    gevent.sleep(0)

    assert server.lines[0].is_closed


def test_the_end_before_there_is_a_connection_is_no_error(publisher):
    publisher.close()
    gevent.sleep(0)

    assert (publisher._greenlet.ready(), publisher._greenlet.exception) == (True, None)


def test_a_flush_looks_a_hundred_times_a_second(publisher, monkeypatch):
    naps_s: list[float] = []

    def sleep(for_s: float) -> None:
        naps_s.append(for_s)
        if len(naps_s) == 3:
            publisher._queue.clear()

    publisher.put("a", b"x")
    monkeypatch.setattr(publisher_module, "gevent", SimpleNamespace(sleep=sleep))

    publisher.flush(WAIT_S)

    assert naps_s == [0.01] * 3
