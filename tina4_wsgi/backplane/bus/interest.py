"""What this process wants to hear of, so that siblings don't wake it for what is for nobody here.

How it works. A process tells its siblings everything, at first. One that hears of a path or a room
again and again, and has nobody there, asks the sender to SKIP it. Before somebody comes, it asks
those senders to RESUME, and each answers RESUMED on the link that its broadcasts take, so behind
that answer none is missing. A process tells everything again to one whose link to it has ended,
since requests may have been lost with it; those that wait for an answer are made again on the next.

This module knows no sockets: `LocalBus` sends what is returned here.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from gevent.event import Event

if TYPE_CHECKING:
    from ..envelope import Kind

    Topic = tuple[Kind, str]

IN_VAIN = 8
"""Broadcasts heard in vain, of one path or room, until their sender is asked to skip it: to ask
costs as much as a broadcast, and to ask again a client's wait.
"""

MOST_TOPICS = 10_000
"""The most that one side remembers of the other: clients may choose names."""


class Asked(NamedTuple):
    """A request to resume a topic.

    Attributes:
        number: of the request; answers have it.
        senders: those whose answers are missing.
        is_over: set when none is missing, or another request has taken its place.
    """

    topic: Topic
    number: int
    senders: set[bytes]
    is_over: Event


class Interest:
    """The paths and rooms that have somebody here, and those that siblings have been asked to skip.

    Greenlets: the hub's thread; only `wait` waits.
    """

    def __init__(self) -> None:
        self._reasons: dict[Topic, int] = {}
        self._in_vain: dict[tuple[Topic, bytes], int] = {}
        self._skipped: dict[Topic, set[bytes]] = {}
        self._awaited: dict[Topic, Asked] = {}
        self._number = 0
        self._is_in_all = False

    def enter(self, topic: Topic) -> Asked | None:
        """Count one more reason to hear of `topic`.

        Returns:
            Who is to be asked to resume it, before `wait`; None for nobody.
        """
        self._reasons[topic] = self._reasons.get(topic, 0) + 1
        return self._resume(topic) if topic in self._skipped else None

    def leave(self, topic: Topic) -> None:
        """Count one reason less."""
        left = self._reasons.get(topic, 0) - 1
        if left > 0:
            self._reasons[topic] = left
        else:
            self._reasons.pop(topic, None)

    def has(self, topic: Topic) -> bool:
        """Return whether there is a reason to hear of `topic`."""
        return topic in self._reasons

    def is_tired_of(self, topic: Topic, sender: bytes) -> bool:
        """Note a broadcast in vain; return whether its sender is to be asked to skip `topic`."""
        if self._is_in_all:
            return False
        if len(self._in_vain) >= MOST_TOPICS:
            self._in_vain.clear()

        key = (topic, sender)
        count = self._in_vain.get(key, 0) + 1
        if count < IN_VAIN or (topic not in self._skipped and len(self._skipped) >= MOST_TOPICS):
            self._in_vain[key] = count
            return False

        self._in_vain.pop(key, None)
        self._skipped.setdefault(topic, set()).add(sender)
        return True

    def hear_all(self) -> list[Asked]:
        """Be interested in everything from now on; return who is to be asked to resume what."""
        self._is_in_all = True
        return [self._resume(topic) for topic in list(self._skipped)]

    def _resume(self, topic: Topic) -> Asked:
        self._number += 1
        senders = self._skipped.pop(topic)
        before = self._awaited.get(topic)
        if before is not None:
            senders |= before.senders
        asked = self._awaited[topic] = Asked(topic, self._number, senders, Event())
        if before is not None:
            # Its answers are of no use: a sender that gives one may skip the topic again by now.
            before.is_over.set()
        return asked

    def resumed(self, topic: Topic, sender: bytes, number: int | None = None) -> None:
        """Note that a sender tells everything of `topic` again; `number` is of the request."""
        asked = self._awaited.get(topic)
        if asked is None or number not in (None, asked.number):
            return
        asked.senders.discard(sender)
        if not asked.senders:
            del self._awaited[topic]
            asked.is_over.set()

    def asked_of(self, sender: bytes) -> list[Asked]:
        """Return the requests that a sender hasn't answered."""
        return [asked for asked in self._awaited.values() if sender in asked.senders]

    def forget(self, sender: bytes) -> None:
        """Forget a sibling that is gone: a new one tells everything."""
        for topic, senders in list(self._skipped.items()):
            senders.discard(sender)
            if not senders:
                del self._skipped[topic]
        for topic in list(self._awaited):
            self.resumed(topic, sender)

    def wait(self, topic: Topic, timeout_s: float) -> bool:
        """Wait until all senders have resumed `topic`; return whether there was one to wait for.

        One that doesn't answer in time isn't waited for again: it has the request, and stands still
        until it answers.

        Greenlets: one that may wait.
        """
        give_up_at_s = time.monotonic() + timeout_s
        has_waited = False
        while (asked := self._awaited.get(topic)) is not None:
            has_waited = True
            if not asked.is_over.wait(max(0.0, give_up_at_s - time.monotonic())):
                for sender in list(asked.senders):
                    self.resumed(topic, sender, asked.number)
        return has_waited
