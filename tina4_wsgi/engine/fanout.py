"""From one broadcast to every connection of a group, in whichever thread or process it lives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..backplane.envelope import Kind
from ..errors import ForkError
from ..hub.native import allocate_lock, get_ident
from ..routing.names import GroupKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..backplane.relay import Relay
    from ..websocket.transport import Transport
    from .engine import Engine
    from .presence import Member

_PATH = GroupKind.PATH
_KIND_OF = {GroupKind.PATH: Kind.PATH, GroupKind.ROOM: Kind.ROOM}


class Fanout:
    """Where the frames of one app go.

    Nearly every process has one hub and so one engine; a server in a thread of its own has another.

    Greenlets and threads: any; nothing waits, but a native thread that is far ahead of the hub.
    Lock: `_lock` is held where `_engines` is replaced; readers need none, since the tuple never
    changes.

    Attributes:
        relay: to the other processes; None where there are none by decision.
        members: returns who is on a path, in all processes; the process fills it in.
        watch: told the path of each broadcast; None but while somebody works on the app.
    """

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._engines: tuple[Engine, ...] = ()
        self._forsaken_count: int | None = None
        self.relay: Relay | None = None
        self.members: Callable[[str], list[Member]] = lambda path: []
        self.watch: Callable[[str], None] | None = None

    def forsake(
        self, relay: Relay | None, members: Callable[[str], list[Member]], count: int
    ) -> None:
        """Deliver to nobody here any more, in a forked child: `relay` alone carries broadcasts.

        Args:
            count: how many connections the parent had.
        """
        self._lock = allocate_lock()  # another thread of the parent may have held it
        self._engines = ()
        self._forsaken_count = count
        self.relay = relay
        self.members = members

    def add(self, engine: Engine) -> None:
        """Send to this one too."""
        with self._lock:
            self._engines = (*self._engines, engine)

    def remove(self, engine: Engine) -> None:
        """Send to this one no more."""
        with self._lock:
            self._engines = tuple(one for one in self._engines if one is not engine)

    def broadcast(
        self, kind: GroupKind, name: str, frame: bytes, exclude: Transport | None = None
    ) -> None:
        """Send a frame to everybody in a group but `exclude`; those of this process come first.

        Raises:
            ForkError: this is a forked child, and the frame can't reach whom it is for.
        """
        if self._forsaken_count is not None:
            self._check_reach(self._forsaken_count, exclude)
        self.broadcast_here(kind, name, frame, exclude)
        if self.relay is not None:
            self.relay.carry(_KIND_OF[kind], name, frame)

    def broadcast_here(
        self, kind: GroupKind, name: str, frame: bytes, exclude: Transport | None = None
    ) -> None:
        """Send a frame to everybody of this process in a group but `exclude`."""
        if self.watch is not None and kind is _PATH:
            self.watch(name)
        here = get_ident()
        for engine in self._engines:
            if engine.thread_ident == here:
                engine.deliver(kind, name, frame, exclude)
            elif engine.is_alive:
                engine.mailbox.post(engine.deliver, kind, name, frame, exclude)

    def _check_reach(self, count: int, exclude: Transport | None) -> None:
        if self.relay is None:
            raise ForkError(count, "and without a backplane it reaches none of their clients")
        if exclude is not None:
            raise ForkError(
                count, "and what it broadcasts reaches all clients; leave `exclude_self` out"
            )

    def entered(self, kind: GroupKind, name: str) -> None:
        """A hub has its first member of a group."""
        if self.relay is not None and self.relay.tracks_names:
            self.relay.enter(_KIND_OF[kind], name)

    def left(self, kind: GroupKind, name: str) -> None:
        """A hub has lost its last member of a group."""
        if self.relay is not None and self.relay.tracks_names:
            self.relay.leave(_KIND_OF[kind], name)

    def wait_until_heard(self, kind: GroupKind, name: str) -> bool:
        """Wait, not for long, until what other processes send to a group arrives here.

        Returns:
            Whether it had to wait.
        """
        return self.relay is not None and self.relay.wait_until_heard(_KIND_OF[kind], name)
