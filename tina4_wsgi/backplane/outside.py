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

if TYPE_CHECKING:
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

    def carry(self, kind: Kind, name: str, frame: bytes) -> Receipt:
        """Tell all serving processes, wait for them, and return how many took it.

        Raises:
            BackplaneError: there is none, or none can be reached.
        """
        if self._pid != os.getpid():
            self.close()
            self._pid = os.getpid()

        if self._way is None:
            self._way = self._find_way()
        try:
            return self._way.carry(kind, name, frame)
        except BackplaneError:
            # The next message may find a server that started since, in another folder.
            self.close()
            raise

    def close(self) -> None:
        """Close the sockets."""
        way, self._way = self._way, None
        if way is not None:
            way.close()

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
            from .redis.outside import RedisOutsider

            return RedisOutsider(config, self._app_number or 0)

        return BusOutsider(self._find_directory(), self._app_number)

    def _find_directory(self) -> BusDirectory:
        if self._root is not None or self._config.bus_dir:
            return directory_of(self._config, self._root or "")

        directories = [directory_of(self._config, root) for root in likely_roots()]
        # `names` is empty for a folder of another user: an error only where no other folder has a
        # server.
        return next((one for one in directories if one.names()), directories[0])
