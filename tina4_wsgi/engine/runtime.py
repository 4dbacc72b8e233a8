"""The running parts of an app in one process: engines, fan-out, relay and stop guard.

Nothing here may cross a fork, so an app creates a new `Runtime` whenever it finds itself in another
process.
"""

from __future__ import annotations

import logging
import os
import time
import weakref
from typing import TYPE_CHECKING, ClassVar

import gevent
from gevent._hub_local import get_hub_if_exists

from ..backplane.envelope import Kind
from ..backplane.relay import Relay
from ..errors import ForkError
from ..hosting import checks
from ..hosting.stop_guard import StopGuard
from ..hub.hub_thread import HubThread
from ..hub.native import get_ident
from ..routing.names import GroupKind
from . import presence
from .engine import Engine
from .fanout import Fanout
from .journals import Journals
from .reading import Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..backplane.contract import Facts, Saying
    from ..config import Config
    from ..hub.mailbox import ThreadCall
    from ..journal.contract import KeptLimits, Row, Topic
    from .distant_keeper import DistantKeeper
    from .histories import Histories
    from .keeper import HubKeeper
    from .standing import Counts

logger = logging.getLogger("tina4_wsgi.process")


_GOODBYE_S = 1.0
"""Time for other processes to take the broadcasts that this one made during its drain."""

_GROUP_KINDS = {Kind.PATH: GroupKind.PATH, Kind.ROOM: GroupKind.ROOM}

_OVERTIME_S = 2.0
"""Extra time beyond a drain's for another thread's hub, the last second for "close" callbacks
included.
"""

_POLL_S = 0.01


class _Forks:
    """Counts forks, so that a request notices one without a system call.

    In the child all connections belong to the parent: nothing in the child reads or writes their
    sockets. If a callback that forked still broadcasts in the child, its message leaves as a
    publisher's would.
    """

    count = 0
    processes: ClassVar[weakref.WeakSet[Runtime]] = weakref.WeakSet()

    @classmethod
    def add(cls) -> None:
        cls.count += 1
        for process in list(cls.processes):
            process.forsake()


def fork_count() -> int:
    """Return how many forks lie between the import of this package and this process."""
    return _Forks.count


os.register_at_fork(after_in_child=_Forks.add)


class Runtime:
    """The running side of an app in the current process.

    Args:
        root: the project's directory; names the bus directory. None for an app without other
            processes.
        app_number: which app of its process this is.
        parent: the app's `Runtime` in the parent process; None if there was none.
        is_serving: whether this process certainly serves: requests have come, or a server has
            started.
    Raises:
        ForkError: the parent had open connections when it forked, and this app has no way to reach
            other processes.

    Attributes:
        on_engine: called with each new engine.
        on_draining: called at the beginning of `drain`; doesn't wait.
        on_drained: called at the end of `drain`.
        on_question: called in the hub with another process's question that isn't about presence;
            returns the answer.
        histories: what the app keeps, for when another process keeps something; it may be nothing.
    """

    def __init__(
        self,
        config: Config,
        parent: Runtime | None = None,
        root: str | None = None,
        app_number: int = 0,
        is_serving: bool = False,
    ) -> None:
        self._inherited_count = 0 if parent is None else parent.connection_count
        if self._inherited_count and (root is None or config.backplane == "none"):
            raise self._fork_error("and without a backplane it reaches none of their clients")
        self._fork_count = _Forks.count

        is_outsider = fork_count() > 0 and not is_serving
        self.fanout = Fanout()
        self.fanout.members = self.members
        if root is not None and config.backplane != "none":
            self.fanout.relay = Relay(config, root, app_number, self, is_outsider, is_serving)

        self.stop_guard = StopGuard(self.drain, config.drain_timeout_s)
        self.is_draining = False
        self.on_engine: Callable[[Engine], None] | None = None
        self.on_draining: Callable[[], None] | None = None
        self.on_drained: Callable[[], None] | None = None
        self.on_question: Callable[[Facts], Facts] | None = None
        self.histories: Histories | None = None

        self._config = config
        self._engines: dict[int, Engine] = {}
        self._is_checked = False
        self._root, self._app_number = root, app_number
        self._journals = Journals(config, root, app_number, is_outsider)
        _Forks.processes.add(self)

    @property
    def is_here(self) -> bool:
        """Whether this process created the `Runtime`, and isn't a forked child."""
        return self._fork_count == _Forks.count

    @property
    def connection_count(self) -> int:
        """How many connections this process serves."""
        return sum(len(engine.connections) for engine in list(self._engines.values()))

    @property
    def engines(self) -> list[Engine]:
        """The engines, one for each hub that has served; usually one."""
        return list(self._engines.values())

    def keep_history(self, histories: Histories) -> None:
        """Keep from now on what is said where the app keeps history; harmless when repeated."""
        fanout = self.fanout
        if fanout.histories is None:
            fanout.reading = Reading(fanout, histories, self._journals)
            fanout.histories = histories

    def take_up_histories(self) -> None:
        """Have routes and rooms count that were registered while connections may be here."""
        reading = self.fanout.reading
        if reading is not None:
            reading.declare_anew()
        here = get_ident()
        for engine in self.engines:
            if engine.thread_ident == here:
                engine.take_up_histories()
            elif engine.is_alive:
                engine.mailbox.post(engine.take_up_histories)

    @property
    def keepers(self) -> list[HubKeeper | DistantKeeper]:
        """The journals of the hubs that keep history."""
        return [engine.keeper for engine in self.engines if engine.keeper is not None]

    @property
    def keeping_counts(self) -> list[Counts]:
        """What this process kept, by hub and for threads without one; [] if it keeps nothing."""
        reading = self.fanout.reading
        return [] if reading is None else [reading.counts, *(one.counts for one in self.keepers)]

    @property
    def history_error(self) -> str:
        """Why what should be kept can't be at present; "" if it can, or if nothing should."""
        reading = self.fanout.reading
        last = "" if reading is None else reading.error
        return next((one.error for one in self.keepers if one.error), last)

    def engine(self) -> Engine:
        """Return the engine of the current thread's hub; the first call creates it.

        Raises:
            ForkError: the parent had open connections when it forked.
        """
        if self._inherited_count:
            raise self._fork_error(
                "and can't serve: fork before the first one (see gunicorn --preload)"
            )

        engine = self._engines.get(get_ident())
        if engine is not None and not engine.is_alive:
            engine.close()  # its thread has ended, and this thread got the same identifier
            engine = None

        if engine is None:
            engine = self._engines[get_ident()] = Engine(self._config, self.fanout)
            if self.on_engine is not None:
                self.on_engine(engine)

        if self.fanout.relay is not None:
            self.fanout.relay.start()
        return engine

    def engine_of(self, is_native: bool) -> Engine:
        """Return the engine for a request of this thread; the first call creates it.

        Args:
            is_native: whether the request runs without a hub; then it is the hub thread's.
        Raises:
            ForkError: the parent had open connections when it forked.
        """
        if not is_native:
            return self.engine()
        thread = HubThread.here()
        engine = self._engines.get(thread.ident)
        if engine is None or self._inherited_count:
            engine = thread.mailbox.call_waiting(self.engine)
            self.stop_guard.guard_threads()
        return engine

    def _fork_error(self, consequence: str) -> ForkError:
        return ForkError(self._inherited_count, consequence)

    def forsake(self) -> None:
        """Release all connections in a forked child: they belong to the parent."""
        if not self._engines:
            return
        relay = None
        if self.fanout.relay is not None:
            assert self._root is not None
            relay = Relay(self._config, self._root, self._app_number, self, is_outsider=True)
        self.fanout.forsake(relay, self.members, self.connection_count)
        self._journals = Journals(self._config, self._root, self._app_number, is_outsider=True)
        histories, self.fanout.histories = self.fanout.histories, None
        if histories is not None:
            self.keep_history(histories)  # with a journal of the child's own
        for engine in self._engines.values():
            engine.forsake()

    def look_around(self, is_native: bool = False) -> None:
        """Log problems of the environment, once; see `checks.log_at_boot`."""
        if not self._is_checked:
            self._is_checked = True
            checks.log_at_boot(self._config, is_native)

    # -- called for other processes

    def deliver(self, kind: Kind, name: str, frame: bytes) -> None:
        """Deliver a broadcast of another process."""
        self.fanout.broadcast_here(_GROUP_KINDS[kind], name, frame)

    def hear_bell(self, kind: Kind, name: str, before: int) -> None:
        """Read in the journal what others have kept."""
        if self.histories is not None and self.count_here(kind, name):
            self.keep_history(self.histories)
        self.fanout.hear_bell(_GROUP_KINDS[kind], name, before)

    def lose(self, kind: Kind, name: str, frame: bytes) -> None:
        """Deliver a broadcast of another process that should be in the journal and isn't."""
        self.deliver(kind, name, frame)
        self.fanout.doubt()

    def hear_kept(self, row: Row, sayings: Sequence[Saying] | None, is_new: bool) -> None:
        """Deliver messages that are kept elsewhere."""
        self._tell_keepers("hear_kept", row, sayings, is_new)

    def hear_answer(self, saying: Saying) -> None:
        """Note that a message of a hub here was kept or refused."""
        self._tell_keepers("hear_answer", saying)

    def hear_point(self, epoch: str, number: int, has_gap: bool, is_well: bool) -> None:
        """Note that everything up to a number was heard."""
        self._tell_keepers("hear_point", epoch, number, has_gap, is_well)

    def hear_gap(self, topics: Sequence[Topic]) -> None:
        """Note that messages of some topics are missing here, and gone."""
        self._tell_keepers("hear_gap", topics)

    def hear_trouble(self, error: str) -> None:
        """Note that messages can't be kept at present."""
        self._tell_keepers("hear_trouble", error)

    def hear_forgotten(self, topic: Topic) -> None:
        """Drop what is remembered of a topic."""
        self._tell_keepers("hear_forgotten", topic)

    def _tell_keepers(self, method: str, *args: object) -> None:
        here = get_ident()
        for engine in self.engines:
            if engine.thread_ident == here:
                engine.tell_keeper(method, *args)
            elif engine.is_alive:
                engine.mailbox.post(engine.tell_keeper, method, *args)

    def limits_of(self, topic: Topic) -> KeptLimits | None:
        """Return how much is kept of a topic."""
        histories = self.fanout.histories
        return None if histories is None else histories.of(topic)

    def keeps(self, kind: Kind, name: str) -> bool:
        """Return whether history is kept of path, or room, `name`."""
        histories = self.fanout.histories
        return histories is not None and histories.of((int(kind), name)) is not None

    def say(self, kind: Kind, name: str, frame: bytes, once: str) -> None:
        """Broadcast a frame for a publisher of this process."""
        self.fanout.broadcast(_GROUP_KINDS[kind], name, frame, once=once or None)

    def count_here(self, kind: Kind, name: str) -> int:
        """Count this process's connections on the path, or in the room, `name`."""
        group_kind = _GROUP_KINDS[kind]
        return sum(engine.count(group_kind, name) for engine in self.engines)

    def answer(self, question: Facts) -> Facts:
        """Answer a question about this process's connections."""
        found = presence.answer(question, list(self._engines.values()))
        return found if found or self.on_question is None else self.on_question(question)

    def ask_all(self, question: Facts) -> list[Facts]:
        """Put a question to this process and all others, and wait for the answers."""
        return [self.answer(question), *self.ask_others(question)]

    def ask_others(self, question: Facts) -> list[Facts]:
        """Put a question to all other processes, and wait for the answers.

        Raises:
            ForkError: the parent had open connections when it forked.
        """
        if self._inherited_count:
            raise self._fork_error("and can't ask who is there")
        return [] if self.fanout.relay is None else self.fanout.relay.ask(question)

    def members(self, path: str) -> list[presence.Member]:
        """Return the members of `path`, in all processes, in order of joining."""
        return presence.members_in(self.ask_all(presence.members_question(path)))

    # -- the end

    def dismiss(self, code: int, reason: str) -> None:
        """Begin to close all connections; doesn't wait."""
        here = get_ident()
        for ident, engine in list(self._engines.items()):
            if ident == here:
                _dismiss(engine, code, reason)
            elif engine.is_alive:
                engine.mailbox.post(_dismiss, engine, code, reason)

    def drain(self, timeout_s: float, *, is_hurried: bool = False) -> None:
        """Close all connections with 1001, refuse new ones, and wait for "close" callbacks.

        Args:
            timeout_s: how long the whole drain may take.
            is_hurried: close all connections at once, whatever `drain_spread_s` says.
        """
        self.is_draining = True
        if self.on_draining is not None:
            self.on_draining()

        spread_s = 0.0 if is_hurried else self._config.drain_spread_s
        here, give_up_at_s = get_ident(), time.monotonic() + timeout_s + _OVERTIME_S
        elsewhere = [
            (engine, engine.mailbox.begin(engine.drain, timeout_s, spread_s))
            for ident, engine in list(self._engines.items())
            if ident != here and engine.is_alive
        ]

        if here in self._engines:
            self._engines[here].drain(timeout_s, spread_s)
        for engine, errand in elsewhere:
            _wait_for(engine, errand, give_up_at_s)

        if self.fanout.relay is not None:
            self.fanout.relay.retire(_GOODBYE_S)
        if self.on_drained is not None:
            self.on_drained()

    def release(self) -> None:
        """Close the engine of the current thread's hub, if it has no connections."""
        engine = self._engines.get(get_ident())
        if engine is not None and not engine.connections:
            del self._engines[get_ident()]
            engine.close()

    def close(self) -> None:
        """Close all engines and the relay; only after `drain`."""
        self.stop_guard.dismiss()
        if self.fanout.relay is not None:
            self.fanout.relay.close()

        here = get_ident()
        for ident, engine in self._engines.items():
            if ident == here or not engine.is_alive:
                engine.close()
            else:
                engine.mailbox.post(engine.close)
        self._engines.clear()
        if self.fanout.reading is not None:
            self.fanout.reading.close()


def _dismiss(engine: Engine, code: int, reason: str) -> None:
    for lifecycle in list(engine.connections.values()):
        lifecycle.dismiss(code, reason)


def _wait_for(engine: Engine, errand: ThreadCall, give_up_at_s: float) -> None:
    """Wait for another thread's drain, at most until `give_up_at_s`; this hub goes on meanwhile."""
    sleep = time.sleep if get_hub_if_exists() is None else gevent.sleep
    while not errand.is_done and engine.is_alive:
        if time.monotonic() >= give_up_at_s:
            logger.warning(
                "%d connections of another thread were left, since its hub stands still",
                len(engine.connections),
            )
            return
        sleep(_POLL_S)

    try:
        if errand.is_done:
            errand.wait()
    except Exception:
        logger.exception("the drain of another thread's connections failed")
