"""Opens the journal of an app: in a file of this machine, or in the memory of this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..backplane.isolation import isolation
from ..backplane.journal_files import journal_file
from ..journal.memory import MemoryJournal

if TYPE_CHECKING:
    import os

    from ..config import Config
    from ..journal.contract import Journal


class Journals:
    """Opens journals for the hubs of one process, and for its threads.

    Args:
        root: the project's folder; None for an app without other processes.
        app_number: which app of its process this is.
    """

    def __init__(
        self, config: Config, root: str | os.PathLike[str] | None, app_number: int
    ) -> None:
        self._config = config
        self._root = root
        self._app_number = app_number
        self._memory: MemoryJournal | None = None

    def open(self) -> Journal:
        """Return a journal for one user; it is opened when it is first used."""
        config = self._config
        if self._root is None or config.backplane == "none" or isolation.is_on:
            if self._memory is None:
                self._memory = MemoryJournal(config.max_history_bytes)
                isolation.journals.add(self._memory)
            return self._memory
        return journal_file(config, self._root, self._app_number)
