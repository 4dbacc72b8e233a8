"""Where the file with an app's kept messages lies: one place for servers and publishers alike.

Free of gevent.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from ..errors import JournalError
from .private_folders import NotPrivateError, default_places, make_private

if TYPE_CHECKING:
    from ..config import Config
    from ..journal.file import FileJournal


def journal_path(config: Config, root: str | os.PathLike[str], app_number: int) -> str:
    """Return where the file of an app is.

    The folder is `history_dir`, else `bus_dir`, else the last of the project's default places: the
    others may be gone when the user logs out, and come back empty.
    """
    folder = config.history_dir or config.bus_dir or default_places(root)[-1]
    return os.path.join(folder, f"history-{app_number}.sqlite")


def journal_file(config: Config, root: str | os.PathLike[str], app_number: int) -> FileJournal:
    """Return the journal of an app in its file, which is made when it is first used."""
    # Here, since SQLite takes a megabyte, and most apps keep nothing.
    from ..journal.file import FileJournal

    path = journal_path(config, root, app_number)
    has_own_folder = bool(config.history_dir or config.bus_dir)
    make = partial(_make, os.path.dirname(path), has_own_folder)
    return FileJournal(path, make, config.max_history_bytes)


def _make(folder: str, has_own_folder: bool) -> None:
    if has_own_folder:
        os.makedirs(os.path.dirname(folder) or ".", exist_ok=True)
    try:
        make_private(folder)
    except NotPrivateError as exc:
        raise JournalError(f"history folder {exc}") from None
