"""All connections of one app in one hub, and what they share: pool, groups, clock, mailbox."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import gevent

from ..backplane.envelope import Kind
from ..config import Config
from ..errors import ForkError
from ..hosting import descriptors
from ..hosting.takeover import Taken
from ..hub import mishaps
from ..hub.flush_queue import FlushQueue
from ..hub.loop_watch import LoopWatch
from ..hub.sweeper import Sweeper
from ..protocol.deflate import compress_frame
from ..protocol.frames import CloseCode
from ..websocket.connection import Accepted, Connection
from ..websocket.counters import Meter
from ..websocket.seams import ConnectionOwner
from ..websocket.transport import Transport
from .draining import Draining
from .fanout import Fanout
from .groups import Groups

logger = logging.getLogger("tina4_wsgi.engine")

_SETTLED_S = 0.1
"""How long a socket stays when all is said on both sides: long enough for the peer to read our
close frame.
"""

_MOST_SETTLED = 256
"""Further ones are closed before their time: descriptors are for those who still have something to
say.
"""


class Variant(NamedTuple):
    """The groups of all connections that are sent the same bytes: those that agreed on the same
    compression.
    """

    paths: Groups
    rooms: Groups


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
        super().__init__(gevent.get_hub(), config.max_callbacks, config.max_worker_inbound_bytes)
        self.config = config
        self.is_draining = False
        self._is_forsaken = False
        self.connections: dict[Connection, None] = {}
        self.meter = Meter() if config.metrics else None
        self.path_broadcasts = 0
        self.room_broadcasts = 0
        self.on_end: Callable[[Connection], None] | None = None
        self.on_sweep: Callable[[], bool] | None = None
        self._turn = FlushQueue(self.hub.loop.run_callback, self.meter)
        self._plain = self._new_lane()
        # By window bits; a broadcast is compressed once for each. Nearly always there is none, or
        # one.
        self._compressed: dict[int, Variant] = {}
        self._sweeper = Sweeper(self.hub.loop, self.connections, self._keep_house)
        self._fanout = fanout
        self._settled: deque[tuple[float, Transport]] = deque()
        self._most_connections = min(config.max_connections, descriptors.to_spare())
        limit_s = config.blocked_loop_s
        self._watch = LoopWatch(self.hub, self.thread_ident, limit_s) if limit_s else None
        fanout.add(self)

    @property
    def is_alive(self) -> bool:
        """Whether the hub still runs; that of a thread which has ended doesn't."""
        return self.hub.loop is not None

    def has_room(self, spare: int = 0) -> bool:
        """Whether one more connection is within the cap, leaves descriptors for HTTP, and will have
        callbacks.

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

    def count(self, path: str) -> int:
        """Count the connections on `path`."""
        return sum(lane.paths.count(path) for lane in self._lanes())

    def count_in_room(self, room: str) -> int:
        """Count the connections in a named room."""
        return sum(lane.rooms.count(room) for lane in self._lanes())

    def paths(self) -> list[str]:
        """Give the paths that have connections."""
        return sorted({name for lane in self._lanes() for name in lane.paths.names()})

    def on_path(self, path: str) -> list[Connection]:
        """Give the connections on `path`; any thread may ask."""
        return [one for one in list(self.connections) if one.path == path and not one.closed]

    def say_goodbye(self, connections: list[Connection], code: int, reason: str) -> None:
        """Close these connections soon; any thread may ask."""
        for connection in connections:
            self.mailbox.post(connection._begin_close, code, reason)

    def rooms(self) -> list[str]:
        """Give the named rooms that have members."""
        return sorted({name for lane in self._lanes() for name in lane.rooms.names()})

    def adopt(self, taken: Taken, visit: Accepted) -> Connection:
        """Begin to serve a socket that has said its handshake; "open" runs in the next turn of the
        hub.

        Args:
            taken: the socket; nobody else's from now on.
            visit: who comes, and to which route.
        """
        self.now_s = time.monotonic()  # the sweeper may have slept
        connection = Connection(self, visit)
        most_bytes = visit.service.limits.max_outbound_bytes
        transport = Transport(taken.stream, self.hub.loop, self._turn, connection, most_bytes)
        connection._transport = transport
        self.connections[connection] = None
        visit.service.tally.opened_count += 1
        group = self._lane_of(connection).paths.add(connection.path, transport)
        if len(group) == 1:
            self._fanout.entered(Kind.PATH, connection.path)
        transport.group = group
        transport.mark = len(
            group.pending
        )  # what was broadcast earlier in this turn is not for the newcomer
        self._sweeper.wake()
        if taken.head:
            transport.write(taken.head)
        connection.begin(taken.early)
        return connection

    def _keep_house(self) -> bool:
        now_s = self.now_s = time.monotonic()
        settled = self._settled
        while settled and settled[0][0] <= now_s:
            settled.popleft()[1].close()
        has_more = self.dispatcher.trim() or bool(settled)
        return (self.on_sweep is not None and self.on_sweep()) or has_more

    def _new_lane(self) -> Variant:
        return Variant(Groups(self._turn), Groups(self._turn))

    def _lanes(self) -> list[Variant]:
        return [self._plain, *self._compressed.values()]

    def _lane_of(self, connection: Connection) -> Variant:
        bits = connection.window_bits
        if not bits:
            return self._plain
        lane = self._compressed.get(bits)
        if lane is None:
            lane = self._compressed[bits] = self._new_lane()
        return lane

    # -- what connections ask for

    def settle(self, transport: Transport) -> None:
        """All is said on both sides of this transport: close it in a moment."""
        self._settled.append((time.monotonic() + _SETTLED_S, transport))
        if len(self._settled) > _MOST_SETTLED:
            self._settled.popleft()[1].close()

    def ended(self, connection: Connection) -> None:
        """It is known how this connection ended; its "close" is about to run."""
        code = connection.close_code
        connection.service.tally.count_close(
            code or CloseCode.ABNORMAL, is_peers=connection.was_closed_by_peer
        )
        if self.on_end is not None:
            self.on_end(connection)

    def forget(self, connection: Connection) -> None:
        """The socket of this connection is gone, and its "close" is done."""
        if self.connections.pop(connection, connection) is connection:
            return  # forgotten before
        connection.service.tally.take_over(connection)

    def leave_groups(self, connection: Connection) -> None:
        """Take a connection out of its path and its rooms; what was broadcast before still reaches
        it.
        """
        transport = connection._transport
        paths = self._lane_of(connection).paths
        group = paths.get(connection.path)
        if group is not None:
            if transport.group is group:
                transport.leave_group()
            paths.remove(group, transport)
            if not len(group):
                self._fanout.left(Kind.PATH, connection.path)
        if connection.rooms:
            for room in list(connection.rooms):
                self.leave(connection, room)

    def join(self, connection: Connection, room: str) -> None:
        """Put a connection into a named room; waits, not for long, until what other processes send
        there arrives.
        """
        if connection.rooms is None:
            connection.rooms = {}
        if room in connection.rooms:
            return
        group = connection.rooms[room] = self._lane_of(connection).rooms.add(
            room, connection._transport
        )
        if len(group) == 1:
            self._fanout.entered(Kind.ROOM, room)
        self._fanout.wait_until_heard(Kind.ROOM, room)

    def leave(self, connection: Connection, room: str) -> None:
        """Take a connection out of a named room."""
        group = connection.rooms.pop(room, None) if connection.rooms else None
        if group is not None:
            self._lane_of(connection).rooms.remove(group, connection._transport)
            if not len(group):
                self._fanout.left(Kind.ROOM, room)

    def broadcast(self, path: str, frame: bytes, exclude: Transport | None = None) -> None:
        """Send a frame to everybody on `path`; from any thread."""
        if self._is_forsaken:
            self._check_reach(exclude)
        self._fanout.to_path(path, frame, exclude)

    def broadcast_to_room(self, room: str, frame: bytes, exclude: Transport | None = None) -> None:
        """Send a frame to everybody in `room`; from any thread."""
        if self._is_forsaken:
            self._check_reach(exclude)
        self._fanout.to_room(room, frame, exclude)

    def members(self, path: str) -> list[Any]:  # Any: a Member, which is built on this
        """Say who is on `path`, in all processes; waits for their answers."""
        return self._fanout.members(path)

    def deliver(self, path: str, frame: bytes, exclude: Transport | None) -> None:
        """Queue a frame for the connections here that are on `path`."""
        self.path_broadcasts += 1
        group = self._plain.paths.get(path)
        if group is not None:
            group.broadcast(frame, exclude)
        for bits, lane in self._compressed.items():
            group = lane.paths.get(path)
            if group is not None:
                group.broadcast(self._compress(frame, bits), exclude)

    def deliver_to_room(self, room: str, frame: bytes, exclude: Transport | None) -> None:
        """Queue a frame for the connections here that are in `room`.

        One by one: a member's order against its own path's broadcasts is kept in its outbox alone.
        """
        self.room_broadcasts += 1
        group = self._plain.rooms.get(room)
        if group is not None:
            if self.meter is not None:
                self.meter.fanout.add(len(group))
            group.write_each(frame, exclude)
        for bits, lane in self._compressed.items():
            group = lane.rooms.get(room)
            if group is not None:
                group.write_each(self._compress(frame, bits), exclude)

    def _compress(self, frame: bytes, bits: int) -> bytes:
        return compress_frame(frame, bits, self.config.deflate_threshold_bytes)

    def fork_error(self, consequence: str) -> ForkError:
        """Make the error for what a forked child can't do."""
        return ForkError(len(self.connections), consequence)

    def _check_reach(self, exclude: Transport | None) -> None:
        """See that what a forked child broadcasts can reach whom it is for."""
        if self._fanout.relay is None:
            raise self.fork_error("and without a backplane it reaches none of their clients")
        if exclude is not None:
            raise self.fork_error(
                "and what it broadcasts reaches all clients; leave `exclude_self` out"
            )

    def report(self, message: str, *args: object, error: BaseException) -> None:
        """Log an error of our own from the hub, where logging itself isn't allowed: it may wait for
        a lock.
        """
        mishaps.report(logger, message, *args, error=error)

    # -- the end

    def drain(self, timeout_s: float, spread_s: float = 0.0) -> bool:
        """Say goodbye to everybody, and wait until their "close" callbacks are done; see
        `Draining`.
        """
        self.is_draining = True
        draining = Draining(self.connections, self.dispatcher, spread_s, self.config.retry_spread_s)
        return draining.run(timeout_s)

    def forsake(self) -> None:
        """Let go of all connections in a forked child, and do nothing with them: they are the
        parent's.
        """
        self._is_forsaken = True
        self._sweeper.close()
        for connection in self.connections:
            connection.forsake()

    def close(self) -> None:
        """Give back what the engine holds of the hub; only after `drain`."""
        self._fanout.remove(self)
        while self._settled:
            self._settled.popleft()[1].close()
        if self.is_alive:
            self._sweeper.close()
            if self._watch is not None:
                self._watch.close()
            self.hub.loop.run_callback(self.dispatcher.end_parked)
