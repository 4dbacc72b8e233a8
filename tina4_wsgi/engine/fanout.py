"""Carries one broadcast to every connection of a group, in all threads and processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..backplane.envelope import BELL_OF, LOST_OF, Kind
from ..errors import ForkError, UsageError
from ..hub.native import allocate_lock, get_ident
from ..journal.contract import Draft
from ..routing.names import GroupKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..backplane.relay import Relay
    from ..journal.contract import Topic
    from ..websocket.lifecycle import Lifecycle
    from ..websocket.transport import Transport
    from .engine import Engine
    from .histories import Histories
    from .presence import Member
    from .reading import Reading

_PATH = GroupKind.PATH
_KIND_OF = {GroupKind.PATH: Kind.PATH, GroupKind.ROOM: Kind.ROOM}


class Fanout:
    """Carries the broadcasts of one app to its engines and to the other processes.

    Nearly every process has one hub and so one engine; a server in another thread adds a second.

    Greenlets and threads: any; only a native thread that is far ahead of the hub has to wait.
    Lock: `_lock` guards the replacement of `_engines`; readers need no lock, since the tuple itself
    never changes.

    Attributes:
        relay: carries broadcasts to the other processes; None for an app without other processes.
        members: returns the members of a path, in all processes; `Runtime` sets it.
        watch: called with the path of each broadcast; None except during development.
        histories: what keeps history; None where nothing does.
        reading: the journal for those who have no hub; None where nothing keeps history.
    """

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._engines: tuple[Engine, ...] = ()
        self._forsaken_count: int | None = None
        self.relay: Relay | None = None
        self.members: Callable[[str], list[Member]] = lambda path: []
        self.watch: Callable[[str], None] | None = None
        self._saying: set[int] = set()  # threads without a hub that have said something to keep
        self.histories: Histories | None = None
        self.reading: Reading | None = None

    def forsake(
        self, relay: Relay | None, members: Callable[[str], list[Member]], count: int
    ) -> None:
        """Deliver to no connection here, in a forked child: only `relay` carries broadcasts.

        Args:
            count: how many connections the parent had.
        """
        self._lock = allocate_lock()  # another thread of the parent may have held it
        self._engines = ()
        self._forsaken_count = count
        self.relay = relay
        self.members = members

    def add(self, engine: Engine) -> None:
        """Deliver broadcasts to `engine` too."""
        with self._lock:
            self._engines = (*self._engines, engine)

    def remove(self, engine: Engine) -> None:
        """Deliver no more broadcasts to `engine`."""
        with self._lock:
            self._engines = tuple(one for one in self._engines if one is not engine)

    def broadcast(
        self,
        kind: GroupKind,
        name: str,
        frame: bytes,
        exclude: Transport | None = None,
        speaker: Lifecycle | None = None,
        keep: bool = True,
        once: str | None = None,
    ) -> None:
        """Send a frame to all members of a group but `exclude`, those of this process first.

        Args:
            speaker: the connection that says it; None for any other.
            keep: whether to keep it where the group keeps history.
            once: a key; what was said under it isn't said again. None for none.
        Raises:
            ForkError: this is a forked child, and the frame can't reach all its recipients.
            UsageError: `once` where nothing is kept.
        """
        if self._forsaken_count is not None:
            self._check_reach(self._forsaken_count, exclude)
        histories = self.histories
        if histories is not None and keep:
            limits = histories.of((kind, name))
            if limits is not None:
                self._keep(Draft((kind, name), frame, limits, "", once or ""), exclude, speaker)
                return
        if once is not None:
            raise UsageError(
                f"once={once!r} for {name!r}, which keeps no history, expected a route or a room "
                "with history, and keep=True"
            )
        if histories is not None and self._may_overtake():
            self._say_in_turn(kind, name, frame, exclude)
            self._carry_in_turn(kind, name, frame, speaker)
            return
        self.broadcast_here(kind, name, frame, exclude)
        if self.relay is not None:
            self.relay.carry(_KIND_OF[kind], name, frame)

    def _may_overtake(self) -> bool:
        """Return whether something that was said before may still be on its way to be kept."""
        engines = self._engines
        if len(engines) != 1:
            return True
        return engines[0].is_keeping or engines[0].thread_ident != get_ident()

    def _say_in_turn(
        self, kind: GroupKind, name: str, frame: bytes, exclude: Transport | None
    ) -> None:
        """Send a frame to the members of a group here, behind what is being kept."""
        here, others = get_ident(), []
        for engine in self._engines:
            if engine.thread_ident != here:
                others.append(engine)
            elif not engine.is_keeping or engine.finish_keeping():
                engine.deliver(kind, name, frame, exclude)
            else:
                engine.put_behind(engine.deliver, kind, name, frame, exclude)
        # Behind the bell of what was just kept here.
        for engine in others:
            if engine.is_alive:
                engine.mailbox.post(engine.put_behind, engine.deliver, kind, name, frame, exclude)
        if self.watch is not None and kind is _PATH:
            self.watch(name)

    def _carry_in_turn(
        self, kind: GroupKind, name: str, frame: bytes, speaker: Lifecycle | None
    ) -> None:
        """Send a frame to the other processes, behind what this thread said to be kept."""
        relay = self.relay
        if relay is None:
            return
        engine, outside = self._keeping_engine(speaker), _KIND_OF[kind]
        if (
            engine is None
            or not engine.is_alive
            or engine.thread_ident == get_ident()
            or not relay.is_started
        ):
            relay.carry(outside, name, frame)
            return

        def carry() -> None:
            if relay.is_started:  # else it was closed meanwhile
                relay.carry(outside, name, frame)

        # By way of the hub that keeps it: the relay's own mailbox may be emptied before that one's.
        engine.mailbox.post(engine.put_behind, carry, size_bytes=len(frame))

    def broadcast_here(
        self, kind: GroupKind, name: str, frame: bytes, exclude: Transport | None = None
    ) -> None:
        """Send a frame to the members of a group in this process but `exclude`."""
        if self.watch is not None and kind is _PATH:
            self.watch(name)
        here = get_ident()
        for engine in self._engines:
            if engine.thread_ident == here:
                engine.deliver(kind, name, frame, exclude)
            elif engine.is_alive:
                engine.mailbox.post(engine.deliver, kind, name, frame, exclude)

    def _keep(self, draft: Draft, exclude: Transport | None, speaker: Lifecycle | None) -> None:
        """Keep a frame, and have it heard: in the hub of the connection that says it, or in any."""
        here, chosen = get_ident(), self._keeping_engine(speaker)
        if speaker is not None and exclude is not None:
            draft = draft._replace(author=speaker.me)
        if chosen is None:
            assert self.reading is not None
            self.reading.keep(draft)
        elif chosen.thread_ident == here:
            chosen.keep(draft, exclude)
        else:
            self._saying.add(here)
            chosen.mailbox.post(chosen.keep, draft, exclude, size_bytes=len(draft.frame))

    def _keeping_engine(self, speaker: Lifecycle | None) -> Engine | None:
        """Return which engine keeps what is said here; None where none is alive."""
        here, chosen = get_ident(), None
        for engine in self._engines:
            if speaker is not None and engine is speaker.owner:
                return engine
            if engine.thread_ident == here or (chosen is None and engine.is_alive):
                chosen = engine
        return chosen

    def finish_keeping(self) -> None:
        """Put into the journal what this thread said; one without a hub waits for it."""
        here = get_ident()
        for engine in self._engines:
            if engine.thread_ident == here and engine.is_keeping:
                engine.finish_keeping()
        if here in self._saying:
            self._saying.discard(here)
            for engine in self._engines:
                if engine.keeper is not None and engine.is_alive:
                    engine.mailbox.call_waiting(engine.finish_keeping)

    def hear_bell(self, kind: GroupKind, name: str, before: int) -> None:
        """Have all hubs of this process hear what another process has kept.

        Args:
            before: the number of the last message before it. A hub whose table of routes keeps
                nothing of it, as in the middle of a deploy, follows the journal from there.
        """
        here = get_ident()
        for engine in self._engines:
            if engine.thread_ident == here:
                engine.hear_bell(kind, name, before)
            elif engine.is_alive:
                engine.mailbox.post(engine.hear_bell, kind, name, before)

    def _ring_here(self, by: Engine | None) -> None:
        """Have all hubs of this process but `by` look for what that one has kept."""
        here = get_ident()
        for engine in self._engines:
            if engine is by or engine.keeper is None:
                continue
            if engine.thread_ident == here:
                engine.ring()
            elif engine.is_alive:
                engine.mailbox.post(engine.ring)

    def ring(
        self, topic: Topic, frames: list[bytes], before: int, by: Engine | None = None
    ) -> None:
        """Tell all hubs but `by`, and all other processes, that something was kept."""
        self._ring_here(by)
        if self.relay is not None:
            kind, name = topic
            self.relay.ring(BELL_OF[_KIND_OF[GroupKind(kind)]], name, frames, before)

    def lose(
        self,
        topic: Topic,
        frame: bytes,
        exclude: Transport | None = None,
        by: Engine | None = None,
    ) -> None:
        """Send a frame that should have been kept, and wasn't, to all members of its group.

        Args:
            by: whose journal failed; it begins a new epoch by itself.
        """
        kind, name = GroupKind(topic[0]), topic[1]
        self.broadcast_here(kind, name, frame, exclude)
        self.doubt(by)
        if self.relay is not None:
            self.relay.carry(LOST_OF[_KIND_OF[kind]], name, frame)

    def doubt(self, by: Engine | None = None) -> None:
        """Have the journal begin a new epoch: something was said that it doesn't have."""
        here = get_ident()
        keepers = [one for one in self._engines if one.keeper is not None and one.is_alive]
        for engine in keepers:
            if engine is by:
                continue
            assert engine.keeper is not None
            if engine.thread_ident == here:
                engine.keeper.doubt()
            else:
                engine.mailbox.post(engine.keeper.doubt)
        if not keepers and self.reading is not None:
            self.reading.doubt()

    def _check_reach(self, count: int, exclude: Transport | None) -> None:
        if self.relay is None:
            raise ForkError(count, "and without a backplane it reaches none of their clients")
        if exclude is not None:
            raise ForkError(
                count, "and what it broadcasts reaches all clients; leave `exclude_self` out"
            )

    def entered(self, kind: GroupKind, name: str) -> None:
        """Note that a hub has its first member of a group."""
        if self.relay is not None:
            self.relay.enter(_KIND_OF[kind], name)

    def left(self, kind: GroupKind, name: str) -> None:
        """Note that a hub has lost its last member of a group."""
        if self.relay is not None:
            self.relay.leave(_KIND_OF[kind], name)

    def wait_until_heard(self, kind: GroupKind, name: str) -> bool:
        """Wait briefly, until messages that other processes send to a group arrive here.

        Returns:
            Whether it had to wait.
        """
        return self.relay is not None and self.relay.wait_until_heard(_KIND_OF[kind], name)
