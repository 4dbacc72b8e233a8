"""What apps have kept, for a process that doesn't serve: found as publishers find where to keep.

Free of gevent.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from ..errors import JournalError, UsageError
from ..journal.past import DistantListener, Listener, past
from ..journal.positions import parse
from ..routing.names import GroupKind
from .contract import TIMEOUT_S
from .outside import Outsider
from .outside_journals import Patterns

if TYPE_CHECKING:
    from ..config import Config
    from ..journal.contract import Declaration, Records, Topic
    from ..journal.file import FileJournal
    from ..journal.past import Heard, KeptMessage


def is_position(text: str) -> bool:
    """Return whether a text is a position that isn't void."""
    return parse(text).epoch != ""


class OutsideHistory:
    """What is kept of one path or room.

    Args:
        root: the project's folder; None to look for it.
    Raises:
        BackplaneError: the package redis is missing.
        JournalError: there is no journal, or it can't be read.
        UsageError: nothing of this topic is kept.

    Threads: one at a time.
    """

    def __init__(
        self, config: Config, topic: Topic, root: str | os.PathLike[str] | None = None
    ) -> None:
        self._topic = topic
        self._file: FileJournal | None = None
        if config.backplane == "redis":
            self._journal: Records = _in_redis(config)
        else:
            self._journal = self._file = _in_file(config, root)

        declared = self._journal.declared()
        limits = Patterns(declared).limits_of(topic)
        if limits is None:
            self._journal.close()
            kept = [_described(one) for one in declared if one.limits.most_messages]
            raise UsageError(
                f"{_named(topic)} keeps no history, expected one of: "
                f"{', '.join(kept) or 'nothing here keeps any'}"
            )
        self._limits = limits
        self._listener: Listener | DistantListener | None = None

    def past(self, after: str | None, most: int) -> list[KeptMessage]:
        """Return messages, oldest first; see `journal.past.past`."""
        return past(self._journal, self._topic, self._limits, after, most)

    def listen(self, since: str | None) -> list[KeptMessage]:
        """Listen from now on; return what was said behind `since`, nothing for None.

        Raises:
            JournalError: it can't be read.
            UsageError: what came behind `since` isn't there any more.
        """
        limits = self._limits
        listener = self._listener = (
            DistantListener(self._journal, self._topic, limits)
            if self._file is None
            else Listener(self._file, self._topic)
        )
        if since is None:
            return []
        return past(self._journal, self._topic, limits, since, sys.maxsize, listener.point)

    def hear(self) -> Heard:
        """Return what was said since `listen`, and since the last call.

        Raises:
            JournalError: it can't be read at present.
        """
        assert self._listener is not None
        return self._listener.hear()

    def forget(self) -> None:
        """Drop all that is kept; clients that were away are told of a gap.

        Raises:
            JournalError: it can't be written.
        """
        self._journal.forget(self._topic)

    def close(self) -> None:
        """Close the file."""
        self._journal.close()


def _in_redis(config: Config) -> Records:
    from .redis.journal import RedisJournal

    return RedisJournal(config, timeout_s=TIMEOUT_S)


def _in_file(config: Config, root: str | os.PathLike[str] | None) -> FileJournal:
    if config.backplane == "none":
        raise JournalError(
            "backplane is 'none', so what is kept is in the memory of the server alone; expected "
            "'local' or 'redis'"
        )
    journal = Outsider(config, root).journal().open()
    if journal is None:
        raise JournalError(
            "no history was found, since nothing was kept here yet; run this as the server's user "
            f"in its project's folder (this is {os.getcwd()}), or name the folder of the file with "
            "TINA4_WS_HISTORY_DIR"
        )
    return journal


def _named(topic: Topic) -> str:
    return f"room {topic[1]!r}" if topic[0] == GroupKind.ROOM else repr(topic[1])


def _described(declared: Declaration) -> str:
    if declared.kind == GroupKind.ROOM:
        return f"room {declared.pattern}"
    return declared.pattern
