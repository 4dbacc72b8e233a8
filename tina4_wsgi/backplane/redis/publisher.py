"""What one process says to Redis: a queue, and a greenlet that empties it.

Most of it is published; what is to be kept, or is asked, calls a script. The greenlet has a
connection of its own. A message leaves the queue when Redis has answered it. If
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

from ...errors import JournalError
from .channels import RedisNode, client, describe, is_denied
from .cooperating import open_connection
from .health import Backoff, Health
from .kept import encoded, greet

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...config import Config
    from .channels import RedisConnection
    from .kept import Command, Reply

logger = logging.getLogger("tina4_wsgi.backplane")

_ANSWER_S = 2.0
_MOST_MESSAGES, _MOST_BYTES = 128, 1 << 20  # of one batch; the first message may be larger
_POLL_S = 0.01
_MOST_TOLD = 100  # channels named in the log
_MOST_TRIES = 5
"""A message that broke a good connection this often is taken for the cause."""


_PASSING = ("READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY ", "NOREPLICAS")
"""Refusals that end by themselves, or lead to another server: a call is made again behind them."""

_PASSING_NAMES = (
    *("ReadOnlyError", "MasterDownError", "ClusterDownError", "TryAgainError"),
    "BusyLoadingError",
)
"""What redis-py makes of them; it takes the word away."""


class _Post(NamedTuple):
    """What waits to be said.

    Attributes:
        channel: to which it is published; "" for a call.
        lay_out: of a call; given which Redis it is for, returns the command.
        told: called with the reply, for a call that fails with the error.
    """

    channel: str
    data: bytes
    size_bytes: int
    told: Callable[[Reply], None] | None
    lay_out: Callable[[str], Command] | None = None


class RedisPublisher:
    """The publishing side.

    Args:
        part: the name of its connection, for `Health`.

    Greenlets: any of the hub's thread; only `flush` waits.
    """

    def __init__(
        self, config: Config, health: Health, place: RedisNode, part: str = "publisher"
    ) -> None:
        self._config = config
        self._health = health
        self._place = place
        self._part = part
        self._run_id = ""  # of the Redis at the other end, once a call has asked for it
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
        if self.is_full(len(data)):
            self._health.dropped_messages += 1
        else:
            self._add(_Post(channel, data, len(data), told))

    def call(
        self, size_bytes: int, lay_out: Callable[[str], Command], told: Callable[[Reply], None]
    ) -> None:
        """Call a script soon, behind what was put before; again where the connection breaks.

        Args:
            size_bytes: about how much it is.
            lay_out: given which Redis it is for, returns the command.
            told: is called with the reply, or with the error where Redis refuses.
        """
        self._add(_Post("", b"", size_bytes, told, lay_out))

    def is_full(self, size_bytes: int) -> bool:
        """Return whether so many bytes more are too many."""
        if not self._queue:
            return False
        most_bytes: int = self._config.max_backplane_bytes
        return self._queued_bytes + size_bytes > most_bytes

    def _add(self, post: _Post) -> None:
        self._queue.append(post)
        self._queued_bytes += post.size_bytes
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
                self._health.down(self._part, describe(exc, self._config))
                self._disconnect()
                self._place.forget()
                gevent.sleep(backoff.next_s())
            else:
                self._health.up(self._part)
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
        if not self._run_id and not self._get_to_know(connection):
            return

        batch = self._next_batch(connection)
        if batch:
            self._failed_tries += 1
            connection.send_packed_command(
                [b"".join([packed for _, packed in batch])], check_health=False
            )
        if self._read_replies(connection, batch) and not self._queue:
            self._has_work.clear()

    def _read_replies(self, connection: RedisConnection, batch: list[tuple[_Post, bytes]]) -> bool:
        """Read the replies to a batch; return False where the rest must be sent again."""
        # Redis answers in the order of the commands.
        for post, _ in batch:
            try:
                reply = connection.read_response()
            except client.ResponseError as exc:
                if self._place.is_elsewhere(exc) or self._has_lost_scripts(exc, post):
                    self._disconnect()
                    self._failed_tries = 0
                    return False  # the batch is sent again, to that node, or with the scripts
                if post.lay_out is not None and _is_passing(exc):
                    self._failed_tries = 0
                    raise
                reply = self._refused(post, exc)
            else:
                self._health.allow(post.channel)
            self._failed_tries = 0
            self._leave(post, reply)
        return True

    def _get_to_know(self, connection: RedisConnection) -> bool:
        """Prepare a connection for calls, if there are any; return whether it may be used."""
        if not any(post.lay_out for post in self._queue):
            return True
        try:
            self._run_id = greet(connection)
        except (client.ResponseError, JournalError) as exc:
            self._disconnect()  # with replies that nobody has read
            if self._place.is_elsewhere(exc):
                return False
            if _is_passing(exc):
                raise
            calls = [post for post in self._queue if post.lay_out]
            self._queue = deque(post for post in self._queue if not post.lay_out)
            for post in calls:
                self._queued_bytes -= post.size_bytes
                assert post.told is not None
                post.told(exc)
            return False
        return True

    def _has_lost_scripts(self, error: Exception, post: _Post) -> bool:
        return post.lay_out is not None and type(error).__name__ == "NoScriptError"

    def _refused(self, post: _Post, error: Exception) -> object:
        """Take note that Redis, or redis-py, refuses a post; return what is told of it."""
        if post.lay_out is not None:
            return error
        self._drop(post, error)
        return 0

    def _leave(self, post: _Post, reply: object) -> None:
        """Remove the first post of the queue, and report the reply."""
        self._queue.popleft()
        self._queued_bytes -= post.size_bytes
        if post.told is not None:
            post.told(reply)

    def _next_batch(self, connection: RedisConnection) -> list[tuple[_Post, bytes]]:
        """Encode the first posts of the queue as commands."""
        if self._failed_tries >= _MOST_TRIES and self._queue:
            self._failed_tries = 0
            post = self._queue[0]
            broken = ConnectionError(f"the connection broke {_MOST_TRIES} times while it was sent")
            self._leave(post, self._refused(post, broken))

        batch: list[tuple[_Post, bytes]] = []
        size = 0
        for post in list(self._queue):
            size += post.size_bytes
            if batch and (size > _MOST_BYTES or len(batch) == _MOST_MESSAGES):
                break
            try:
                packed = b"".join(self._packed(connection, post))
            except Exception as exc:  # noqa: BLE001  # redis-py has three trees of errors
                if batch:
                    break  # the next batch begins with this post, and drops it
                self._leave(post, self._refused(post, exc))
                continue
            batch.append((post, packed))
        return batch

    def _packed(self, connection: RedisConnection, post: _Post) -> list[bytes]:
        if post.lay_out is None:
            return connection.pack_command(self._command, post.channel, post.data)
        return [encoded(post.lay_out(self._run_id))]

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
        self._run_id = ""
        if connection is not None:
            connection.disconnect()


def _is_passing(error: Exception) -> bool:
    text = str(error)
    # Redis 6 quotes what a command of a script said.
    is_said = text.startswith(_PASSING) or "READONLY" in text
    return is_said or type(error).__name__ in _PASSING_NAMES
