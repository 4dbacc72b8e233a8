"""From one broadcast to every connection of the path, in whichever thread of this process it lives."""

from __future__ import annotations

from typing import Protocol

from gevent.monkey import get_original

from .mailbox import Mailbox
from .transport import Transport

_get_ident = get_original("_thread", "get_ident")
_allocate_lock = get_original("_thread", "allocate_lock")


class Deliverer(Protocol):
    """The connections of one hub."""

    mailbox: Mailbox
    thread_ident: int

    @property
    def is_alive(self) -> bool:
        """Whether its hub still runs."""

    def deliver(self, path: str, frame: bytes, exclude: Transport | None) -> None:
        """Queue a frame for all on `path`; in the hub's thread."""

    def deliver_to_room(self, room: str, frame: bytes, exclude: Transport | None) -> None:
        """Queue a frame for all in `room`; in the hub's thread."""


class Fanout:
    """Where the frames of one app go.

    Nearly every process has one hub and so one deliverer; a server in a thread of its own has another.

    Greenlets and threads: any; nothing waits, but a native thread that is far ahead of the hub.
    Lock: `_lock` is held where `_deliverers` is replaced; readers need none, since the tuple never changes.
    """

    def __init__(self) -> None:
        self._lock = _allocate_lock()
        self._deliverers: tuple[Deliverer, ...] = ()

    def add(self, deliverer: Deliverer) -> None:
        """Send to this one too."""
        with self._lock:
            self._deliverers = (*self._deliverers, deliverer)

    def remove(self, deliverer: Deliverer) -> None:
        """Send to this one no more."""
        with self._lock:
            self._deliverers = tuple(one for one in self._deliverers if one is not deliverer)

    def to_path(self, path: str, frame: bytes, exclude: Transport | None = None) -> None:
        """Send a frame to everybody on `path` but `exclude`."""
        here = _get_ident()
        for deliverer in self._deliverers:
            if deliverer.thread_ident == here:
                deliverer.deliver(path, frame, exclude)
            elif deliverer.is_alive:
                deliverer.mailbox.post(deliverer.deliver, path, frame, exclude)

    def to_room(self, room: str, frame: bytes, exclude: Transport | None = None) -> None:
        """Send a frame to everybody in `room` but `exclude`."""
        here = _get_ident()
        for deliverer in self._deliverers:
            if deliverer.thread_ident == here:
                deliverer.deliver_to_room(room, frame, exclude)
            elif deliverer.is_alive:
                deliverer.mailbox.post(deliverer.deliver_to_room, room, frame, exclude)
