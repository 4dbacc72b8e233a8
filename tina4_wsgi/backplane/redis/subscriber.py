"""What one process hears from Redis: a connection, a greenlet that reads and one that writes.

The writer subscribes and unsubscribes. A channel stays subscribed while it was entered more often
than left. `enter` and `leave` only note what is wanted, and the writer carries it out.

Silence is not trusted: after `_SILENCE_S` Redis is pinged, and after the same time again it is
taken for gone.

Redis answers commands in order, and an error doesn't say which channel it is about. So each command
is remembered until it is answered. If the ACL forbids a command for several channels, each is tried
alone; one that is forbidden alone is left out, and the others are unaffected.

Invariant: no exception ends the two greenlets; without them this process would be deaf for good.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, Protocol

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

_SILENCE_S = 3.0
_POLL_S = 0.005
_CHANNELS_PER_COMMAND = 200
_MOST_TOLD = 100  # refused channels named in the log
_MESSAGES_PER_TURN = 256
"""Reading doesn't switch while bytes are there; after this many messages others get a turn."""


class _Channel:
    """One channel: how often it is wanted, and what Redis knows of that."""

    __slots__ = ("awaited_replies", "confirmed", "is_denied", "is_sent", "wanted")

    def __init__(self) -> None:
        self.wanted = 0
        self.is_sent = False  # whether the last command was to subscribe
        self.is_denied = False  # whether Redis refused that
        self.awaited_replies = 0
        self.confirmed = Event()


class _Sent(NamedTuple):
    """A command awaiting its answers: one for each channel, or one error for all."""

    is_subscribe: bool
    channels: list[str]


class Attendant(Protocol):
    """Somebody who must know when a subscription begins; the calls don't wait."""

    def began(self) -> None:
        """Note that there is a new connection, which has no subscription yet."""

    def confirmed(self, channel: str) -> None:
        """Note that Redis has confirmed a subscription."""


class RedisSubscriber:
    """The subscribing side.

    Args:
        received: is called with channel and message, in the reading greenlet.
        lost: is called when the connection is gone.
        needed: channels that this process can't do without; their refusal is an outage.

    Attributes:
        attendant: is told of new connections and of confirmed subscriptions; None for nobody.

    Greenlets: any of the hub's thread; only the methods that say so wait.
    """

    def __init__(
        self,
        config: Config,
        health: Health,
        place: RedisNode,
        received: Callable[[str, bytes], None],
        lost: Callable[[], None],
        needed: frozenset[str] = frozenset(),
    ) -> None:
        self._config = config
        self._health = health
        self._place = place
        self._received = received
        self._lost = lost
        self.attendant: Attendant | None = None
        self._needed = needed
        self._sent: deque[_Sent] = deque()
        self._told: set[str] = set()  # channels whose refusal was logged
        prefix = "S" if config.backplane_sharded else ""
        self._subscribe, self._unsubscribe = f"{prefix}SUBSCRIBE", f"{prefix}UNSUBSCRIBE"
        self._replies = {
            f"{prefix}subscribe".lower().encode(): self._is_subscribed,
            f"{prefix}unsubscribe".lower().encode(): self._is_unsubscribed,
            f"{prefix}message".lower().encode(): self._has_message,
        }
        self._channels: dict[str, _Channel] = {}
        self._changed: set[str] = set()
        self._connection: RedisConnection | None = None
        self._is_ping_due = False
        self._has_work = Event()
        self._greenlets = [gevent.spawn(self._read_forever), gevent.spawn(self._write_forever)]

    # -- what is wanted

    def enter(self, channel: str) -> None:
        """Count one more who wants a channel; subscribe soon if it is the first."""
        found = self._channels.get(channel)
        if found is None:
            found = self._channels[channel] = _Channel()
        found.wanted += 1
        if found.wanted == 1:
            self._change(channel)

    def leave(self, channel: str) -> None:
        """Count one less; unsubscribe soon if nobody wants the channel any more."""
        found = self._channels.get(channel)
        if found is None or not found.wanted:
            return

        found.wanted -= 1
        if not found.wanted:
            self._change(channel)

    def wait_until_confirmed(self, channel: str, timeout_s: float) -> bool:
        """Wait for Redis to confirm a subscription; return whether that was necessary.

        It isn't while Redis is away.
        """
        found = self._channels.get(channel)
        if found is None or found.confirmed.is_set() or self._health.is_down("subscriber"):
            return False
        found.confirmed.wait(timeout_s)
        return True

    def wait_until_all(self, channels: list[str], timeout_s: float) -> bool:
        """Wait until these subscriptions, as far as they are wanted, are confirmed or denied."""
        give_up_at_s = time.monotonic() + timeout_s
        while not self._is_ready(channels):
            if time.monotonic() > give_up_at_s:
                return False
            gevent.sleep(_POLL_S)
        return True

    def _is_ready(self, channels: list[str]) -> bool:
        found = [self._channels[name] for name in channels if name in self._channels]
        return self._connection is not None and all(
            one.confirmed.is_set() or not one.wanted for one in found
        )

    def wants(self, channel: str) -> bool:
        """Return whether a channel is wanted."""
        found = self._channels.get(channel)
        return found is not None and found.wanted > 0

    def is_confirmed(self, channel: str) -> bool:
        """Return whether a channel is wanted, and its messages arrive."""
        found = self._channels.get(channel)
        if found is None or not found.wanted or found.is_denied or self._connection is None:
            return False
        return found.is_sent and found.confirmed.is_set()

    def is_denied(self, channel: str) -> bool:
        """Return whether the ACL forbids a channel that is wanted."""
        found = self._channels.get(channel)
        return found is not None and found.is_denied and found.confirmed.is_set()

    def close(self) -> None:
        """End both greenlets soon; the reader closes the connection that it reads from."""
        gevent.killall(self._greenlets, block=False)

    def _change(self, channel: str) -> None:
        self._changed.add(channel)
        self._has_work.set()

    # -- writing

    def _write_forever(self) -> None:
        while True:
            self._has_work.wait()
            self._has_work.clear()
            connection = self._connection
            if connection is None:
                continue  # the reader sets the event when there is one

            try:
                self._write(connection)
            except Exception as exc:
                if not isinstance(exc, (client.RedisError, OSError)):
                    logger.exception("subscribing failed, and begins anew")
                connection.disconnect()  # the reader gets a ValueError, and starts anew

    def _write(self, connection: RedisConnection) -> None:
        if self._is_ping_due:
            self._is_ping_due = False
            connection.send_command("PING", check_health=False)

        changed, self._changed = sorted(self._changed & self._channels.keys()), set()
        wanted = [
            name
            for name in changed
            if self._channels[name].wanted and not self._channels[name].is_sent
        ]
        unwanted = [
            name
            for name in changed
            if not self._channels[name].wanted and self._channels[name].is_sent
        ]

        for name in set(changed) - set(wanted) - set(unwanted):
            self._forget(name)

        for is_subscribe, names in ((True, wanted), (False, unwanted)):
            alone = [name for name in names if self._channels[name].is_denied]
            together = [name for name in names if not self._channels[name].is_denied]
            for start in range(0, len(together), _CHANNELS_PER_COMMAND):
                self._send(
                    connection, is_subscribe, together[start : start + _CHANNELS_PER_COMMAND]
                )
            for name in alone:
                self._send(connection, is_subscribe, [name])

    def _send(self, connection: RedisConnection, is_subscribe: bool, names: list[str]) -> None:
        for name in names:
            channel = self._channels[name]
            channel.is_sent = is_subscribe
            channel.awaited_replies += 1
            channel.confirmed.clear()

        # Noted first: the answer may come while sending waits for room in the kernel's buffer.
        self._sent.append(_Sent(is_subscribe, list(names)))
        connection.send_command(
            self._subscribe if is_subscribe else self._unsubscribe, *names, check_health=False
        )

    # -- reading

    def _read_forever(self) -> None:
        try:
            self._connect_forever()
        finally:
            self._disconnect()

    def _connect_forever(self) -> None:
        backoff = Backoff()
        while True:
            try:
                connection = open_connection(self._config, _SILENCE_S, self._place)
                connection.connect()
                self._begin(connection)
                self._read(connection, backoff)
            # Also a ValueError of redis-py: the writer has closed the connection, or the answer
            # makes no sense.
            except Exception as exc:  # noqa: BLE001  # nothing may end this greenlet
                if self._place.is_elsewhere(exc):
                    self._disconnect()
                    gevent.sleep(backoff.next_s())  # nodes that disagree may redirect in a circle
                    continue
                self._place.forget()
                self._health.down("subscriber", describe(exc, self._config))
                self._lost()
            self._disconnect()
            gevent.sleep(backoff.next_s())

    def _begin(self, connection: RedisConnection) -> None:
        """Want all channels anew: a new connection has no subscriptions."""
        self._sent.clear()
        if self.attendant is not None:
            self.attendant.began()
        for name in list(self._channels):
            channel = self._channels[name]
            channel.is_sent, channel.awaited_replies = False, 0
            channel.confirmed.clear()
            self._forget(name)

        self._changed = set(self._channels)
        self._connection = connection
        self._has_work.set()

    def _read(self, connection: RedisConnection, backoff: Backoff) -> None:
        is_asked, count = False, 0
        while True:
            try:
                reply = connection.read_response(disconnect_on_error=False)
            except client.TimeoutError:
                if is_asked:
                    raise
                is_asked = self._is_ping_due = True
                self._has_work.set()
                continue
            except client.ResponseError as exc:
                self._is_refused(exc)
                continue

            is_asked = False
            if self._health.is_down("subscriber") and not self._is_settling():
                self._health.up("subscriber")
            backoff.reset()

            if isinstance(reply, list) and len(reply) >= 3:
                handle = self._replies.get(reply[0])
                if handle is not None:
                    handle(reply[1].decode(errors="replace"), reply[2])

            count += 1
            if count % _MESSAGES_PER_TURN == 0:
                gevent.sleep(0)

    def _is_settling(self) -> bool:
        """Return whether a new connection still has subscriptions to send."""
        return any(
            channel.wanted and not channel.is_sent and not channel.is_denied
            for channel in self._channels.values()
        )

    def _has_message(self, name: str, data: bytes) -> None:
        self._received(name, data)

    def _is_refused(self, error: Exception) -> None:
        """Take an error that answers the oldest command still waiting.

        Raises:
            Exception: the error itself, unless a channel is forbidden that isn't needed.
        """
        if not self._sent or not is_denied(error):
            raise error
        sent = self._sent.popleft()
        if not self._needed.isdisjoint(sent.channels) and len(sent.channels) == 1:
            raise error

        for name in sent.channels:
            channel = self._channels.get(name)
            if channel is None:
                continue
            channel.awaited_replies -= 1
            channel.is_sent = False
            if channel.is_denied or len(sent.channels) == 1:
                self._deny(name, channel, error)
            else:
                channel.is_denied = True  # perhaps: now it is tried alone
                self._change(name)
            self._forget(name)

    def _deny(self, name: str, channel: _Channel, error: Exception) -> None:
        """Do without a channel until there is a new connection, or somebody enters it again."""
        channel.is_denied = True
        channel.confirmed.set()  # waiting is useless
        self._health.deny(name)

        if name not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add(name)
            logger.error(
                "redis forbids %.200r, what is said there stays in each process: %s",
                name,
                describe(error, self._config),
            )

    def _answers(self, name: str) -> None:
        """Tick a channel off the command that it answers."""
        if self._sent and name in self._sent[0].channels:
            self._sent[0].channels.remove(name)
            if not self._sent[0].channels:
                self._sent.popleft()

    def _is_subscribed(self, name: str, _count: object) -> None:
        self._answers(name)
        channel = self._channels.get(name)
        if channel is not None:
            if channel.is_denied:
                channel.is_denied = False
                self._health.allow(name)
            channel.awaited_replies -= 1
            if channel.is_sent and not channel.awaited_replies:
                channel.confirmed.set()
                if self.attendant is not None:
                    self.attendant.confirmed(name)

    def _is_unsubscribed(self, name: str, _count: object) -> None:
        channel = self._channels.get(name)
        if channel is None:
            return
        if not channel.awaited_replies:
            # Not asked for: a Redis Cluster does this when a shard moves.
            raise client.ConnectionError("the shard has moved to another node")

        self._answers(name)
        channel.awaited_replies -= 1
        self._forget(name)

    def _forget(self, name: str) -> None:
        """Drop a channel that is neither wanted nor known to Redis."""
        channel = self._channels[name]
        if not channel.wanted and not channel.is_sent and channel.awaited_replies <= 0:
            channel.confirmed.set()
            del self._channels[name]

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()
