"""Seeing which files of a project have changed, by looking at their times.

A look at a thousand files takes about ten milliseconds, needs no library, and works on network
folders and in containers, where the kernel's own notices get lost.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_PAGES = (("src", "templates"), ("src", "public"))
"""Folders of an `App`: what is in there is read again at its next use."""

_STATIC = "static"
_TEMPLATES = "templates"  # of another framework, which may keep what it has read
_NO_SOURCES = frozenset({"__pycache__", "node_modules"})
_ENVIRONMENT = "pyvenv.cfg"

_SETTLE_S = 0.05
_MOST_LOOKS = 20

Times = dict[str, tuple[int, int, int]]


@dataclass(frozen=True, slots=True)
class Changes:
    """Paths of files that were changed, made or removed.

    Attributes:
        code: of those that the server has read and goes by.
        pages: of those that only pages show.
    """

    code: tuple[str, ...]
    pages: tuple[str, ...]


class Watcher:
    """Looks at the Python files, templates and static files below some folders.

    Hidden folders, virtual environments and node_modules are left out; links to folders are not
    followed.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = [os.path.realpath(folder) for folder in folders]
        self._times = self._look()

    def changes(self) -> Changes | None:
        """Give what has changed since the last call, None for nothing; what is still being written
        is waited for.
        """
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
                    continue  # it went in this moment
                found[path] = state.st_mtime_ns, state.st_size, state.st_ino
        return found


def _files(folder: str, is_wanted: bool) -> Iterator[str]:
    """Give the paths of files below `folder` that matter: Python's, and all in folders that are
    wanted whole.
    """
    try:
        with os.scandir(folder) as scan:
            entries = list(scan)
    except OSError:
        return  # it went, or is not ours to read
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
