"""Finds out what a publisher is to keep, and where: as the apps of its project have declared it.

Free of gevent.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from ..errors import Refused, UsageError
from ..routing.names import GroupKind
from ..routing.rooms import Rooms
from .contract import TIMEOUT_S
from .journal_files import journal_file, journal_path

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..config import Config
    from ..journal.contract import Declared, Journal, KeptLimits, Topic
    from ..routing.host_map import HostMap
    from .redis.journal import RedisJournal


class KeepingPlace(NamedTuple):
    """Where a message is to be kept, and how long."""

    journal: Journal | RedisJournal
    limits: KeptLimits


class OutsideJournal:
    """The journal of an app, as a publisher finds it.

    Args:
        roots: folders of projects, the likeliest first; the first with a journal is taken.
        app_number: which app of its process is meant.
    """

    def __init__(
        self, config: Config, roots: Iterable[str | os.PathLike[str]], app_number: int
    ) -> None:
        self._config = config
        self._roots = roots
        self._app_number = app_number
        self._journal: Journal | RedisJournal | None = None
        self._declared: list[Declared] = []
        self._patterns: Patterns | None = None

    def find(self, topic: Topic) -> KeepingPlace | None:
        """Return where a message to a path or room is to be kept; None for nowhere.

        Raises:
            JournalError: there is a journal, and it can't be read.
        """
        journal = self.open()
        if journal is None:
            return None
        declared = journal.declared()
        if not declared:
            return None
        if self._patterns is None or declared != self._declared:
            self._declared, self._patterns = declared, Patterns(declared)
        limits = self._patterns.limits_of(topic)
        return None if limits is None else KeepingPlace(journal, limits)

    def open(self) -> Journal | RedisJournal | None:
        """Return the journal; None where no app of the projects has one.

        Raises:
            BackplaneError: it is in Redis, and the package redis is missing.
        """
        if self._journal is None and self._config.backplane == "redis":
            from .redis.journal import RedisJournal

            self._journal = RedisJournal(self._config, self._app_number, TIMEOUT_S)
        elif self._journal is None:
            root = next((one for one in self._roots if self._has_journal(one)), None)
            if root is not None:
                self._journal = journal_file(self._config, root, self._app_number)
        return self._journal

    def close(self) -> None:
        """Close the file."""
        journal, self._journal = self._journal, None
        if journal is not None:
            journal.close()

    def _has_journal(self, root: str | os.PathLike[str]) -> bool:
        return os.path.exists(journal_path(self._config, root, self._app_number))


class Patterns:
    """What apps have declared, ready to be matched; those that can't be read here are left out."""

    def __init__(self, declared: Iterable[Declared]) -> None:
        # Here, since it loads Werkzeug, which publishers without a journal don't need.
        from ..routing.matching import RouteMap

        self._paths = RouteMap()
        self._hosts: HostMap | None = None
        self._rooms = Rooms()
        self._limits: dict[tuple[int, str], KeptLimits] = {}
        for kind, pattern, limits in declared:
            try:
                self._add(kind, pattern)
            except (LookupError, UsageError, ValueError):
                continue  # of a framework, in its own spelling: the servers tell of a gap
            self._limits[kind, pattern] = limits

    def _add(self, kind: int, pattern: str) -> None:
        if kind == GroupKind.ROOM:
            self._rooms.declare(pattern, {})
            return
        if pattern.startswith("//"):
            from ..routing.host_map import HostMap

            self._hosts = self._hosts or HostMap()
            self._hosts.add(pattern)
            return
        from ..routing.matching import Route
        from ..routing.pattern import parse

        parsed = parse(pattern)
        route = Route(pattern, parsed.rule, "websocket", frozenset({"GET"}), _nobody)
        self._paths.add(route, parsed)

    def limits_of(self, topic: Topic) -> KeptLimits | None:
        """Return how much is kept of a path or room; None for nothing."""
        kind, name = topic
        limits: KeptLimits | None = None
        if kind == GroupKind.ROOM:
            room = self._rooms.match(name)
            limits = None if room is None else self._limits[kind, room.pattern]
        else:
            pattern = self._pattern_of(name)
            limits = None if pattern is None else self._limits[kind, pattern]
        return limits if limits is not None and limits.most_messages else None

    def _pattern_of(self, path: str) -> str | None:
        """Return the path of the route that connections of this name have; None for none."""
        try:
            if path.startswith("//"):
                return None if self._hosts is None else self._hosts.match(path)
            found = self._paths.match_websocket(path)
        except Refused:
            return None
        return None if found is None else found.route.path


def _nobody() -> None:
    """Stand where a route has its callback."""
