"""Keeps what the connections of one hub say, and has everybody hear it in the order of the journal.

How it works. What is said in one turn of the hub to paths that keep history is one transaction of
the journal, at the end of the turn. Only then does it go to the groups here, behind all that other
processes have kept before it; so everybody hears the same order. Others are told by a bell alone:
they read in the journal what they have not heard.

Where the journal can't be used, service goes on: what is said reaches those who are there, with no
number. Clients are told that their positions are void, and once the journal can be used again, it
begins a new epoch: whoever was away meanwhile is told of a gap.

Invariants:
- No kept frame leaves before it is in the journal.
- `_point` is where this hub is: the groups here have got every message up to it, and none behind.
- While something is handed to the audience, nothing else is: whatever that sets off comes later.
- Nothing here switches, and no exception of the journal leaves, since most of this runs in the hub.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Protocol

import gevent

from ..errors import JournalError
from ..journal.contract import MOST_ROWS, Point, runs
from ..journal.pages import Page, Pages
from .standing import Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from ..journal.contract import Appended, Declared, Draft, Journal, Kept, KeptLimits, Topic
    from ..websocket.lifecycle import Lifecycle
    from ..websocket.transport import Transport
    from .standing import Audience

logger = logging.getLogger("tina4_wsgi.history")

_FLUSH_BYTES = 262_144
"""More bytes than that are kept before the end of the turn: a callback may broadcast without end.
"""

_MEND_S = 1.0
"""How long a journal that failed is left alone: the hub stands still while it is tried."""

_LOOK_S = 1.0
_SWEEP_S = 10.0


class Loop(Protocol):
    """What is needed of a hub's event loop."""

    def run_callback(self, function: Callable[[], object]) -> object:
        """Call a function in the next turn."""


class HubKeeper(Standing):
    """The journal as one hub uses it.

    Args:
        loop: the hub's event loop.
        audience: those who hear.
        journal: used by this object alone, unless it may be used from several threads.

    Greenlets: the hub's thread.
    """

    def __init__(self, loop: Loop, audience: Audience, journal: Journal) -> None:
        super().__init__(audience)
        self._loop = loop
        self._journal = journal
        self._said: list[Draft] = []
        self._said_bytes = 0
        self._excludes: dict[int, Transport] = {}  # by the place in `_said`
        self._pages = Pages()
        self._cuts = 0  # of the journal, when it was read last
        self._is_following = False
        self._is_hearing = False
        self._is_telling = False
        self._has_gap = False
        self._mend_at_s = self._renew_at_s = 0.0
        self._look_at_s = self._sweep_at_s = 0.0

    # -- saying

    def keep(self, draft: Draft, exclude: Transport | None = None) -> None:
        """Say something at the end of this turn, once it is in the journal."""
        if self.error and time.monotonic() < self._mend_at_s:
            self._say_unkept(draft, exclude)
            return
        if not self.is_pending:
            self.is_pending = True
            self._loop.run_callback(self.finish)
        if exclude is not None:
            self._excludes[len(self._said)] = exclude
        self._said.append(draft)
        self._said_bytes += len(draft.frame)
        if self._said_bytes > _FLUSH_BYTES:
            self.finish()

    def finish(self) -> None:
        """Put into the journal what was said, and have it heard; for what must come behind it."""
        if self._is_telling:
            return
        said, excludes = self._said, self._excludes
        self.is_pending = False
        if said:
            self._said, self._said_bytes, self._excludes = [], 0, {}
            self._is_telling = True
            try:
                self._finish(said, excludes)
            finally:
                self._is_telling = False

    def _finish(self, said: list[Draft], excludes: dict[int, Transport]) -> None:
        begin_s = time.perf_counter()
        try:
            if self.error:
                self._mend()
            appended = self._journal.append(said, time.time())
        except JournalError as exc:
            self._fail(exc)
            for place, draft in enumerate(said):
                self._say_unkept(draft, excludes.get(place))
            return

        try:
            self._follow_to(appended.before)
        except JournalError as exc:
            # It is kept, so others will hear it: it is said here, too, ahead of what can't be read.
            self._fail(exc)
            self._has_gap = True
        self.counts.note_transaction(time.perf_counter() - begin_s)
        self._have_heard(said, excludes, appended)

    def _have_heard(
        self, said: list[Draft], excludes: dict[int, Transport], appended: Appended
    ) -> None:
        """Have what is kept now heard here, and ring."""
        before, all_numbers = appended
        for begin, end in runs(said):
            places: Sequence[int] = range(begin, end)
            numbers = all_numbers[begin:end]
            if 0 in numbers:  # it was said before
                places = [place for place in places if all_numbers[place]]
                self.counts.repeated += len(numbers) - len(places)
                numbers = [all_numbers[place] for place in places]
            if not numbers:
                continue
            self.counts.kept += len(numbers)
            topic, frames = said[begin].topic, [said[place].frame for place in places]
            of_each = [excludes.get(place) for place in places] if excludes else None
            self._audience.hear_kept(topic, numbers, frames, of_each)
            self._point = Point(before.epoch, numbers[-1], before.copy_id)
            self._audience.ring(topic, frames, numbers[0] - 1)

    def settle(self, lifecycle: Lifecycle | None = None) -> bool:
        """Finish, and have heard what a bell has told of; for what must come behind both."""
        if self._is_hearing:
            self.hear()
        else:
            self.finish()
        return True

    def put_behind(self, function: Callable[..., object], *args: object) -> None:
        """Call a function once what was said is heard; in the hub."""
        self.settle()
        function(*args)

    def _say_unkept(self, draft: Draft, exclude: Transport | None) -> None:
        self.counts.unkept += 1
        self._audience.hear_unkept(draft, exclude)

    # -- hearing

    def follow(self, number: int | None = None) -> None:
        """From now on, hear what others keep; somebody here is about to listen.

        Args:
            number: what was kept behind it is heard too.
        """
        if self._is_following:
            return
        self.finish()
        self._is_following = True
        # Nowhere: whatever has been said is of no concern to those who come now.
        self._point = Point("", 0, 0)
        try:
            if self.error:
                self._mend_in_time()
            elif self._is_doubted:
                self._mend()
            if not self.error:
                self._point = point = self._journal.point()
                if number is not None:
                    self._point = point._replace(number=min(number, point.number))
        except JournalError as exc:
            self._fail(exc)

    def stop_following(self) -> None:
        """Hear no more: nobody is here."""
        self._is_following = False

    def ring(self) -> bool:
        """Read at the end of this turn what others have kept; return whether that will be done."""
        if self._is_following and not self._is_hearing:
            self._is_hearing = True
            self._loop.run_callback(self._hear_bell)
        return self._is_hearing

    def _hear_bell(self) -> None:
        if self._is_hearing:  # else somebody was first
            self.hear()

    def hear(self) -> None:
        """Have everything heard that is in the journal."""
        if self._is_telling:
            return
        self._is_hearing = False
        self.finish()
        self._is_telling = True
        try:
            self._hear()
        except JournalError as exc:
            self._fail(exc)
        finally:
            self._is_telling = False

    def _hear(self) -> None:
        if self.error:
            if self._is_following:
                self._mend_in_time()
        elif self._is_doubted and time.monotonic() >= self._renew_at_s:
            self._mend()
        elif self._is_following:
            self._follow_to(None)

    def _follow_to(self, end: Point | None) -> None:
        """Have the messages of others heard, up to a point in the journal or all.

        Raises:
            JournalError: the journal can't be read.
        """
        point = self._point
        if end is not None and (
            not self._is_following or (end.number, *end[::2]) == (point.number, *point[::2])
        ):
            self._point = end
            return

        while True:
            news = self._journal.news(self._point.number)
            self._cuts = news.cuts
            if news.point.copy_id != point.copy_id or not news.is_whole:
                self._move_on(self._journal.point() if end is None else end, has_gap=True)
                return
            for row in news.rows:
                if end is not None and row.messages[-1].number > end.number:
                    break
                self._audience.hear_kept(row.topic, row.numbers, row.frames, None)
                self._point = point._replace(number=row.messages[-1].number)
            number = news.point.number if end is None else min(news.point.number, end.number)
            self._point = self._point._replace(number=max(number, self._point.number))
            if len(news.rows) < MOST_ROWS or (end is not None and number == end.number):
                break
        if news.point.epoch != point.epoch:
            self._move_on(self._point._replace(epoch=news.point.epoch), has_gap=False)

    def _move_on(self, point: Point, *, has_gap: bool) -> None:
        """Begin to count from a point in another epoch."""
        self._point = point
        has_gap, self._has_gap = has_gap or self._has_gap, False
        self._audience.hear_position(self.position, has_gap=has_gap)

    # -- what was said before

    def missed(self, topic: Topic, number: int, limits: KeptLimits) -> Page | None:
        """Return a page of what was said on a topic behind `number`; see `Journal.missed`.

        Nothing behind what the groups here have got; None also where the journal can't be read.
        """
        journal, end = self._journal, self._point.number
        return self._read(
            ("missed", topic, number),
            lambda: journal.missed(topic, number, end, limits, time.time()),
        )

    def latest(self, topic: Topic, most: int, limits: KeptLimits) -> Page:
        """Return the last messages of a topic that the groups here have got."""
        journal, end = self._journal, self._point.number
        page = self._read(
            ("latest", topic, most), lambda: journal.latest(topic, most, end, limits, time.time())
        )
        return Page() if page is None else page

    def _read(self, key: Hashable, ask: Callable[[], list[Kept] | None]) -> Page | None:
        """Return a page of the journal; None also where it can't be read."""
        try:
            return self._pages.read(key, (self._point, self._cuts), time.monotonic(), ask)
        except JournalError as exc:
            self._fail(exc)
            return None

    # -- when it fails, and house-keeping

    def doubt(self) -> None:
        """Begin a new epoch: something was said that isn't in the journal.

        At most once in a while; positions are void until then. While nobody is here, at once.
        """
        if not self.error and not self._is_doubted:
            self._audience.hear_void()
        self._is_doubted = True
        if not self._is_following:
            self._renew_at_s = 0.0
        if not self._is_hearing:
            self._is_hearing = True
            self._loop.run_callback(self._hear_bell)

    def look(self, now_s: float) -> None:
        """Now and then, look for what no bell has told of, mend, and sweep; in the hub."""
        if now_s < self._look_at_s:
            return
        self._look_at_s = now_s + _LOOK_S
        self._pages.clear()
        self.hear()
        if now_s < self._sweep_at_s or self.error:
            return
        self._sweep_at_s = now_s + _SWEEP_S
        try:
            self._journal.sweep(time.time())
        except JournalError as exc:
            self._fail(exc)

    def size_bytes(self) -> int:
        """Return how much room the kept messages take; 0 where that can't be found out."""
        try:
            return self._journal.size_bytes()
        except JournalError:
            return 0

    def declare(self, declarations: list[Declared]) -> None:
        """Say in the journal what is kept."""
        try:
            self._journal.declare(declarations)
        except JournalError:
            pass  # it says so when it can be used again

    def close(self) -> None:
        """Keep what was said, and release the journal."""
        self.finish()
        if self.error or self._is_doubted:
            try:
                self._journal.renew()
            except JournalError:
                pass  # whoever uses it next begins a new epoch
        self._journal.close()

    def _mend_in_time(self) -> None:
        if time.monotonic() >= self._mend_at_s:
            self._mend()

    def _mend(self) -> None:
        """Use the journal again, in a new epoch.

        Raises:
            JournalError: it still can't be used.
        """
        renewed = self._journal.renew()
        self._renew_at_s = time.monotonic() + _MEND_S
        error, self.error, self._is_doubted = self.error, "", False
        try:
            self._follow_to(renewed)
        except JournalError:
            self.error, self._is_doubted = error, True
            raise
        if error:
            gevent.spawn(logger.warning, "messages are kept again; positions begin anew")

    def _fail(self, error: JournalError) -> None:
        """Go on without the journal for a while."""
        self._mend_at_s = time.monotonic() + _MEND_S
        was_well, self.error = not self.error, str(error)
        if was_well:
            self.counts.failures += 1
            if not self._is_doubted:
                self._audience.hear_void()
            # In a greenlet of its own: in the hub, logging could wait for a lock.
            gevent.spawn(logger.error, "messages can't be kept at present: %s", error)
