"""What apps have kept, for a process that doesn't serve: found as publishers find where to keep.

Free of gevent.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from ..errors import JournalError, UsageError
from ..journal.past import Listener, past
from ..journal.positions import parse
from ..routing.names import GroupKind
from .outside import Outsider

if TYPE_CHECKING:
    from ..config import Config
    from ..journal.contract import Declared, Topic
    from ..journal.past import Heard, KeptMessage


def is_position(text: str) -> bool:
    """Return whether a text is a position that isn't void."""
    return parse(text).epoch != ""


class OutsideHistory:
    """What is kept of one path or room.

    Args:
        root: the project's folder; None to look for it.
    Raises:
        JournalError: there is no journal, or it can't be read.
        UsageError: nothing of this topic is kept.

    Threads: one at a time.
    """

    def __init__(
        self, config: Config, topic: Topic, root: str | os.PathLike[str] | None = None
    ) -> None:
        if config.backplane == "none":
            raise JournalError(
                "backplane is 'none', so what is kept is in the memory of the server alone; "
                "expected 'local'"
            )
        self._topic = topic
        found = Outsider(config, root).journal()
        journal, keeping = found.open(), found.find(topic)
        if journal is None:
            raise JournalError(
                "no history was found, since nothing was kept here yet; run this as the server's "
                f"user in its project's folder (this is {os.getcwd()}), or name the folder of the "
                "file with TINA4_WS_HISTORY_DIR"
            )
        if keeping is None:
            declared = [_described(one) for one in journal.declared() if one.limits.most_messages]
            journal.close()
            raise UsageError(
                f"{_named(topic)} keeps no history, expected one of: "
                f"{', '.join(declared) or 'nothing here keeps any'}"
            )
        self._journal, self._limits = keeping
        self._listener: Listener | None = None

    def past(self, after: str | None, most: int) -> list[KeptMessage]:
        """Return messages, oldest first; see `journal.past.past`."""
        return past(self._journal, self._topic, self._limits, after, most)

    def listen(self, since: str | None) -> list[KeptMessage]:
        """Listen from now on; return what was said behind `since`, nothing for None.

        Raises:
            JournalError: it can't be read.
            UsageError: what came behind `since` isn't there any more.
        """
        listener = self._listener = Listener(self._journal, self._topic, self._limits)
        if since is None:
            return []
        limits, point = self._limits, listener.point
        return past(self._journal, self._topic, limits, since, sys.maxsize, point)

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


def _named(topic: Topic) -> str:
    return f"room {topic[1]!r}" if topic[0] == GroupKind.ROOM else repr(topic[1])


def _described(declared: Declared) -> str:
    if declared.kind == GroupKind.ROOM:
        return f"room {declared.pattern}"
    return declared.pattern
