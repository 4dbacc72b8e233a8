"""Redis between all machines: a channel for each path and room, and one that everybody hears.

A process subscribes to the channels for which it has members, so a busy room costs nothing in a
process without members there. What a process publishes comes back to it, and is dropped by the
sender's id. Redis then carries everything: processes of one machine don't use the bus as well, or
they would hear messages twice.
"""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING

import gevent

from ...errors import UsageError
from ..contract import Facts, Receiver, Status
from ..envelope import (
    SENDER_BYTES,
    TOPIC_OF,
    Envelope,
    EnvelopeError,
    Kind,
    pack,
    pack_json,
    unpack,
)
from ..questions import Questions, answer_of
from .channels import Channels, RedisNode, check_client, new_connection
from .health import Health
from .kept import heard_in
from .line import RedisLine
from .publisher import RedisPublisher
from .repetitions import Repetitions
from .subscriber import RedisSubscriber

if TYPE_CHECKING:
    from ...config import Config

logger = logging.getLogger("tina4_wsgi.backplane")


class RedisBackplane:
    """This process in Redis; see `contract.Backplane`.

    Args:
        app_number: which app of the process this is; each has channels of its own.
        receiver: the connections here.
    """

    def __init__(self, config: Config, app_number: int, receiver: Receiver) -> None:
        self._config = config
        self._receiver = receiver
        self._channels = Channels(config.backplane_prefix, app_number, config.backplane_sharded)
        self._sender = secrets.token_bytes(SENDER_BYTES)
        self._number = 0
        self._health = Health()
        self._questions = Questions()
        self._repetitions = Repetitions()
        self._kept_repetitions = Repetitions()
        self._topics: dict[str, tuple[Kind, str]] = {}  # by channel, of those that are entered
        self._place: RedisNode | None = None
        self._publisher: RedisPublisher | None = None
        self._subscriber: RedisSubscriber | None = None
        self._has_logged_garbage = False
        self._reader: RedisPublisher | None = None
        self._line: RedisLine | None = None

    @property
    def line(self) -> RedisLine:
        """The connection to what is kept; made when somebody first asks for it."""
        line = self._line
        if line is None:
            publisher, subscriber = self._publisher, self._subscriber
            assert publisher is not None and subscriber is not None and self._place is not None
            reader = RedisPublisher(self._config, self._health, self._place, "reader")
            line = RedisLine(
                *(self._config, self._channels, self._sender, self._receiver, self._health),
                *(publisher, reader, subscriber),
            )
            self._reader, self._line, subscriber.attendant = reader, line, line
        return line

    @property
    def is_alone(self) -> bool:
        """Never certain: only Redis knows who subscribes."""
        return False

    def start(self) -> None:
        """Start to connect; whether Redis is there shows later.

        Raises:
            BackplaneError: redis-py is missing, or the URL is malformed.
        """
        check_client()
        place = self._place = RedisNode()
        new_connection(self._config, 1.0, place)  # doesn't connect, but checks the URL
        self._publisher = RedisPublisher(self._config, self._health, place)
        needed = frozenset({self._channels.everybody, self._channels.inbox(self._sender)})
        self._subscriber = RedisSubscriber(
            self._config, self._health, place, self._received, self._publisher.renew, needed
        )
        for channel in sorted(needed):
            self._subscriber.enter(channel)

    def carry(self, kind: Kind, name: str, frame: bytes) -> None:
        """Publish soon."""
        assert self._publisher is not None
        try:
            data = pack(kind, name, frame, self._sender, self._number + 1)
        except UsageError as exc:
            self._health.dropped_messages += 1
            self._report("a broadcast stays in this process: %s", exc)
            return

        self._number += 1
        if self._line is not None:
            self._line.flush()  # it was said before
        self._publisher.put(self._channels.of(kind, name), data)

    def ring(self, kind: Kind, name: str, frames: list[bytes], before: int) -> None:
        """Do nothing: who keeps a message in Redis publishes it with it."""

    def enter(self, kind: Kind, name: str) -> None:
        """Subscribe to a path or a room soon."""
        if self._subscriber is not None:
            channel = self._channels.of(kind, name)
            self._topics[channel] = (kind, name)
            if self._receiver.keeps(kind, name):
                self.line.enter(channel, (int(kind), name))
            self._subscriber.enter(channel)

    def leave(self, kind: Kind, name: str) -> None:
        """Drop one reason to be subscribed."""
        if self._subscriber is not None:
            channel = self._channels.of(kind, name)
            self._subscriber.leave(channel)
            if not self._subscriber.wants(channel):
                self._topics.pop(channel, None)
                if self._line is not None:
                    self._line.leave(channel)

    def wait_until_heard(self, kind: Kind, name: str, timeout_s: float) -> bool:
        """Wait until Redis confirms the subscription; don't wait while Redis is away."""
        if self._subscriber is None:
            return False
        return self._subscriber.wait_until_confirmed(self._channels.of(kind, name), timeout_s)

    def hear_all(self, timeout_s: float) -> None:
        """Do nothing: a subscription needs nobody's consent."""

    def ask(self, question: Facts, timeout_s: float) -> list[Facts]:
        """Ask all processes, or about a path those with members there, and wait for answers."""
        assert self._publisher is not None
        if not self._health.is_up:
            return []

        number, asked = self._questions.new(None)
        path = question.get("path")
        channel = self._channels.everybody if path is None else self._channels.of(Kind.PATH, path)

        try:
            self._publisher.put(
                channel, pack_json(Kind.ASK, "", question, self._sender, number), asked.expect
            )
            return [answer for answer in asked.wait(timeout_s) if answer]
        finally:
            self._questions.close(number)

    def retire(self, timeout_s: float) -> None:
        """Stop hearing, and wait until everything published has left."""
        if self._line is not None:
            self._line.flush()
            self._line.close()
        if self._subscriber is not None:
            self._subscriber.close()
            self._subscriber = None
        if self._publisher is not None:
            self._publisher.flush(timeout_s)

    def close(self) -> None:
        """Close the connections."""
        if self._line is not None:
            self._line.close()
        if self._reader is not None:
            self._reader.close()
        if self._subscriber is not None:
            self._subscriber.close()
        if self._publisher is not None:
            self._publisher.close()

    def status(self) -> Status:
        """Return the present state."""
        health = self._health
        queued = 0 if self._publisher is None else self._publisher.queued_messages
        return Status(
            "redis",
            health.is_up,
            0,
            queued,
            health.dropped_messages,
            health.outages,
            health.error,
            tuple(health.denied),
        )

    # -- what comes, in the reading greenlet

    def _received(self, channel: str, data: bytes) -> None:
        try:
            envelope = unpack(data)
            if envelope is not None:
                self._take(channel, envelope)
        except EnvelopeError as exc:
            if not self._has_logged_garbage:  # log it once, however much comes
                self._has_logged_garbage = True
                logger.warning("garbage in a Redis channel is dropped: %s", exc)
        except Exception:
            logger.exception("a message of another process could not be handed on")

    def _take(self, channel: str, envelope: Envelope) -> None:
        kind, sender = envelope.kind, envelope.sender
        if kind in TOPIC_OF:
            if sender != self._sender:
                self._take_broadcast(channel, envelope)
        elif kind is Kind.KEPT:
            self._take_kept(channel, envelope)
        elif kind is Kind.POINT:
            if self._line is not None:
                self._line.take(channel, envelope)
        elif kind is Kind.ASK:
            self._answer(envelope)
        elif kind is Kind.ANSWER:
            self._questions.take(envelope.number, sender, envelope.json())

    def _take_broadcast(self, channel: str, envelope: Envelope) -> None:
        kind, name = TOPIC_OF[envelope.kind], envelope.name
        if channel != self._channels.of(kind, name):
            raise EnvelopeError("a broadcast in another path's channel")
        if not envelope.body:
            return
        if not self._repetitions.is_news(envelope.sender, channel, envelope.number):
            return
        # One without a number is from a publisher that doesn't know what is kept.
        may_be_lost = envelope.kind is not kind or not envelope.number
        if may_be_lost and self._receiver.keeps(kind, name):
            self.line.doubt("another process said something that is not kept")
        self._receiver.deliver(kind, name, envelope.body)

    def _take_kept(self, channel: str, envelope: Envelope) -> None:
        topic = self._topics.get(channel)
        if topic is None:
            return  # nobody here is in it any more
        if self._receiver.keeps(*topic):
            self.line.take(channel, envelope)
            return
        # Another table of routes keeps it, as in the middle of a deploy; here it is an ordinary
        # broadcast.
        for told in heard_in(envelope):
            if self._kept_repetitions.is_news(told.sender, channel, told.ticket):
                self._receiver.deliver(*topic, told.kept.frame)

    def _answer(self, envelope: Envelope) -> None:
        if envelope.sender == self._sender:
            # Redis counts this process among those asked, but its own part is known already.
            self._questions.take(envelope.number, self._sender, {})
            return

        assert self._publisher is not None
        data = answer_of(self._receiver, envelope.json(), self._sender, envelope.number)
        self._publisher.put(self._channels.inbox(envelope.sender), data)

    def _report(self, message: str, *args: object) -> None:
        """Log in a greenlet of its own: in the hub, logging could wait for a lock."""
        gevent.spawn(logger.error, message, *args)
