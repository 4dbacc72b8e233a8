"""What one process publishes in Redis: a queue, and a greenlet that empties it over a connection of
its own.

A message leaves the queue when Redis has answered for it. When the connection broke before the
answer it is sent again; receivers know it by its number, so nobody hears it twice. One that breaks
the connection again and again, or that can't be laid out, is dropped: what stands first in the
queue must not keep all others from leaving.

Invariant: no exception ends the greenlet; without it this process would be mute for good.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import gevent
from gevent.event import Event

from ...config import Config
from .channels import RedisNode, client, describe, is_denied, new_connection
from .health import Backoff, Health

logger = logging.getLogger("tina4_wsgi.backplane")

_ANSWER_S = 2.0
_MOST_MESSAGES, _MOST_BYTES = 128, 1 << 20  # of one batch; the first message may be larger
_POLL_S = 0.01
_MOST_TOLD = 100  # channels that the log names
_MOST_TRIES = 5
"""A message whose sending has broken a good connection so often is what breaks it."""


class _Post(NamedTuple):
    channel: str
    data: bytes
    told: Callable[[int], None] | None


class RedisPublisher:
    """The publishing side.

    Greenlets: any of the hub's thread; only `flush` waits.
    """

    def __init__(self, config: Config, health: Health, place: RedisNode) -> None:
        self._config = config
        self._health = health
        self._place = place
        self._command = "SPUBLISH" if config.backplane_sharded else "PUBLISH"
        self._queue: deque[_Post] = deque()
        self._queued_bytes = 0
        self._has_work = Event()
        self._connection: Any = None
        self._is_stale = False
        self._failed_tries = 0  # of what is first in the queue, over connections that were good
        self._told: set[str] = set()  # what was logged once
        self._greenlet = gevent.spawn(self._run)

    @property
    def queued_messages(self) -> int:
        """What Redis has not answered for yet."""
        return len(self._queue)

    def put(self, channel: str, data: bytes, told: Callable[[int], None] | None = None) -> None:
        """Publish soon; dropped, and counted, when too much waits already.

        Args:
            told: is called with the number of subscribers that got it.
        """
        if self._queue and self._queued_bytes + len(data) > self._config.max_backplane_bytes:
            self._health.dropped_messages += 1
            return
        self._queue.append(_Post(channel, data, told))
        self._queued_bytes += len(data)
        self._has_work.set()

    def renew(self) -> None:
        """Connect anew for the next message: another connection has found Redis gone."""
        self._is_stale = True

    def flush(self, timeout_s: float) -> None:
        """Wait until nothing waits, while Redis is there."""
        give_up_at_s = time.monotonic() + timeout_s
        while self._queue and self._health.is_up and time.monotonic() < give_up_at_s:
            gevent.sleep(_POLL_S)

    def close(self) -> None:
        """End it, soon; what waits is dropped."""
        self._greenlet.kill(block=False)

    def _run(self) -> None:
        try:
            self._send_forever()
        finally:
            self._disconnect()

    def _send_forever(self) -> None:
        backoff = Backoff()
        while True:
            self._has_work.wait()
            try:
                self._send_batch()
            except Exception as exc:  # noqa: BLE001  # what ended this greenlet would make the process mute
                self._health.down("publisher", describe(exc, self._config))
                self._disconnect()
                self._place.forget()
                gevent.sleep(backoff.next_s())
            else:
                self._health.up("publisher")
                backoff.reset()

    def _send_batch(self) -> None:
        if self._is_stale:
            self._is_stale = False
            self._disconnect()
        if self._connection is None:
            self._connection = new_connection(self._config, _ANSWER_S, self._place)
        connection = self._connection
        connection.connect()
        batch = self._next_batch()
        if batch:
            self._failed_tries += 1
            connection.send_packed_command(
                [b"".join([packed for _, packed in batch])], check_health=False
            )
        for post, _ in batch:
            try:
                count = connection.read_response()
            except client.ResponseError as exc:
                if self._place.is_elsewhere(exc):
                    self._disconnect()
                    self._failed_tries = 0
                    return  # the batch is sent again, there
                self._drop(post, exc)
                count = 0
            else:
                self._health.allow(post.channel)
            self._failed_tries = 0
            self._leave(post, count)
        if not self._queue:
            self._has_work.clear()

    def _leave(self, post: _Post, count: int) -> None:
        """Take the first post out of the queue, and say how many subscribers got it."""
        self._queue.popleft()
        self._queued_bytes -= len(post.data)
        if post.told is not None:
            post.told(count)

    def _next_batch(self) -> list[tuple[_Post, bytes]]:
        """Lay out the first posts of the queue as commands."""
        if self._failed_tries >= _MOST_TRIES and self._queue:
            self._failed_tries = 0
            post = self._queue[0]
            self._leave(post, 0)
            self._drop(
                post, ConnectionError(f"the connection broke {_MOST_TRIES} times while it was sent")
            )
        batch: list[tuple[_Post, bytes]] = []
        size = 0
        for post in list(self._queue):
            size += len(post.data)
            if batch and (size > _MOST_BYTES or len(batch) == _MOST_MESSAGES):
                break
            try:
                packed = b"".join(
                    self._connection.pack_command(self._command, post.channel, post.data)
                )
            except Exception as exc:  # noqa: BLE001  # redis-py has three trees of errors
                if batch:
                    break  # it is dropped when it is the first
                self._leave(post, 0)
                self._drop(post, exc)
                continue
            batch.append((post, packed))
        return batch

    def _drop(self, post: _Post, error: Exception) -> None:
        """Count what can't be published, and log it once for each channel."""
        self._health.dropped_messages += 1
        if is_denied(error):
            self._health.deny(post.channel)
        if post.channel in self._told or len(self._told) >= _MOST_TOLD:
            return
        self._told.add(post.channel)
        logger.error(
            "messages for %.200r can't be published and are dropped: %s",
            post.channel,
            describe(error, self._config),
        )

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()
