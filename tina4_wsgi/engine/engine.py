"""All connections of one app in one hub, with their pool, groups, deadlines and mailbox."""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import gevent

from ..errors import ForkError
from ..hosting import descriptors
from ..hub import mishaps
from ..hub.callback_threads import CallbackThreads
from ..hub.flush_queue import FlushQueue
from ..hub.hub_thread import HubThread, is_patched
from ..hub.loop_watch import LoopWatch
from ..hub.native import get_ident
from ..hub.sweeper import Sweeper
from ..protocol.deflate import compress_frame
from ..protocol.marks import PRIVATE, kept_mark, marked
from ..routing.names import GroupKind
from ..websocket.connection import Connection
from ..websocket.counters import Meter
from ..websocket.lifecycle import Lifecycle
from ..websocket.seams import ConnectionOwner
from ..websocket.transport import Transport
from .audience import EngineAudience
from .distant_keeper import DistantKeeper
from .draining import Draining
from .groups import Group, Groups
from .keeper import HubKeeper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ..config import Config
    from ..hosting.switching import Taken
    from ..journal.contract import Draft, KeptLimits, Topic
    from ..websocket.connection import Accepted
    from ..websocket.returning import ReturningLifecycle
    from ..websocket.served_route import ServedRoute
    from .fanout import Fanout

logger = logging.getLogger("tina4_wsgi.engine")

_SETTLED_S = 0.1
"""How long a socket stays open when both close frames are out: long enough for the peer to read
ours.
"""

_MOST_SETTLED = 256
"""How many sockets may be in their grace period. Further ones are closed early: open connections
need the descriptors more.
"""


_PATH, _ROOM = GroupKind.PATH, GroupKind.ROOM


class Form(NamedTuple):
    """What the bytes of a broadcast to a connection depend on, besides the message."""

    window_bits: int
    level: int
    memory_level: int
    is_marked: bool


_PLAIN = Form(0, 0, 0, is_marked=False)


class Variant(NamedTuple):
    """The groups of all connections that get broadcasts in one form."""

    paths: Groups
    rooms: Groups

    def groups(self, kind: GroupKind) -> Groups:
        """Return the groups of this kind: those named by a path, or those named by a room."""
        return self.paths if kind is _PATH else self.rooms


class Engine(ConnectionOwner):
    """The connections that one hub serves.

    The app creates it lazily, in the process and thread that serve: under `gunicorn --preload` the
    master imports the app, and a forked child must not inherit an engine.

    Greenlets: the hub's thread, unless a method says more.

    Attributes:
        connections: all connections in order of arrival, those whose "close" isn't done included.
        meter: measures broadcasts; None unless `metrics` is set.
        path_broadcasts, room_broadcasts: how many there were, those of other processes included.
        on_end: called with each connection that has ended, in a worker.
        on_sweep: called in the hub a few times a second while there are connections; returns
            whether it is to be called again.
    """

    keeper: HubKeeper | DistantKeeper | None

    def __init__(self, config: Config, fanout: Fanout) -> None:
        hub = gevent.get_hub()
        # In a patched process callbacks wait for each other without threads, wherever the hub is.
        has_threads = HubThread.is_current() and not is_patched()
        most_callbacks = config.callback_threads if has_threads else config.max_callbacks
        super().__init__(hub, fanout, most_callbacks, config.max_worker_inbound_bytes)
        self._threads = CallbackThreads(hub, self.mailbox, most_callbacks) if has_threads else None
        self.has_threads = has_threads
        self._callbacks: dict[ServedRoute, Callable[..., object]] = {}
        self.config = config
        self.is_draining = False
        self.connections: dict[Connection, Lifecycle] = {}
        self.meter = Meter() if config.metrics else None
        self.path_broadcasts = 0
        self.room_broadcasts = 0
        self.on_end: Callable[[Lifecycle], None] | None = None
        self.on_sweep: Callable[[], bool] | None = None

        self._flush_queue = FlushQueue(self.hub.loop.run_callback, self.meter)
        # By window bits, level and memory level of compression, and marks; see `_form_of`. A
        # broadcast is laid out once for each of the other variants; nearly always there is none, or
        # one.
        self._plain = self._new_variant()
        self._variants = {_PLAIN: self._plain}
        self._sweeper = Sweeper(self.hub.loop, self.connections.values(), self._keep_house)

        self._settled: deque[tuple[float, Transport]] = deque()
        self._most_connections = min(config.max_connections, descriptors.to_spare())
        self._marking: dict[ServedRoute, ServedRoute] = {}
        self._arriving: set[Lifecycle] = set()
        self._heard_at_s = 0.0
        self._joining: Counter[str] = Counter()  # rooms with history, by who catches up there
        limit_s = config.blocked_loop_s
        self._watch = LoopWatch(self.hub, self.thread_ident, limit_s, _name_of) if limit_s else None
        fanout.add(self)

    @property
    def is_alive(self) -> bool:
        """Whether the hub still runs: it doesn't once its thread has ended."""
        return self.hub.loop is not None

    def has_room(self, spare: int = 0) -> bool:
        """Return whether cap, descriptors and workers allow one more connection.

        Args:
            spare: how many connections beyond the cap are allowed.
        """
        return (
            len(self.connections) < self._most_connections + spare and not self.dispatcher.is_stuck
        )

    @property
    def settling_count(self) -> int:
        """How many sockets are in their grace period; no connection owns them any more."""
        return len(self._settled)

    def count(self, kind: GroupKind, name: str) -> int:
        """Count the connections of one group."""
        return sum(one.groups(kind).count(name) for one in self._variants.values())

    def has_members(self, kind: GroupKind, name: str) -> bool:
        """Return whether one group has connections."""
        for variant in self._variants.values():
            if variant.groups(kind).get(name) is not None:
                return True
        return False

    def names(self, kind: GroupKind) -> list[str]:
        """Return the sorted names of the paths, or of the rooms, that have connections."""
        variants = list(self._variants.values())
        return sorted({name for one in variants for name in one.groups(kind).names()})

    def on_path(self, path: str) -> list[Connection]:
        """Return the open connections on `path`; any thread may call this."""
        return [one for one in list(self.connections) if one.path == path and not one.closed]

    def say_goodbye(self, connections: Iterable[Connection], code: int, reason: str) -> None:
        """Close soon those of `connections` that this engine serves; any thread may call this."""
        for connection in connections:
            lifecycle = self.connections.get(connection)
            if lifecycle is not None:
                self.mailbox.post(lifecycle.begin_close, code, reason)

    def adopt(self, taken: Taken, accepted: Accepted) -> Lifecycle:
        """Serve a socket after its opening handshake; "open" runs in the hub's next turn.

        Args:
            taken: the socket; the engine owns it from now on.
            accepted: the client and its route, as the opening handshake settled them.
        """
        self.now_s = time.monotonic()  # the sweeper may have slept
        service = accepted.service
        lifecycle = self._lifecycle(accepted)
        connection = Connection(lifecycle, accepted)
        most_bytes = service.limits.max_outbound_bytes
        transport = Transport(taken.stream, self.poller, self._flush_queue, lifecycle, most_bytes)
        lifecycle.attach(connection, transport)
        returning = self._returning(lifecycle)
        is_due = False
        if returning is not None or (service.limits.history and self.fanout.histories is not None):
            self.keeper_here().follow()
            is_due = returning is not None and returning.is_due
            if not is_due:  # who is due hears it before it catches up
                self._hear_before()
        self.connections[connection] = lifecycle
        service.tally.opened_count += 1

        if is_due:
            self._arriving.add(lifecycle)
            self.fanout.entered(_PATH, connection.path)
        else:
            self.join_path(lifecycle)

        self._sweeper.wake()
        if taken.head:
            transport.write(taken.head)
        if returning is not None and not is_due:
            returning.greet_newcomer()
        lifecycle.begin(taken.early)
        return lifecycle

    def _hear_before(self) -> None:
        """Have heard what was said before somebody comes, for whom it isn't; once in a turn."""
        keeper = self.keeper_here()
        if keeper.is_distant:
            return
        turn_s = self.hub.loop.now()
        if turn_s != self._heard_at_s:
            self._heard_at_s = turn_s
            keeper.hear()
        else:
            keeper.settle()

    def _lifecycle(self, accepted: Accepted) -> Lifecycle:
        service, claim = accepted.service, accepted.claim
        histories = self.fanout.histories
        if histories is None or (
            claim is None and not service.limits.replay and not histories.replays_rooms
        ):
            return Lifecycle(self, service, accepted.window_bits)
        if not service.limits.history and not histories.has_rooms:
            return Lifecycle(self, service, accepted.window_bits)

        # Here, since most apps keep nothing.
        from ..websocket.returning import ReturningLifecycle
        from ..websocket.unmarking import with_marks

        if claim is not None:
            marking = self._marking.get(service)
            if marking is None:
                marking = self._marking[service] = with_marks(service)
            service = marking
        return ReturningLifecycle(self, service, accepted.window_bits, claim)

    def join_path(self, lifecycle: Lifecycle) -> None:
        """Put a connection into the group of its path; broadcasts of earlier aren't for it."""
        if self.is_keeping:
            self._flush_kept()
        transport, path = lifecycle.transport, lifecycle.connection.path
        group = self._variant_of(lifecycle).paths.add(path, transport)
        if len(group) == 1:
            self.fanout.entered(_PATH, path)
        transport.group = group
        transport.mark = len(group.pending)
        self._end_arrival(lifecycle)

    def _end_arrival(self, lifecycle: Lifecycle) -> None:
        if self._arriving and lifecycle in self._arriving:
            self._arriving.discard(lifecycle)
            self.fanout.left(_PATH, lifecycle.connection.path)

    def _keep_house(self) -> bool:
        now_s = self.now_s = time.monotonic()
        settled = self._settled
        while settled and settled[0][0] <= now_s:
            settled.popleft()[1].close()
        if self.keeper is not None:
            self.keeper.look(now_s)
        has_more = self.dispatcher.trim() or bool(settled)
        return (self.on_sweep is not None and self.on_sweep()) or has_more

    def _new_variant(self) -> Variant:
        return Variant(Groups(self._flush_queue), Groups(self._flush_queue))

    def _variant_of(self, lifecycle: Lifecycle) -> Variant:
        if not lifecycle.window_bits and not lifecycle.is_marked:
            return self._plain
        form = _form_of(lifecycle)
        variant = self._variants.get(form)
        if variant is None:
            # Replaced, not changed: other threads iterate over it to count.
            variant = self._new_variant()
            self._variants = {**self._variants, form: variant}
        return variant

    # -- called by connections

    def callback_of(self, service: ServedRoute) -> Callable[..., object]:
        """Return how to call a route's callback: here, or in a thread for callbacks."""
        if self._threads is None:
            return service.callback
        callback = self._callbacks.get(service)
        if callback is None:
            callback = self._callbacks[service] = partial(self._threads.run, service.callback)
        return callback

    def run_apps(self, function: Callable[..., Any], *args: Any) -> Any:  # Any: whatever it gives
        """Call code of the app's: in a thread for callbacks where that is its place, or here."""
        if self._threads is None or get_ident() != self.thread_ident:
            return function(*args)
        return self._threads.run(function, *args)

    def settle(self, transport: Transport) -> None:
        """Both close frames are out: close this transport after a short grace period."""
        self._settled.append((time.monotonic() + _SETTLED_S, transport))
        if len(self._settled) > _MOST_SETTLED:
            self._settled.popleft()[1].close()

    def ended(self, lifecycle: Lifecycle) -> None:
        """Called when the close code is final, just before the "close" callback."""
        code = lifecycle.close_code
        assert code is not None
        lifecycle.service.tally.count_close(code, is_peers=lifecycle.was_closed_by_peer)
        if self.on_end is not None:
            self.on_end(lifecycle)

    def forget(self, lifecycle: Lifecycle) -> None:
        """Remove a connection whose socket is gone and whose "close" callback is done."""
        if self.connections.pop(lifecycle.connection, None) is not None:
            lifecycle.service.tally.take_over(lifecycle)
            lifecycle.release()
            if self.keeper is not None and not self.connections:
                self.keeper.stop_following()

    def leave_groups(self, lifecycle: Lifecycle) -> None:
        """Take a connection out of its path and its rooms; earlier broadcasts still reach it."""
        if self.is_keeping:
            self._flush_kept()
        self._end_arrival(lifecycle)
        transport, path = lifecycle.transport, lifecycle.connection.path
        paths = self._variant_of(lifecycle).paths
        group = paths.get(path)
        if group is not None:
            transport.leave_group()
            paths.remove(group, transport)
            if not len(group):
                self.fanout.left(_PATH, path)

        if lifecycle.rooms:
            for room in list(lifecycle.rooms):
                self.leave(lifecycle, room)

    def join(self, lifecycle: Lifecycle, room: str) -> None:
        """Put a connection into a named room.

        Waits briefly, until messages that other processes send to the room arrive here.
        """
        if lifecycle.rooms is None:
            lifecycle.rooms = {}
        if room in lifecycle.rooms:
            return

        if self.limits_of((_ROOM, room)) is not None:
            self._join_kept(lifecycle, room)
            return
        self._enter_room(lifecycle, room)
        self.fanout.wait_until_heard(_ROOM, room)

    def _enter_room(self, lifecycle: Lifecycle, room: str) -> None:
        rooms = self._variant_of(lifecycle).rooms
        assert lifecycle.rooms is not None
        group = lifecycle.rooms[room] = rooms.add(room, lifecycle.transport)
        if len(group) == 1:
            self.fanout.entered(_ROOM, room)

    def _join_kept(self, lifecycle: Lifecycle, room: str) -> None:
        """Put a connection into a room that keeps history, behind what it missed there."""
        keeper = self.keeper_here()
        keeper.follow()
        self.fanout.entered(_ROOM, room)
        self._joining[room] += 1
        try:
            self.fanout.wait_until_heard(_ROOM, room)
            keeper.hear()
            if (returning := self._returning(lifecycle)) is not None:
                returning.catch_up_room(room)
            self._flush_kept()
            if not lifecycle.closed and room not in (lifecycle.rooms or {}):
                self._enter_room(lifecycle, room)
        finally:
            self._joining[room] -= 1
            if not self._joining[room]:
                del self._joining[room]
            self.fanout.left(_ROOM, room)

    def leave(self, lifecycle: Lifecycle, room: str) -> None:
        """Take a connection out of a named room."""
        if self.is_keeping:
            self._flush_kept()
        group = lifecycle.rooms.pop(room, None) if lifecycle.rooms else None
        if group is not None:
            self._variant_of(lifecycle).rooms.remove(group, lifecycle.transport)
            if not len(group):
                self.fanout.left(_ROOM, room)

    # -- history

    def keeper_here(self) -> HubKeeper | DistantKeeper:
        """Return the journal of this hub; the first call opens it. In the hub's thread."""
        keeper = self.keeper
        if keeper is None:
            keeper = self.keeper = self._new_keeper()
        return keeper

    def _new_keeper(self) -> HubKeeper | DistantKeeper:
        fanout = self.fanout
        assert fanout.histories is not None and fanout.reading is not None
        audience = EngineAudience(self)
        if not fanout.reading.is_distant:
            return HubKeeper(self.hub.loop, audience, fanout.reading.open_another())
        assert fanout.relay is not None
        fanout.relay.call_line("declare", fanout.histories.declarations())
        return DistantKeeper(self.hub, self.mailbox, audience, fanout.relay)

    def take_up_histories(self) -> None:
        """Have histories count that were declared while connections are here; in the hub's thread.

        Who is here may be on a path, or in a room, of which nothing was kept until now.
        """
        fanout, keeper = self.fanout, self.keeper
        assert fanout.histories is not None
        if isinstance(keeper, HubKeeper):
            keeper.declare(fanout.histories.declarations())
        elif keeper is not None:
            assert fanout.relay is not None
            fanout.relay.call_line("declare", fanout.histories.declarations())
        if self.connections:
            self.keeper_here().follow()
            self._hear_before()

    def tell_keeper(self, method: str, *args: object) -> None:
        """Call a method of the keeper of a journal elsewhere; in the hub's thread."""
        keeper = self.keeper_here()
        if keeper.is_distant:
            getattr(keeper, method)(*args)

    def keep(self, draft: Draft, exclude: Transport | None) -> None:
        """Keep a frame, and have it heard at the end of the turn; in the hub's thread."""
        self.is_keeping = True
        (self.keeper or self.keeper_here()).keep(draft, exclude)

    def finish_keeping(self, lifecycle: Lifecycle | None = None) -> bool:
        """Have what was said, and news, in the journal and queued for their members."""
        keeper = self.keeper
        is_done = keeper is None or keeper.settle(lifecycle)
        self.is_keeping = keeper is not None and keeper.is_pending
        return is_done

    def hear_bell(self, kind: GroupKind, name: str, before: int) -> None:
        """Read what another process has kept; see `Fanout.hear_bell`. In the hub's thread."""
        if self.fanout.histories is not None and self.has_members(kind, name):
            self.keeper_here().follow(before)
        self.ring()

    def ring(self) -> None:
        """Read at the end of this turn what others have kept; in the hub's thread."""
        if self.keeper is not None and self.keeper.ring():
            self.is_keeping = True

    def put_behind(self, function: Callable[..., object], *args: object) -> None:
        """Call a function once what was said is queued; in the hub."""
        if self.keeper is None:
            function(*args)
        else:
            self.keeper.put_behind(function, *args)

    def _flush_kept(self) -> None:
        """Do what can be done at once of `finish_keeping`."""
        keeper = self.keeper
        if keeper is not None and not keeper.is_distant:
            keeper.settle()
            self.is_keeping = False

    def is_awaited(self, kind: GroupKind, name: str) -> bool:
        """Return whether one group has connections, or may get one that is catching up."""
        if self.has_members(kind, name):
            return True
        if kind is _ROOM:
            return bool(self._joining.get(name))
        return any(one.connection.path == name for one in self._arriving)

    def limits_of(self, topic: Topic) -> KeptLimits | None:
        """Return how much is kept of a path or room; None for nothing."""
        histories = self.fanout.histories
        return None if histories is None else histories.of(topic)

    def marked_connections(self) -> list[ReturningLifecycle]:
        """Return the connections whose messages begin with a mark."""
        found = [self._returning(one) for one in list(self.connections.values())]
        return [one for one in found if one is not None and one.is_marked]

    def _returning(self, lifecycle: Lifecycle) -> ReturningLifecycle | None:
        """Return a lifecycle as one that may have been here before; None for any other."""
        return cast("ReturningLifecycle", lifecycle) if lifecycle.may_return else None

    def deliver(
        self,
        kind: GroupKind,
        name: str,
        frame: bytes,
        exclude: Transport | None,
    ) -> None:
        """Queue a frame for the members of a group in this engine; in the hub's thread."""
        if self.is_keeping:
            self._flush_kept()
        is_path = kind is _PATH
        if is_path:
            self.path_broadcasts += 1
        else:
            self.room_broadcasts += 1

        for form, variant in self._variants.items():
            group = (variant.paths if is_path else variant.rooms).get(name)
            if group is None:
                continue
            data = frame
            if form is not _PLAIN:
                data = self._compressed(form, marked(frame, PRIVATE) if form.is_marked else frame)
            if is_path:
                group.broadcast(data, exclude)
            else:
                self._write_each(group, data, exclude)

    def deliver_kept(
        self,
        kind: GroupKind,
        name: str,
        numbers: Sequence[int],
        frames: list[bytes],
        excludes: Sequence[Transport | None] | None,
    ) -> None:
        """Queue kept messages for the members of a group; see `Audience.hear_kept`."""
        is_path = kind is _PATH
        if is_path:
            self.path_broadcasts += len(frames)
        else:
            self.room_broadcasts += len(frames)

        for form, variant in self._variants.items():
            group = (variant.paths if is_path else variant.rooms).get(name)
            if group is None:
                continue
            found = frames
            if form.is_marked:
                pairs = zip(frames, numbers, strict=True)
                found = [marked(frame, kept_mark(number)) for frame, number in pairs]
            if form.window_bits:
                found = [self._compressed(form, frame) for frame in found]
            if is_path and excludes is None:
                group.broadcast_all(found)
                continue
            for frame, exclude in zip(found, excludes or [None] * len(found), strict=True):
                if is_path:
                    group.broadcast(frame, exclude)
                else:
                    self._write_each(group, frame, exclude)

    def _compressed(self, form: Form, frame: bytes) -> bytes:
        """Compress a frame where connections of this form agreed to it."""
        if not form.window_bits:
            return frame
        threshold_bytes = self.config.deflate_threshold_bytes
        return compress_frame(
            frame, form.window_bits, threshold_bytes, form.level, form.memory_level
        )

    def _write_each(self, group: Group, frame: bytes, exclude: Transport | None) -> None:
        # One member at a time: only a member's own outbox keeps the order of room and path
        # broadcasts.
        if self.meter is not None:
            self.meter.fanout.add(len(group))
        group.write_each(frame, exclude)

    def fork_error(self, consequence: str) -> ForkError:
        """Return the error for something that a forked child can't do."""
        return ForkError(len(self.connections), consequence)

    def report(self, message: str, *args: object, error: BaseException) -> None:
        """Log a bug of this package for the hub, which must not log itself: logging may wait."""
        mishaps.report(logger, message, *args, error=error)

    # -- the end

    def drain(self, timeout_s: float, spread_s: float) -> bool:
        """Close all connections and wait for their "close" callbacks; see `Draining`."""
        self.is_draining = True
        connections = self.connections.values()
        draining = Draining(connections, self.dispatcher, spread_s, self.config.retry_spread_s)
        return draining.run(timeout_s)

    def forsake(self) -> None:
        """Release all connections in a forked child: they belong to the parent."""
        self._sweeper.close()
        self.poller.close()
        for lifecycle in self.connections.values():
            lifecycle.forsake()

    def close(self) -> None:
        """Close timers, sockets and parked workers of this engine; only after `drain`."""
        if self.keeper is not None and self.is_alive:
            self.keeper.close()
        self.fanout.remove(self)
        if self._threads is not None:
            self._threads.close()
        while self._settled:
            self._settled.popleft()[1].close()
        if self.is_alive:
            self._sweeper.close()
            self.poller.close()
            if self._watch is not None:
                self._watch.close()
            self.hub.loop.run_callback(self.dispatcher.end_parked)


def _form_of(lifecycle: Lifecycle) -> Form:
    limits, is_marked = lifecycle.service.limits, lifecycle.is_marked
    if not lifecycle.window_bits:
        return Form(0, 0, 0, is_marked)
    return Form(lifecycle.window_bits, limits.deflate_level, limits.deflate_mem_level, is_marked)


def _name_of(argument: str, value: object) -> str | None:
    """Describe the connection or request that a function was called with, for `LoopWatch`."""
    if isinstance(value, Connection):
        return f"a callback of {value.route}, connection {value.id}"
    if argument == "environ" and isinstance(value, dict) and "PATH_INFO" in value:
        return f"the request {value.get('REQUEST_METHOD')} {value['PATH_INFO'][:200]!r}"
    return None
