"""Looks at the file in which an app keeps what was said, and makes nothing."""

from __future__ import annotations

import importlib.util
import os
import shutil
from typing import TYPE_CHECKING

from ...app import App
from ...backplane.journal_files import journal_file
from ...backplane.private_folders import NotPrivateError, check_private
from ...errors import JournalError
from ...hosting.checks import Finding
from ..kept_patterns import told
from .ways import Note

if TYPE_CHECKING:
    from collections.abc import Iterator

_MEBIBYTE = 1 << 20
_FIX = "nothing is kept until then, and clients that come back are told of a gap; see history_dir"


def examine_history(app: object) -> Iterator[Finding | Note]:
    """Report what keeps an app from keeping what it should, and note what it keeps."""
    kept = app.all_kept() if isinstance(app, App) else []
    if not isinstance(app, App) or not kept:
        return

    names = ", ".join(map(told, kept))
    if app.config.backplane == "redis":
        yield Note(f"history is kept of {names}, in Redis")
        return
    path = app.history_file()
    if not path:
        yield Note(
            f"history is kept of {names}, in the memory of each process, since backplane is 'none'"
        )
        return
    fault = _fault(path) or _fault_in_file(app, path)
    if fault:
        yield Finding(f"history can't be kept: {fault}", _FIX)
    else:
        yield from _room(path, app.config.max_history_bytes)
    yield Note(f"history is kept of {names}, in {path}")


def _fault(path: str) -> str:
    """Return what is wrong with the folder, or with Python; "" if nothing is."""
    if importlib.util.find_spec("_sqlite3") is None:
        return "this Python was built without sqlite3"

    folder = os.path.dirname(path)
    try:
        check_private(folder)
    except FileNotFoundError:
        parent = _parent_of(folder)
        if not os.access(parent, os.W_OK | os.X_OK) or not os.path.isdir(parent):
            return f"the folder {folder} can't be made in {parent}"
    except NotPrivateError as exc:
        return f"the folder {exc}"
    except OSError as exc:
        return f"the folder {folder} can't be read: {exc.strerror}"
    return ""


def _fault_in_file(app: App, path: str) -> str:
    if not os.path.exists(path):
        return ""
    journal = journal_file(app.config, app.root, app.number)
    try:
        journal.point()
    except JournalError as exc:
        return str(exc)
    finally:
        journal.close()
    return ""


def _room(path: str, most_bytes: int) -> Iterator[Finding]:
    """Report a disk that is smaller than what may be kept."""
    folder = _parent_of(path)
    used = os.path.getsize(path) if os.path.exists(path) else 0
    free = shutil.disk_usage(folder).free
    if free + used < most_bytes:
        yield Finding(
            f"{folder} has room for {free // _MEBIBYTE} MiB more, and history may take "
            f"{most_bytes // _MEBIBYTE} MiB",
            "make room, or set max_history_bytes or history_dir",
        )


def _parent_of(path: str) -> str:
    """Return the nearest folder above a path that is there."""
    parent = os.path.dirname(path)
    while not os.path.exists(parent) and parent != os.path.dirname(parent):
        parent = os.path.dirname(parent)
    return parent or "."
