"""What one process reports about itself and, with the files of other workers, about them all."""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING, Any

import gevent

from ..backplane.private_folders import default_places
from ..errors import ConfigError
from . import collecting, live_feed
from .keeping import look_at_history
from .live_feed import Feed
from .metrics import Sums
from .worker_files import CHECK_S, Told, WorkerFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ..backplane.contract import Facts, Status
    from ..config import Config
    from ..engine.engine import Engine
    from ..engine.runtime import Runtime
    from ..websocket.served_route import ServedRoute

    Show = Callable[[Facts, "Monitor"], None]

logger = logging.getLogger("tina4_wsgi.metrics")

INTERVAL_S = 1.0
"""How often the live page is updated, and how old the numbers of another worker may be."""

_CONNECTIONS_PER_S = 2_000
_MOST_INTERVAL_S = 5.0
"""Numbers are written less often with many connections: reading 10,000 takes 15 ms."""

_CHECKS_PER_TOUCH = 20


class Monitor:
    """Counts in one process. Made with its `Runtime`; unless it shares, it runs only when asked.

    Args:
        services: returns the routes of the app, whose tallies count their connections.
        refused: the number of refused handshakes by status; the app counts on in this mapping.
        backplane: returns the state of the backplane, None without one.
        is_shared: whether workers share their numbers, to be added up.
        has_live: whether there is a live page, for which more than numbers is kept.
    Greenlets: any that may wait, unless a method says less.
    """

    def __init__(
        self,
        process: Runtime,
        config: Config,
        root: str | os.PathLike[str],
        services: Callable[[], Iterable[ServedRoute]],
        refused: Mapping[int, int],
        backplane: Callable[[], Status | None],
        is_shared: bool = False,
        has_live: bool = False,
    ) -> None:
        self.process = process
        self._services = services
        self._refused = refused
        self._backplane = backplane
        self.feed = Feed()
        folders = (config.metrics_dir,) if config.metrics_dir else default_places(root, ".metrics")
        self._files = WorkerFiles(*folders) if is_shared else None
        self._folder_timer: Any = None  # Any: gevent ships no types
        self._checks = 0
        self._show: Show | None = None
        self._has_live = has_live
        self._told_at_s = 0.0
        self._is_telling = False
        self._was_idle = True
        self._has_failed = False
        process.on_engine = self._attend
        process.on_drained = self._tell_last
        if has_live:
            process.on_question = self._answer

    @property
    def backplane(self) -> Status | None:
        """The state of the backplane, None without one."""
        return self._backplane()

    def own(self) -> Sums:
        """Count this process."""
        sums = collecting.collect(
            ((one.path, one.tally) for one in self._services()), self.process.engines
        )
        for status, number in list(self._refused.items()):
            sums.count("handshakes_refused", number, status)

        sums.gauge("workers", 1)
        sums.gauge("draining_workers", int(self.process.is_draining))

        self._look_at_backplane(sums)
        look_at_history(sums, self.process)
        return sums

    def others(self) -> tuple[list[Told], Sums]:
        """Return what the other workers told, and the counters of those that have ended.

        Both are empty unless workers share their numbers.

        Raises:
            ConfigError, OSError: the folder can't be used.
        """
        return ([], Sums()) if self._files is None else self._files.others()

    def total(self) -> Sums:
        """Add up all workers.

        Raises:
            ConfigError, OSError: the folder can't be used.
        """
        own = self.own()
        if self._files is not None:
            # If this worker is killed, counting goes on from what it told here.
            self._files.write(own, self._detail())
            self._keep_folder()

        alive, sums = self.others()
        for told in alive:
            sums.add(told.sums)
        sums.add(own)
        return sums

    def join(self) -> None:
        """Count this worker from now on; a failure is logged, and the attempt repeated."""
        if self._files is not None:
            self._tell()

    def close(self) -> None:
        """Leave the other workers; the last numbers written still count."""
        timer, self._folder_timer = self._folder_timer, None
        if timer is not None:
            timer.stop()
            timer.close()
        if self._files is not None:
            self._files.close()

    def _detail(self) -> Facts:
        if not self._has_live:
            return {"pid": os.getpid()}
        detail = self.feed.detail(self.process.engines)
        if error := self.process.history_error:
            detail["history_error"] = error
        return detail

    def _look_at_backplane(self, sums: Sums) -> None:
        status = self._backplane()
        if status is None or status.kind == "none":
            return

        sums.gauge("backplane_up", int(status.is_up), status.kind)
        sums.gauge("backplane_siblings", status.siblings, status.kind)
        sums.gauge("backplane_queued_messages", status.queued_messages, status.kind)
        sums.count("backplane_dropped_messages", status.dropped_messages, status.kind)
        sums.count("backplane_outages", status.outages, status.kind)

    def watch(self, show: Show | None) -> None:
        """Call `show` with a summary once a second while there are connections; None ends that."""
        self._show = show
        if show is None:
            self.feed.history.clear()

    def find(self, path: str, text: str) -> Facts:
        """Find connections of all workers, whose answers it waits for; see `live_feed.find`."""
        here = live_feed.find(self.process.engines, path, text)
        return live_feed.found_in(
            [here, *self.process.ask_others(live_feed.find_question(path, text))]
        )

    def _answer(self, question: Facts) -> Facts:
        return live_feed.answer(question, self.process.engines)

    # -- once a second

    def _attend(self, engine: Engine) -> None:
        if self._has_live:
            engine.on_end = self.feed.note_close
        if self._has_live or self._files is not None:
            engine.on_sweep = lambda: self._be_swept(engine)

    def _be_swept(self, engine: Engine) -> bool:
        """Tell now and then while there are connections, and once when they are gone.

        Called in the hub. Returns whether there is more to do.
        """
        if self._files is None and self._show is None:
            return False

        is_idle = not engine.connections
        interval_s = INTERVAL_S
        if self._show is None:
            interval_s = min(
                _MOST_INTERVAL_S, max(interval_s, len(engine.connections) / _CONNECTIONS_PER_S)
            )

        if not self._is_telling and time.monotonic() - self._told_at_s >= interval_s:
            self._is_telling = True
            self._was_idle = is_idle
            gevent.spawn(self._tell)
        return not (is_idle and self._was_idle)

    def _tell_last(self) -> None:
        # Without an engine it has never served.
        if self._files is not None and self.process.engines:
            self._tell()

    def _tell(self) -> None:
        self._told_at_s = time.monotonic()
        try:
            own = self.own()
            detail = self._detail()
            if self._files is not None:
                self._keep_folder()
                self._files.write(own, detail)

            if self._show is not None:
                alive, past = self.others()
                self._show(self.feed.now(own, detail, alive, past, self.backplane), self)

            self._has_failed = False
        except (ConfigError, OSError) as exc:
            if not self._has_failed:
                logger.error("the numbers of all workers can't be put together: %s", exc)
            self._has_failed = True
        except Exception:
            logger.exception("the live page's summary failed")
        finally:
            self._is_telling = False

    # -- the folder

    def _keep_folder(self) -> None:
        """Check now and then that this worker's files are still there, even if it is idle."""
        if self._folder_timer is None:
            self._folder_timer = gevent.get_hub().loop.timer(CHECK_S, CHECK_S, ref=False)
            self._folder_timer.start(self._check_folder)

    def _check_folder(self) -> None:
        """Write the files again if they are gone. Called in the hub."""
        if self._files is None or not self.process.is_here or self._is_telling:
            return

        self._checks += 1
        if not self._files.is_whole():
            self._is_telling = True
            gevent.spawn(self._tell)
        elif self._checks % _CHECKS_PER_TOUCH == 0:
            self._files.touch()
