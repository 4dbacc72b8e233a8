"""What one process hears of Redis: a connection, one greenlet that reads it and one that writes (un)subscriptions.

A channel is subscribed to as long as somebody has entered it more often than left it. Whoever reads is never waited
for: what is wanted is written down, and the writer makes it so.

Silence is not trusted: after `_SILENCE_S` Redis is pinged, and after as long again it is taken for gone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import gevent
from gevent.event import Event

from ..config import Config
from .channels import Place, client, describe, new_connection
from .health import Backoff, Health

logger = logging.getLogger("tina4_wsgi.backplane")

_SILENCE_S = 3.0
_CHANNELS_PER_COMMAND = 200
_MESSAGES_PER_TURN = 256
"""As long as bytes are there reading never switches; others get their turn after so many messages."""


class _Channel:
    """One channel: how many want it, and what of that Redis knows."""

    __slots__ = ("awaited_replies", "confirmed", "is_sent", "wanted")

    def __init__(self) -> None:
        self.wanted = 0
        self.is_sent = False  # the last command was to subscribe
        self.awaited_replies = 0
        self.confirmed = Event()


class RedisSubscriber:
    """The hearing side.

    Args:
        received: is called with channel and message, in the reading greenlet.
        lost: is called when the connection is gone.

    Greenlets: any of the hub's thread; only `wait_until_confirmed` waits.
    """

    def __init__(
        self, config: Config, health: Health, place: Place, received: Callable[[str, bytes], None],
        lost: Callable[[], None],
    ) -> None:
        self._config = config
        self._health = health
        self._place = place
        self._received = received
        self._lost = lost
        prefix = "S" if config.backplane_sharded else ""
        self._subscribe, self._unsubscribe = f"{prefix}SUBSCRIBE", f"{prefix}UNSUBSCRIBE"
        self._replies = {
            f"{prefix}subscribe".lower().encode(): self._is_subscribed,
            f"{prefix}unsubscribe".lower().encode(): self._is_unsubscribed,
            f"{prefix}message".lower().encode(): self._has_message,
        }
        self._channels: dict[str, _Channel] = {}
        self._changed: set[str] = set()
        self._connection: Any = None
        self._is_ping_due = False
        self._has_work = Event()
        self._greenlets = [gevent.spawn(self._read_forever), gevent.spawn(self._write_forever)]

    # -- what is wanted

    def enter(self, channel: str) -> None:
        """Subscribe soon, if nobody had entered it."""
        found = self._channels.get(channel)
        if found is None:
            found = self._channels[channel] = _Channel()
        found.wanted += 1
        if found.wanted == 1:
            self._change(channel)

    def leave(self, channel: str) -> None:
        """Unsubscribe soon, if this was the last to leave it."""
        found = self._channels.get(channel)
        if found is None or not found.wanted:
            return
        found.wanted -= 1
        if not found.wanted:
            self._change(channel)

    def wait_until_confirmed(self, channel: str, timeout_s: float) -> bool:
        """Wait until Redis has confirmed the subscription; not at all while it is away. Says whether it had to."""
        found = self._channels.get(channel)
        if found is None or found.confirmed.is_set() or self._health.is_down("subscriber"):
            return False
        found.confirmed.wait(timeout_s)
        return True

    def close(self) -> None:
        """End it, soon: the reader gives its connection back, since redis-py can't be read while another closes it."""
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
                continue  # the reader will say when there is one
            try:
                self._write(connection)
            except (client.RedisError, OSError):
                connection.disconnect()  # the reader finds out by a ValueError, and begins anew

    def _write(self, connection: Any) -> None:
        if self._is_ping_due:
            self._is_ping_due = False
            connection.send_command("PING", check_health=False)
        changed, self._changed = sorted(self._changed), set()
        wanted = [name for name in changed if self._channels[name].wanted and not self._channels[name].is_sent]
        unwanted = [name for name in changed if not self._channels[name].wanted and self._channels[name].is_sent]
        for name in set(changed) - set(wanted) - set(unwanted):
            self._forget(name)
        for command, names in ((self._subscribe, wanted), (self._unsubscribe, unwanted)):
            for start in range(0, len(names), _CHANNELS_PER_COMMAND):
                some = names[start : start + _CHANNELS_PER_COMMAND]
                for name in some:
                    channel = self._channels[name]
                    channel.is_sent = command is self._subscribe
                    channel.awaited_replies += 1
                    channel.confirmed.clear()
                connection.send_command(command, *some, check_health=False)

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
                connection = new_connection(self._config, _SILENCE_S, self._place)
                connection.connect()
                self._begin(connection)
                self._read(connection, backoff)
            # ValueError: of redis-py, when the writer has closed the connection, or for an answer that it can't parse.
            except (client.RedisError, OSError, ValueError) as exc:
                if self._place.is_elsewhere(exc):
                    self._disconnect()
                    gevent.sleep(backoff.next_s())  # nodes that disagree may send us to and fro
                    continue
                self._place.forget()
                self._health.down("subscriber", describe(exc, self._config))
                self._lost()
            self._disconnect()
            gevent.sleep(backoff.next_s())

    def _begin(self, connection: Any) -> None:
        """Everything is unknown to a new connection."""
        for name in list(self._channels):
            channel = self._channels[name]
            channel.is_sent, channel.awaited_replies = False, 0
            channel.confirmed.clear()
            self._forget(name)
        self._changed = set(self._channels)
        self._connection = connection
        self._has_work.set()

    def _read(self, connection: Any, backoff: Backoff) -> None:
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
        """Whether subscriptions are still to be confirmed after a new connection."""
        return any(channel.wanted and not channel.is_sent for channel in self._channels.values())

    def _has_message(self, name: str, data: bytes) -> None:
        self._received(name, data)

    def _is_subscribed(self, name: str, _count: object) -> None:
        channel = self._channels.get(name)
        if channel is not None:
            channel.awaited_replies -= 1
            if channel.is_sent and not channel.awaited_replies:
                channel.confirmed.set()

    def _is_unsubscribed(self, name: str, _count: object) -> None:
        channel = self._channels.get(name)
        if channel is None:
            return
        if not channel.awaited_replies:
            raise client.ConnectionError("the shard has moved to another node")  # nobody had asked for this
        channel.awaited_replies -= 1
        self._forget(name)

    def _forget(self, name: str) -> None:
        """Drop what is neither wanted nor known to Redis."""
        channel = self._channels[name]
        if not channel.wanted and not channel.is_sent and channel.awaited_replies <= 0:
            channel.confirmed.set()
            del self._channels[name]

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()
