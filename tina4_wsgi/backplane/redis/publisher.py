"""What one process publishes in Redis: a queue, and a greenlet that empties it.

The greenlet has a connection of its own. A message leaves the queue when Redis has answered it. If
the connection breaks before the answer, the message is sent again; receivers recognize its number,
so nobody hears it twice. A message that breaks the connection again and again, or that can't be
encoded, is dropped, so that it doesn't hold up all the others.

Invariant: no exception ends the greenlet; without it this process would be mute for good.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import gevent
from gevent.event import Event

from .channels import RedisNode, client, describe, is_denied
from .cooperating import open_connection
from .health import Backoff, Health

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...config import Config
    from .channels import RedisConnection

logger = logging.getLogger("tina4_wsgi.backplane")

_ANSWER_S = 2.0
_MOST_MESSAGES, _MOST_BYTES = 128, 1 << 20  # of one batch; the first message may be larger
_POLL_S = 0.01
_MOST_TOLD = 100  # channels named in the log
_MOST_TRIES = 5
"""A message that broke a good connection this often is taken for the cause."""


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
        self._connection: RedisConnection | None = None
        self._is_stale = False
        self._failed_tries = 0  # with the first message of the queue, over good connections
        self._told: set[str] = set()  # channels that the log has named
        self._greenlet = gevent.spawn(self._run)

    @property
    def queued_messages(self) -> int:
        """Messages that Redis hasn't answered yet."""
        return len(self._queue)

    def put(self, channel: str, data: bytes, told: Callable[[int], None] | None = None) -> None:
        """Publish soon; drop and count the message if too much waits already.

        Args:
            told: is called with the number of subscribers that got the message.
        """
        if self._queue and self._queued_bytes + len(data) > self._config.max_backplane_bytes:
            self._health.dropped_messages += 1
            return

        self._queue.append(_Post(channel, data, told))
        self._queued_bytes += len(data)
        self._has_work.set()

    def renew(self) -> None:
        """Connect anew for the next message; called when another connection broke."""
        self._is_stale = True

    def flush(self, timeout_s: float) -> None:
        """Wait until the queue is empty, unless Redis is away."""
        give_up_at_s = time.monotonic() + timeout_s
        while self._queue and self._health.is_up and time.monotonic() < give_up_at_s:
            gevent.sleep(_POLL_S)

    def close(self) -> None:
        """End the greenlet soon; messages that wait are dropped."""
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
            except Exception as exc:  # noqa: BLE001  # nothing may end this greenlet
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
        connection = self._connection
        if connection is None:
            connection = open_connection(self._config, _ANSWER_S, self._place)
            self._connection = connection
        connection.connect()

        batch = self._next_batch(connection)
        if batch:
            self._failed_tries += 1
            connection.send_packed_command(
                [b"".join([packed for _, packed in batch])], check_health=False
            )

        # Redis answers in the order of the commands.
        for post, _ in batch:
            try:
                count = connection.read_response()
            except client.ResponseError as exc:
                if self._place.is_elsewhere(exc):
                    self._disconnect()
                    self._failed_tries = 0
                    return  # the batch is sent again, to that node
                self._drop(post, exc)
                count = 0
            else:
                self._health.allow(post.channel)
            self._failed_tries = 0
            self._leave(post, count)

        if not self._queue:
            self._has_work.clear()

    def _leave(self, post: _Post, count: int) -> None:
        """Remove the first post of the queue, and report how many subscribers got it."""
        self._queue.popleft()
        self._queued_bytes -= len(post.data)
        if post.told is not None:
            post.told(count)

    def _next_batch(self, connection: RedisConnection) -> list[tuple[_Post, bytes]]:
        """Encode the first posts of the queue as commands."""
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
                packed = b"".join(connection.pack_command(self._command, post.channel, post.data))
            except Exception as exc:  # noqa: BLE001  # redis-py has three trees of errors
                if batch:
                    break  # the next batch begins with this post, and drops it
                self._leave(post, 0)
                self._drop(post, exc)
                continue
            batch.append((post, packed))
        return batch

    def _drop(self, post: _Post, error: Exception) -> None:
        """Count a message that can't be published, and log it once for each channel."""
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
