"""How a process that doesn't serve publishes: through the bus of this machine, or through Redis.

Free of gevent, so that a script or a task queue needs neither a hub nor patched sockets.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ..errors import BackplaneError
from .bus.directory import BusDirectory, directory_of
from .bus.outside import BusOutsider
from .bus.project_roots import likely_roots
from .isolation import WithinProcess, isolation
from .keeping_publisher import KeepingPublisher
from .outside_journals import OutsideJournal

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..config import Config
    from .contract import OutsidePublisher, Receipt
    from .envelope import Kind


def check_settings(config: Config) -> None:
    """Check the settings of the backplane without connecting.

    Raises:
        ConfigError: they can't work.
    """
    if config.backplane == "redis":
        from .redis.channels import check_url

        check_url(config)


class Outsider:
    """Publishes without serving, and keeps its connections for the next message.

    A forked child has copies of the connections and of the numbers that match answers to
    questions. So it starts anew, with a name and connections of its own; closing its copies leaves
    the parent's open.

    Args:
        root: folder of the project, which names the default bus directory; None to look for it,
            see `bus.project_roots`.
        app_number: which app of its process this publisher speaks for; it reaches the app with the
            same number in other processes. None for a publisher that is no app.

    Threads: one at a time.
    """

    def __init__(
        self, config: Config, root: str | os.PathLike[str] | None, app_number: int | None = None
    ) -> None:
        self._config = config
        self._root = root
        self._app_number = app_number
        self._way: OutsidePublisher | None = None
        self._pid = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        """Leave the connections out: a process started by "spawn" or "forkserver" opens its own."""
        return {**self.__dict__, "_way": None}

    def carry(self, kind: Kind, name: str, frame: bytes, once: str = "") -> Receipt:
        """Tell all serving processes, wait for them, and return how many took it.

        Args:
            once: see `contract.OutsidePublisher.carry`.
        Raises:
            BackplaneError: there is none, or none can be reached.
            UsageError: `once` where nothing is kept.
        """
        return self._tell(lambda way: way.carry(kind, name, frame, once))

    def ring(self, kind: Kind, name: str, frames: list[bytes], before: int) -> Receipt:
        """Tell all serving processes that the journal has news."""
        return self._tell(lambda way: way.ring(kind, name, frames, before))

    def journal(self) -> OutsideJournal:
        """Return the journal in which this publisher keeps what it says, where there is one."""
        is_in_redis = self._config.backplane == "redis"
        roots = () if is_in_redis else self._find_place()[1]
        return OutsideJournal(self._config, roots, self._app_number or 0)

    def close(self) -> None:
        """Close the sockets."""
        way, self._way = self._way, None
        if way is not None:
            way.close()

    def _tell(self, tell: Callable[[OutsidePublisher], Receipt]) -> Receipt:
        if self._pid != os.getpid():
            self.close()
            self._pid = os.getpid()

        if self._way is None:
            self._way = self._find_way()
        try:
            return tell(self._way)
        except BackplaneError:
            # The next message may find a server that started since, in another folder.
            self.close()
            raise

    def _find_way(self) -> OutsidePublisher:
        config = self._config
        if isolation.is_on and self._app_number is None:
            return WithinProcess()

        if config.backplane == "none":
            raise BackplaneError(
                "backplane is 'none', so no other process can be reached; expected 'local' or "
                "'redis'"
            )

        if config.backplane == "redis":
            return self._redis_way()

        way = BusOutsider(self._find_place()[0], self._app_number)
        if self._app_number is not None:
            return way  # an app keeps what it says itself
        return KeepingPublisher(way, self.journal())

    def _redis_way(self) -> OutsidePublisher:
        from .redis.outside import RedisOutsider

        way = RedisOutsider(self._config, self._app_number or 0)
        if self._app_number is not None:
            return way  # an app keeps what it says itself
        from .redis.keeping import RedisKeepingPublisher

        return RedisKeepingPublisher(way, self.journal())

    def _find_place(self) -> tuple[BusDirectory, tuple[str | os.PathLike[str], ...]]:
        """Return the folder of the bus, and the projects one of which may have a journal."""
        config = self._config
        if self._root is not None or config.bus_dir:
            root = self._root or ""
            return directory_of(config, root), (root,)

        roots = likely_roots()
        directories = [directory_of(config, root) for root in roots]
        # `names` is empty for a folder of another user: an error only where no other folder has a
        # server.
        for root, directory in zip(roots, directories, strict=True):
            if directory.names():
                return directory, (root,)
        return directories[0], roots
