"""From one broadcast to every connection of the path, in whichever thread or process it lives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from gevent.monkey import get_original

from ..backplane.envelope import Kind
from ..backplane.relay import Relay
from ..hub.mailbox import Mailbox
from ..websocket.transport import Transport

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

    Nearly every process has one hub and so one deliverer; a server in a thread of its own has
    another.

    Greenlets and threads: any; nothing waits, but a native thread that is far ahead of the hub.
    Lock: `_lock` is held where `_deliverers` is replaced; readers need none, since the tuple never
    changes.

    Attributes:
        relay: to the other processes; None where there are none by decision.
        members: says who is on a path, in all processes; the process fills it in.
        watch: told the path of each broadcast; None but while somebody works on the app.
    """

    def __init__(self) -> None:
        self._lock = _allocate_lock()
        self._deliverers: tuple[Deliverer, ...] = ()
        self.relay: Relay | None = None
        self.members: Callable[[str], list[Any]] = lambda path: []
        self.watch: Callable[[str], None] | None = None

    def forsake(self, relay: Relay | None, members: Callable[[str], list[Any]]) -> None:
        """Deliver to nobody here any more, in a forked child: what is still said leaves by `relay`
        alone.
        """
        self._lock = _allocate_lock()  # another thread of the parent may have held it
        self._deliverers = ()
        self.relay = relay
        self.members = members

    def add(self, deliverer: Deliverer) -> None:
        """Send to this one too."""
        with self._lock:
            self._deliverers = (*self._deliverers, deliverer)

    def remove(self, deliverer: Deliverer) -> None:
        """Send to this one no more."""
        with self._lock:
            self._deliverers = tuple(one for one in self._deliverers if one is not deliverer)

    def to_path(self, path: str, frame: bytes, exclude: Transport | None = None) -> None:
        """Send a frame to everybody on `path` but `exclude`; those of this process come first."""
        self.to_path_here(path, frame, exclude)
        if self.relay is not None:
            self.relay.carry(Kind.PATH, path, frame)

    def to_room(self, room: str, frame: bytes, exclude: Transport | None = None) -> None:
        """Send a frame to everybody in `room` but `exclude`; those of this process come first."""
        self.to_room_here(room, frame, exclude)
        if self.relay is not None:
            self.relay.carry(Kind.ROOM, room, frame)

    def to_path_here(self, path: str, frame: bytes, exclude: Transport | None = None) -> None:
        """Send a frame to everybody of this process on `path` but `exclude`."""
        if self.watch is not None:
            self.watch(path)
        here = _get_ident()
        for deliverer in self._deliverers:
            if deliverer.thread_ident == here:
                deliverer.deliver(path, frame, exclude)
            elif deliverer.is_alive:
                deliverer.mailbox.post(deliverer.deliver, path, frame, exclude)

    def to_room_here(self, room: str, frame: bytes, exclude: Transport | None = None) -> None:
        """Send a frame to everybody of this process in `room` but `exclude`."""
        here = _get_ident()
        for deliverer in self._deliverers:
            if deliverer.thread_ident == here:
                deliverer.deliver_to_room(room, frame, exclude)
            elif deliverer.is_alive:
                deliverer.mailbox.post(deliverer.deliver_to_room, room, frame, exclude)

    def entered(self, kind: Kind, name: str) -> None:
        """A hub has its first member of a path or a room."""
        if self.relay is not None and self.relay.tracks_names:
            self.relay.enter(kind, name)

    def left(self, kind: Kind, name: str) -> None:
        """A hub has lost its last member of a path or a room."""
        if self.relay is not None and self.relay.tracks_names:
            self.relay.leave(kind, name)

    def wait_until_heard(self, kind: Kind, name: str) -> bool:
        """Wait, not for long, until what other processes send to `name` arrives here; says whether
        it had to.
        """
        return self.relay is not None and self.relay.wait_until_heard(kind, name)
