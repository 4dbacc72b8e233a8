"""All connections of one app in one hub, and what they share: pool, groups, clock, mailbox."""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import gevent

from ..errors import ForkError
from ..hosting import descriptors
from ..hub import mishaps
from ..hub.flush_queue import FlushQueue
from ..hub.loop_watch import LoopWatch
from ..hub.sweeper import Sweeper
from ..protocol.deflate import compress_frame
from ..protocol.frames import CloseCode
from ..routing.names import GroupKind
from ..websocket.connection import Connection
from ..websocket.counters import Meter
from ..websocket.lifecycle import Lifecycle
from ..websocket.seams import ConnectionOwner
from ..websocket.transport import Transport
from .draining import Draining
from .groups import Groups

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..config import Config
    from ..hosting.takeover import Taken
    from ..websocket.connection import Accepted
    from .fanout import Fanout

logger = logging.getLogger("tina4_wsgi.engine")

_SETTLED_S = 0.1
"""How long a socket stays when all is said on both sides: long enough for the peer to read our
close frame.
"""

_MOST_SETTLED = 256
"""Further ones are closed before their time: descriptors are for those who still have something to
say.
"""


_PATH, _ROOM = GroupKind.PATH, GroupKind.ROOM


class Variant(NamedTuple):
    """The groups of all connections that agreed on the same compression."""

    paths: Groups
    rooms: Groups

    def groups(self, kind: GroupKind) -> Groups:
        """Return those that are named by a path, or by a room."""
        return self.paths if kind is _PATH else self.rooms


class Engine(ConnectionOwner):
    """The connections that one hub serves.

    Made lazily by the app, in the process and thread that serve: under `gunicorn --preload` the app
    is imported in the master, and nothing of this may be inherited.

    Greenlets: the hub's thread, unless a method says more.

    Attributes:
        connections: all, in the order of coming; those whose "close" isn't done included.
        meter: of broadcasts; None unless `metrics` is set.
        path_broadcasts, room_broadcasts: how many there were, those of other processes included.
        on_end: called with each connection that has ended, in a worker.
        on_sweep: called in the hub a few times a second while there are connections; says whether
            it wants more.
    """

    def __init__(self, config: Config, fanout: Fanout) -> None:
        super().__init__(
            gevent.get_hub(), fanout, config.max_callbacks, config.max_worker_inbound_bytes
        )
        self.config = config
        self.is_draining = False
        self.connections: dict[Connection, Lifecycle] = {}
        self.meter = Meter() if config.metrics else None
        self.path_broadcasts = 0
        self.room_broadcasts = 0
        self.on_end: Callable[[Lifecycle], None] | None = None
        self.on_sweep: Callable[[], bool] | None = None
        self._turn = FlushQueue(self.hub.loop.run_callback, self.meter)
        # By window bits, 0 for those without compression; a broadcast is compressed once for each
        # of the others. Nearly always there is none, or one.
        self._variants = {0: self._new_variant()}
        self._sweeper = Sweeper(self.hub.loop, self.connections.values(), self._keep_house)
        self._settled: deque[tuple[float, Transport]] = deque()
        self._most_connections = min(config.max_connections, descriptors.to_spare())
        limit_s = config.blocked_loop_s
        self._watch = LoopWatch(self.hub, self.thread_ident, limit_s, _name_of) if limit_s else None
        fanout.add(self)

    @property
    def is_alive(self) -> bool:
        """Whether the hub still runs; that of a thread which has ended doesn't."""
        return self.hub.loop is not None

    def has_room(self, spare: int = 0) -> bool:
        """Return whether one more connection fits: by cap, descriptors and free workers.

        Args:
            spare: how many may be over the cap.
        """
        return (
            len(self.connections) < self._most_connections + spare and not self.dispatcher.is_stuck
        )

    @property
    def settling_count(self) -> int:
        """Sockets that are only kept open for another moment; no connection has them any more."""
        return len(self._settled)

    def count(self, kind: GroupKind, name: str) -> int:
        """Count the connections of one group."""
        return sum(one.groups(kind).count(name) for one in self._variants.values())

    def names(self, kind: GroupKind) -> list[str]:
        """Return the paths, or the rooms, that have connections."""
        variants = list(self._variants.values())
        return sorted({name for one in variants for name in one.groups(kind).names()})

    def on_path(self, path: str) -> list[Connection]:
        """Return the connections on `path`; any thread may ask."""
        return [one for one in list(self.connections) if one.path == path and not one.closed]

    def say_goodbye(self, connections: Iterable[Connection], code: int, reason: str) -> None:
        """Close those of these connections that are here, soon; any thread may ask."""
        for connection in connections:
            lifecycle = self.connections.get(connection)
            if lifecycle is not None:
                self.mailbox.post(lifecycle.begin_close, code, reason)

    def adopt(self, taken: Taken, accepted: Accepted) -> Lifecycle:
        """Serve a socket whose handshake is done; "open" runs in the next turn of the hub.

        Args:
            taken: the socket; nobody else's from now on.
            accepted: who comes, and to which route.
        """
        self.now_s = time.monotonic()  # the sweeper may have slept
        service = accepted.service
        lifecycle = Lifecycle(self, service, accepted.window_bits)
        connection = Connection(lifecycle, accepted)
        most_bytes = service.limits.max_outbound_bytes
        transport = Transport(taken.stream, self.hub.loop, self._turn, lifecycle, most_bytes)
        lifecycle.attach(connection, transport)
        self.connections[connection] = lifecycle
        service.tally.opened_count += 1

        group = self._variant_of(lifecycle).paths.add(connection.path, transport)
        if len(group) == 1:
            self.fanout.entered(_PATH, connection.path)
        transport.group = group
        # What was broadcast earlier in this turn is not for the newcomer.
        transport.mark = len(group.pending)

        self._sweeper.wake()
        if taken.head:
            transport.write(taken.head)
        lifecycle.begin(taken.early)
        return lifecycle

    def _keep_house(self) -> bool:
        now_s = self.now_s = time.monotonic()
        settled = self._settled
        while settled and settled[0][0] <= now_s:
            settled.popleft()[1].close()
        has_more = self.dispatcher.trim() or bool(settled)
        return (self.on_sweep is not None and self.on_sweep()) or has_more

    def _new_variant(self) -> Variant:
        return Variant(Groups(self._turn), Groups(self._turn))

    def _variant_of(self, lifecycle: Lifecycle) -> Variant:
        bits = lifecycle.window_bits
        variant = self._variants.get(bits)
        if variant is None:
            # A copy, since other threads count in it.
            variant = self._new_variant()
            self._variants = {**self._variants, bits: variant}
        return variant

    # -- what connections ask for

    def settle(self, transport: Transport) -> None:
        """Both close frames are out: close this transport after a short grace period."""
        self._settled.append((time.monotonic() + _SETTLED_S, transport))
        if len(self._settled) > _MOST_SETTLED:
            self._settled.popleft()[1].close()

    def ended(self, lifecycle: Lifecycle) -> None:
        """Called when the close code is final, just before the "close" callback."""
        code = lifecycle.close_code or CloseCode.ABNORMAL
        lifecycle.service.tally.count_close(code, is_peers=lifecycle.was_closed_by_peer)
        if self.on_end is not None:
            self.on_end(lifecycle)

    def forget(self, lifecycle: Lifecycle) -> None:
        """The socket of this connection is gone, and its "close" callback is done."""
        if self.connections.pop(lifecycle.connection, None) is not None:
            lifecycle.service.tally.take_over(lifecycle)

    def leave_groups(self, lifecycle: Lifecycle) -> None:
        """Take a connection out of its path and its rooms; earlier broadcasts still reach it."""
        transport, path = lifecycle.transport, lifecycle.connection.path
        paths = self._variant_of(lifecycle).paths
        group = paths.get(path)
        if group is not None:
            if transport.group is group:
                transport.leave_group()
            paths.remove(group, transport)
            if not len(group):
                self.fanout.left(_PATH, path)
        if lifecycle.rooms:
            for room in list(lifecycle.rooms):
                self.leave(lifecycle, room)

    def join(self, lifecycle: Lifecycle, room: str) -> None:
        """Put a connection into a named room.

        Waits, not for long, until what other processes send there arrives.
        """
        if lifecycle.rooms is None:
            lifecycle.rooms = {}
        if room in lifecycle.rooms:
            return
        rooms = self._variant_of(lifecycle).rooms
        group = lifecycle.rooms[room] = rooms.add(room, lifecycle.transport)
        if len(group) == 1:
            self.fanout.entered(_ROOM, room)
        self.fanout.wait_until_heard(_ROOM, room)

    def leave(self, lifecycle: Lifecycle, room: str) -> None:
        """Take a connection out of a named room."""
        group = lifecycle.rooms.pop(room, None) if lifecycle.rooms else None
        if group is not None:
            self._variant_of(lifecycle).rooms.remove(group, lifecycle.transport)
            if not len(group):
                self.fanout.left(_ROOM, room)

    def deliver(self, kind: GroupKind, name: str, frame: bytes, exclude: Transport | None) -> None:
        """Queue a frame for the connections here that are in a group; in the hub's thread."""
        is_path = kind is _PATH
        if is_path:
            self.path_broadcasts += 1
        else:
            self.room_broadcasts += 1

        for bits, variant in self._variants.items():
            group = (variant.paths if is_path else variant.rooms).get(name)
            if group is None:
                continue
            data = (
                compress_frame(frame, bits, self.config.deflate_threshold_bytes) if bits else frame
            )
            if is_path:
                group.broadcast(data, exclude)
                continue
            # One by one: a member's order against its own path's broadcasts is kept in its outbox
            # alone.
            if self.meter is not None and not bits:
                self.meter.fanout.add(len(group))
            group.write_each(data, exclude)

    def fork_error(self, consequence: str) -> ForkError:
        """Make the error for what a forked child can't do."""
        return ForkError(len(self.connections), consequence)

    def report(self, message: str, *args: object, error: BaseException) -> None:
        """Log an error of our own from the hub, where logging isn't allowed: it may wait."""
        mishaps.report(logger, message, *args, error=error)

    # -- the end

    def drain(self, timeout_s: float, spread_s: float = 0.0) -> bool:
        """Close all connections and wait for their "close" callbacks; see `Draining`."""
        self.is_draining = True
        connections = self.connections.values()
        draining = Draining(connections, self.dispatcher, spread_s, self.config.retry_spread_s)
        return draining.run(timeout_s)

    def forsake(self) -> None:
        """Let go of all connections, in a forked child: they are the parent's."""
        self._sweeper.close()
        for lifecycle in self.connections.values():
            lifecycle.forsake()

    def close(self) -> None:
        """Give back what the engine holds of the hub; only after `drain`."""
        self.fanout.remove(self)
        while self._settled:
            self._settled.popleft()[1].close()
        if self.is_alive:
            self._sweeper.close()
            if self._watch is not None:
                self._watch.close()
            self.hub.loop.run_callback(self.dispatcher.end_parked)


def _name_of(argument: str, value: object) -> str | None:
    """Name the connection or the request that a function was called with, for `LoopWatch`."""
    if isinstance(value, Connection):
        return f"a callback of {value.route}, connection {value.id}"
    if argument == "environ" and isinstance(value, dict) and "PATH_INFO" in value:
        return f"the request {value.get('REQUEST_METHOD')} {value['PATH_INFO'][:200]!r}"
    return None
