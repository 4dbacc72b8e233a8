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
    """See that the way to other processes can be gone as it is set up, without going it.

    Raises:
        ConfigError: it can't.
    """
    if config.backplane == "redis":
        from .redis.channels import check_url

        check_url(config)


class Outsider:
    """One who only publishes; connections are kept for the next message, in one process.

    A child that was forked has copies of them, and of the numbers by which answers are known. So it
    begins anew, with a name and connections of its own; closing its copies leaves the parent's as
    they are.

    Args:
        root: of the project, which names the default bus directory; None to look for it, see
            `roots`.
        app_number: for which of its process's apps it speaks, to the same one of other processes;
            None for a publisher that is no app.

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
        """Give what another process needs to begin anew: one that is started by "spawn" or
        "forkserver".
        """
        return {**self.__dict__, "_way": None}

    def carry(self, kind: Kind, name: str, frame: bytes) -> Receipt:
        """Tell all processes that serve, wait for them, and say who took it.

        Raises:
            BackplaneError: there is none, or there is no way to them.
        """
        if self._pid != os.getpid():
            self.close()
            self._pid = os.getpid()
        if self._way is None:
            self._way = self._find_way()
        try:
            return self._way.carry(kind, name, frame)
        except BackplaneError:
            # The next message may find a server that has come since, in another folder.
            self.close()
            raise

    def close(self) -> None:
        """Give the sockets back."""
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
        # A folder that is somebody else's is told of only where there is no other.
        return next((one for one in directories if one.names()), directories[0])
