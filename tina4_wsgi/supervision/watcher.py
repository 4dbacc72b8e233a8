"""Which files of a project have changed, by their modification times.

Polling a thousand files takes about ten milliseconds, needs no library, and works on network
folders and in containers, where the kernel's notifications get lost.
"""

from __future__ import annotations

import itertools
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PAGES = (("src", "templates"), ("src", "public"))
"""Folders of an `App`, whose files are read again at their next use."""

_STATIC = "static"
_TEMPLATES = "templates"  # another framework's, which may cache them
_NO_SOURCES = frozenset({"__pycache__", "node_modules"})
_ENVIRONMENT = "pyvenv.cfg"

_SETTLE_S = 0.05
_MOST_LOOKS = 20

Times = dict[str, tuple[int, int, int]]


@dataclass(frozen=True, slots=True)
class Changes:
    """Paths of files that were changed, made or removed.

    Attributes:
        code: files that the server has read, so it must start again.
        pages: files that only pages show.
    """

    code: tuple[str, ...]
    pages: tuple[str, ...]


class Watcher:
    """Watches the Python files, templates and static files below some folders.

    It leaves out hidden folders, virtual environments and node_modules, and follows no links to
    folders.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = [os.path.realpath(folder) for folder in folders]
        self._times = self._look()

    def changes(self) -> Changes | None:
        """Return what has changed since the last call, once writing has ended; None for nothing."""
        times = self._look()
        if times == self._times:
            return None

        for _ in range(_MOST_LOOKS):
            time.sleep(_SETTLE_S)
            before, times = times, self._look()
            if times == before:
                break

        changed = sorted(path for path, _ in times.items() ^ self._times.items())
        self._times = times
        pages = tuple(path for path in dict.fromkeys(changed) if _is_of_pages(path))
        return Changes(tuple(path for path in dict.fromkeys(changed) if path not in pages), pages)

    def _look(self) -> Times:
        found: Times = {}
        for folder in self._folders:
            for path in _files(folder, is_wanted=False):
                try:
                    state = os.stat(path)
                except OSError:
                    continue  # it was removed meanwhile
                found[path] = state.st_mtime_ns, state.st_size, state.st_ino
        return found


def _files(folder: str, is_wanted: bool) -> Iterator[str]:
    """Yield the paths of all Python files below `folder`, and of all files in wanted folders."""
    try:
        with os.scandir(folder) as scan:
            entries = list(scan)
    except OSError:
        return  # it was removed, or we may not read it

    if any(entry.name == _ENVIRONMENT for entry in entries):
        return
    for entry in entries:
        if entry.name[0] == ".":
            continue
        if entry.is_dir(follow_symlinks=False):
            if entry.name not in _NO_SOURCES:
                yield from _files(entry.path, is_wanted or _is_whole(entry.path))
        elif is_wanted or entry.name.endswith(".py"):
            yield entry.path


def _is_whole(folder: str) -> bool:
    parts = Path(folder).parts
    return parts[-1] in (_STATIC, _TEMPLATES) or parts[-2:] in _PAGES


def _is_of_pages(path: str) -> bool:
    folders = Path(path).parts[:-1]
    pairs = itertools.pairwise(folders)
    return not path.endswith(".py") and (_STATIC in folders or not set(_PAGES).isdisjoint(pairs))
