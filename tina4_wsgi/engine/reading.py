"""The journal of an app for those who have no hub: views, threads, processes without clients."""

from __future__ import annotations

import logging
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, cast

from ..errors import JournalError
from ..hub.native import allocate_lock
from ..journal.past import past
from ..journal.positions import Position
from .histories import keeps_nothing
from .standing import Counts

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from ..journal.contract import Draft, Journal, KeptLimits, Records, Topic
    from ..journal.past import KeptMessage
    from .fanout import Fanout
    from .histories import Histories
    from .journals import Journals

logger = logging.getLogger("tina4_wsgi.history")


class Reading:
    """Reads and writes the journal from any greenlet or thread.

    Lock: `_lock` guards the journal; a call holds it for about a millisecond, and never switches.
    A journal that is elsewhere needs no lock, and calls to it may switch.

    Args:
        journals: opens the journal for one more user.

    Attributes:
        counts: what was kept here.
        error: why it could not be, the last time; "" if it could.
    """

    def __init__(self, fanout: Fanout, histories: Histories, journals: Journals) -> None:
        self._fanout = fanout
        self._histories = histories
        self._journals = journals
        self._lock: AbstractContextManager[object]
        self._lock = nullcontext() if journals.is_distant else allocate_lock()
        self._journal: Records | None = None
        self.counts = Counts()
        self.error = ""

    @property
    def is_distant(self) -> bool:
        """Whether the journal is elsewhere, and no hub has one of its own."""
        return self._journals.is_distant

    def open_another(self) -> Journal:
        """Return the journal for a hub, and say in it what is kept, unless that is nothing."""
        journal = self._journals.open()
        self._declare(journal)
        return journal

    def _declare(self, journal: Records) -> None:
        if not self._histories.is_any():
            return  # it is only heard; another table of routes has said what is kept
        try:
            journal.declare(self._histories.declarations())
        except JournalError:
            pass  # the hub finds out, and says so

    def declare_anew(self) -> None:
        """Say in the journal what is kept by now, if it is open."""
        with self._lock:
            if self._journal is not None:
                self._declare(self._journal)

    def keep(self, draft: Draft) -> None:
        """Keep a message, and have it heard; where that can't be done, only have it heard."""
        try:
            with self._lock:
                begin_s = time.perf_counter()
                appended = self._here().append([draft], time.time())
                self.counts.note_transaction(time.perf_counter() - begin_s)
                self._note(has_kept=appended.numbers[0] != 0)
        except JournalError as exc:
            self._fail(exc)
            self._fanout.lose(draft.topic, draft.frame)
            return
        if number := appended.numbers[0]:
            self._fanout.ring(draft.topic, [draft.frame], number - 1)

    def _note(self, *, has_kept: bool) -> None:
        self.error = ""
        if has_kept:
            self.counts.kept += 1
        else:
            self.counts.repeated += 1

    def _fail(self, error: JournalError) -> None:
        was_well, self.error = not self.error, str(error)
        self.counts.unkept += 1
        if was_well:
            self.counts.failures += 1
            logger.error("messages can't be kept at present: %s", error)

    def position(self) -> str:
        """Return where the journal is.

        Raises:
            JournalError: it can't be read.
        """
        with self._lock:
            point = self._here().point()
        return str(Position(point.epoch, point.number))

    def history(self, topic: Topic, after: str | None, most: int) -> list[KeptMessage]:
        """Return messages of the past; see `App.history`.

        Raises:
            JournalError: they can't be read.
            UsageError: nothing of this topic is kept, or what came behind `after` isn't there.
        """
        limits = self.limits_of(topic)
        with self._lock:
            return past(self._here(), topic, limits, after, most)

    def size_bytes(self) -> int:
        """Return how much room all messages take; 0 where that can't be found out."""
        if self.is_distant:
            return 0  # Redis bounds it, and says how much it is
        try:
            with self._lock:
                return cast("Journal", self._here()).size_bytes()
        except JournalError:
            return 0

    def forget(self, topic: Topic) -> None:
        """Drop all that is kept of a topic.

        Raises:
            JournalError: it can't be written.
        """
        self.limits_of(topic)
        with self._lock:
            self._here().forget(topic)

    def limits_of(self, topic: Topic) -> KeptLimits:
        """Return how much is kept of a topic.

        Raises:
            UsageError: nothing is.
        """
        limits = self._histories.of(topic)
        if limits is None:
            raise keeps_nothing(topic)
        return limits

    def doubt(self) -> None:
        """Begin a new epoch: something was said that isn't in the journal."""
        try:
            with self._lock:
                self._here().renew()
        except JournalError:
            pass  # the hubs find out

    def close(self) -> None:
        """Release the journal."""
        with self._lock:
            journal, self._journal = self._journal, None
        if journal is not None:
            journal.close()

    def _here(self) -> Records:
        journal = self._journal
        if journal is None:
            journal = self._journals.open_elsewhere() if self.is_distant else self._journals.open()
            self._journal = journal
            self._declare(journal)
        return journal
