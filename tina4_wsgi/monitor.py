"""What one process tells about itself and, with the other workers' files, about all of them."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import gevent

from . import census
from .config import Config
from .engine import Engine
from .errors import ConfigError
from .metrics import Sums, Tally
from .process import Process
from .spool import Spool, Told, default_folder

logger = logging.getLogger("tina4_wsgi.metrics")

WRITE_INTERVAL_S = 1.0
"""How old the numbers of another worker may be."""


class Monitor:
    """Counts in one process. Made with its `Process`; costs nothing until somebody asks or `metrics` is set.

    Args:
        tallies: gives what routes remember, by route.
        refused: handshakes by status; the app's, and counted on there.
        backplane: gives its state, None without one.
    Greenlets: any that may wait, unless a method says less.
    """

    def __init__(
        self, process: Process, config: Config, root: str | os.PathLike[str],
        tallies: Callable[[], Iterable[tuple[str, Tally]]], refused: Mapping[int, int], backplane: Callable[[], Any],
    ) -> None:
        self.process = process
        self._tallies = tallies
        self._refused = refused
        self._backplane = backplane
        self._spool = Spool(config.metrics_dir or default_folder(root)) if config.metrics else None
        self._written_at_s = 0.0
        self._is_writing = False
        self._was_idle = True
        self._has_failed = False
        if self._spool is not None:
            process.on_engine = self._attend
            process.on_drained = self._write_last

    @property
    def backplane(self) -> Any:  # Any: a Status of whichever backplane there is
        """The state of the way to other processes, None without one."""
        return self._backplane()

    def own(self) -> Sums:
        """Count this process."""
        sums = census.take(self._tallies(), self.process.engines)
        for status, number in list(self._refused.items()):
            sums.count("handshakes_refused", number, status)
        sums.gauge("workers", 1)
        sums.gauge("draining_workers", int(self.process.is_draining))
        self._look_at_backplane(sums)
        return sums

    def others(self) -> tuple[list[Told], Sums]:
        """Give what the other workers told, and the counters of those that have ended; none without `metrics`.

        Raises:
            ConfigError, OSError: the folder can't be used.
        """
        return ([], Sums()) if self._spool is None else self._spool.others()

    def total(self) -> Sums:
        """Add up all workers.

        Raises:
            ConfigError, OSError: the folder can't be used.
        """
        alive, sums = self.others()
        for told in alive:
            sums.add(told.sums)
        sums.add(self.own())
        return sums

    def close(self) -> None:
        """Leave the others; what was written last counts on."""
        if self._spool is not None:
            self._spool.close()

    def _look_at_backplane(self, sums: Sums) -> None:
        status = self._backplane()
        if status is None or status.kind == "none":
            return
        sums.gauge("backplane_up", int(status.is_up), status.kind)
        sums.gauge("backplane_siblings", status.siblings, status.kind)
        sums.gauge("backplane_queued_messages", status.queued_messages, status.kind)
        sums.count("backplane_dropped_messages", status.dropped_messages, status.kind)
        sums.count("backplane_outages", status.outages, status.kind)

    # -- for other workers

    def _attend(self, engine: Engine) -> None:
        engine.on_sweep = lambda: self._be_swept(engine)

    def _be_swept(self, engine: Engine) -> bool:
        """Write now and then while there are connections, and once when they are gone. Called in the hub."""
        is_idle = not engine.connections
        if not self._is_writing and time.monotonic() - self._written_at_s >= WRITE_INTERVAL_S:
            self._is_writing = True
            self._was_idle = is_idle
            gevent.spawn(self._write)
        return not (is_idle and self._was_idle)

    def _write_last(self) -> None:
        if self.process.engines:  # else it has never served
            self._write()

    def _write(self) -> None:
        assert self._spool is not None
        try:
            self._spool.write(self.own(), {"pid": os.getpid()})
            self._has_failed = False
        except (ConfigError, OSError) as exc:
            if not self._has_failed:
                logger.error("other workers don't see the numbers of this one: %s", exc)
            self._has_failed = True
        finally:
            self._written_at_s = time.monotonic()
            self._is_writing = False
