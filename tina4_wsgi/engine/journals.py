"""Opens the journal of an app: in Redis, in a file of this machine, or in this process's memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..backplane.isolation import isolation
from ..backplane.journal_files import journal_file
from ..backplane.relay import call_apart
from ..errors import BackplaneError, JournalError
from ..journal.memory import MemoryJournal

if TYPE_CHECKING:
    import os

    from ..config import Config
    from ..journal.contract import Journal, Records


class Journals:
    """Opens journals for the hubs of one process, and for its threads.

    Args:
        root: the project's folder; None for an app without other processes.
        app_number: which app of its process this is.
        is_outsider: whether this is a forked child, whose hub can't be used.
    """

    def __init__(
        self,
        config: Config,
        root: str | os.PathLike[str] | None,
        app_number: int,
        is_outsider: bool = False,
    ) -> None:
        self._config = config
        self._root = root
        self._app_number = app_number
        self._is_outsider = is_outsider
        self._memory: MemoryJournal | None = None

    @property
    def is_distant(self) -> bool:
        """Whether messages are kept in Redis, for all machines."""
        is_shared = self._root is not None and not isolation.is_on
        return is_shared and self._config.backplane == "redis"

    def open_elsewhere(self) -> Records:
        """Return the journal in Redis, for any number of users.

        Raises:
            JournalError: the package redis is missing.
        """
        from ..backplane.redis.journal import RedisJournal

        apart = call_apart if self._is_outsider else None
        try:
            return RedisJournal(self._config, self._app_number, apart=apart)
        except BackplaneError as exc:
            raise JournalError(str(exc)) from None

    def open(self) -> Journal:
        """Return a journal for one user; it is opened when it is first used."""
        config = self._config
        if self._root is None or config.backplane == "none" or isolation.is_on:
            if self._memory is None:
                self._memory = MemoryJournal(config.max_history_bytes)
                isolation.journals.add(self._memory)
            return self._memory
        return journal_file(config, self._root, self._app_number)
