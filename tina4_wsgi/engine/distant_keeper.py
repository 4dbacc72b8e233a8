"""Keeps what the connections of one hub say in a journal that is elsewhere, such as Redis.

How it works. What is said goes to the journal over the process's one line to it, and is heard when
it comes back, in the journal's order. What must come behind it, such as a private message, waits
for that in its greenlet; in the hub, where nothing may wait, it is queued.

While the journal doesn't answer, what is said is heard here at once, with no number, and positions
are void; the line sees to the rest.

Invariants:
- `_point` is where this hub is: the groups here have got every message up to it, and none behind.
- `_queue` holds what was said and what is to come behind it, in the order of the calls.
- Only what says so switches.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import TYPE_CHECKING

import gevent
from gevent.event import AsyncResult, Event
from greenlet import getcurrent

from ..backplane.contract import Saying
from ..errors import JournalError
from ..hub.native import get_ident
from ..journal.contract import MOST_ROWS, Kept, Point, Row
from ..journal.pages import Page
from ..routing.names import GroupKind
from .recent import Recent
from .standing import Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..backplane.relay import Relay
    from ..hub.mailbox import Mailbox
    from ..journal.contract import Draft, KeptLimits, Topic
    from ..websocket.lifecycle import Lifecycle
    from ..websocket.transport import Transport
    from .standing import Audience

logger = logging.getLogger("tina4_wsgi.history")

_PATIENCE_S = 2.0
"""How long a greenlet waits at most. The line gives up earlier, and lets everybody go on."""

_MOST_READS = 50
"""How often nothing new may be read while something else comes."""

_MOST_BYTES = 1 << 20
"""More bytes than that may not be on their way: who says more waits."""


_MOST_PAST_EPOCHS = 16
"""How many epochs are remembered, whose messages may still be on their way."""


class _Errand:
    """Something that is to be done behind what was said before."""

    __slots__ = ("_args", "_function")

    def __init__(self, function: Callable[..., object], args: tuple[object, ...]) -> None:
        self._function = function
        self._args = args

    def run(self) -> None:
        self._function(*self._args)


class _Spoken(Saying):
    """A message that a hub says, and the transport that it isn't for."""

    __slots__ = ("exclude",)

    def __init__(self, draft: Draft, exclude: Transport | None, speaker: DistantKeeper) -> None:
        super().__init__(draft, speaker)
        self.exclude = exclude


class DistantKeeper(Standing):
    """A journal elsewhere as one hub uses it; has the methods of `keeper.HubKeeper`.

    Args:
        relay: leads to the process's line.

    Greenlets: the hub's thread.
    """

    is_distant = True

    def __init__(
        self,
        hub: object,
        mailbox: Mailbox,
        audience: Audience,
        relay: Relay,
    ) -> None:
        super().__init__(audience)
        self._hub = hub
        self._mailbox = mailbox
        self._relay = relay
        self._ident = get_ident()
        self._queue: deque[_Spoken | _Errand] = deque()
        self._bytes = 0
        self._topics: dict[Topic, int] = {}  # how often each is in the queue
        self._recent = Recent()
        self._hearing: set[Event] = set()
        self._troubles = 0
        self._past_epochs: deque[str] = deque(maxlen=_MOST_PAST_EPOCHS)
        self._relay.call_line("look", lambda: None)

    @property
    def era(self) -> object:
        """The epoch, and how often messages could not be kept: then some come out of order."""
        return self.epoch, self._troubles

    # -- saying

    def keep(self, draft: Draft, exclude: Transport | None = None) -> None:
        """Say something; it is heard when it comes back. Waits only where too much is away."""
        saying = _Spoken(draft, exclude, self)
        if self.error:
            self._say_early(saying)
            self._relay.call_line("keep", saying)
            return
        self._queue.append(saying)
        self._topics[draft.topic] = self._topics.get(draft.topic, 0) + 1
        self._bytes += len(draft.frame)
        self.is_pending = True
        if not self._relay.call_line("keep", saying):
            self.hear_trouble("this process has no connection to redis")
        elif self._bytes > _MOST_BYTES:
            self.settle()

    def settle(self, lifecycle: Lifecycle | None = None) -> bool:
        """Wait until what was said is heard; see `ConnectionOwner.finish_keeping`.

        Args:
            lifecycle: the connection that is to hear it; None for any.
        Returns:
            Whether there is nothing to wait for any more: False in the hub, which can't wait.
        """
        if not self._queue:
            return True
        if getcurrent() is self._hub:
            return False
        if lifecycle is not None and not self._concerns(lifecycle):
            return True
        done = Event()
        self._queue.append(_Errand(done.set, ()))
        done.wait(_PATIENCE_S)
        return True

    def put_behind(self, function: Callable[..., object], *args: object) -> None:
        """Call a function once what was said is heard; in the hub."""
        if self._queue:
            self._queue.append(_Errand(function, args))
        else:
            function(*args)

    def finish(self) -> None:
        """Do nothing: what was said is on its way."""

    def _concerns(self, lifecycle: Lifecycle) -> bool:
        topics = self._topics
        if (GroupKind.PATH, lifecycle.connection.path) in topics:
            return True
        return any((GroupKind.ROOM, room) in topics for room in lifecycle.rooms or ())

    def _say_early(self, saying: _Spoken) -> None:
        """Have a message heard that is not in the journal, unless it is coming."""
        saying.is_done = True
        if saying.claim():
            self.counts.unkept += 1
            self._audience.hear_early(saying.draft, saying.exclude)

    def _run_on(self) -> None:
        """Take what is done out of the queue, and do what comes behind it."""
        queue = self._queue
        while queue:
            first = queue[0]
            if isinstance(first, _Spoken):
                if not first.is_done:
                    return
                queue.popleft()
                self._forget(first.draft)
            else:
                queue.popleft()
                self._run(first)
        self.is_pending = False

    def _forget(self, draft: Draft) -> None:
        self._bytes -= len(draft.frame)
        count = self._topics[draft.topic] - 1
        if count:
            self._topics[draft.topic] = count
        else:
            del self._topics[draft.topic]

    def _run(self, errand: _Errand) -> None:
        try:
            errand.run()
        except Exception as exc:  # noqa: BLE001  # those behind it must still run
            gevent.spawn(logger.error, "what came behind a broadcast failed", exc_info=exc)

    # -- what the line tells, in the order of the journal

    def hear_kept(self, row: Row, sayings: Sequence[Saying] | None, is_new: bool) -> None:
        """Have messages heard."""
        if self._queue:
            self._say_all_late(row.messages[0].number - 1)
        self._point = self._point._replace(number=row.messages[-1].number)
        own = [one for one in sayings or () if isinstance(one, _Spoken) and one.speaker is self]
        if is_new:
            excludes = [one.exclude for one in own]
            of_each = excludes if any(excludes) else None
            self._audience.hear_kept(row.topic, row.numbers, row.frames, of_each)
        self._recent.add(row)
        if own:
            self.counts.kept += len(own)
            for one in own:
                one.is_done = True
        if self._queue:
            self._run_on()

    def hear_answer(self, saying: Saying) -> None:
        """Note that a message was kept, refused, or said before."""
        if saying.speaker is not self or saying.is_done or not isinstance(saying, _Spoken):
            return
        if saying.is_refused:
            self._say_early(saying)
        elif not saying.number:
            self.counts.repeated += 1
            saying.is_done = True
        elif not saying.is_coming or not self._audience.has_members(saying.draft.topic):
            self.counts.kept += 1
            saying.is_done = True
        elif self._is_past(saying, self._point.number):
            # The answer came late, and those who have joined since may have read it.
            self._say_late(saying)
            self._audience.hear_position(self.position, has_gap=True)
        self._run_on()

    def hear_point(self, epoch: str, number: int, has_gap: bool, is_well: bool) -> None:
        """Note that everything up to a number has been heard."""
        before, self._point = self._point, Point(epoch, number, 0)
        is_other = epoch != before.epoch
        if is_other or has_gap:
            self._recent.clear(number)
        if is_other:
            self._past_epochs.append(before.epoch)
            self._say_all_late(0)

        was_ill, self.error = bool(self.error), self.error if not is_well else ""
        # A gap is told at once, ahead of all that comes behind it.
        if has_gap or (is_well and (was_ill or (is_other and before.epoch))):
            self._audience.hear_position(self.position, has_gap=has_gap)
        self._say_all_late(number)
        self._run_on()

    def hear_gap(self, topics: Sequence[Topic]) -> None:
        """Tell those who hear some topics that they have missed something there."""
        self._audience.hear_gap(topics)

    def _say_all_late(self, number: int) -> None:
        """Have messages up to a number heard that were kept before this process was subscribed."""
        for one in self._queue:
            if isinstance(one, _Spoken):
                if not self._is_past(one, number):
                    return
                self._say_late(one)

    def _is_past(self, saying: Saying, number: int) -> bool:
        """Return whether a message was kept and does not come behind a number of this epoch."""
        if not saying.number:
            return False
        if saying.epoch == self._point.epoch:
            return saying.number <= number
        return saying.epoch in self._past_epochs

    def _say_late(self, saying: _Spoken) -> None:
        if not saying.is_done and saying.claim():
            draft = saying.draft
            excludes = None if saying.exclude is None else [saying.exclude]
            self._audience.hear_kept(draft.topic, [saying.number], [draft.frame], excludes)
        saying.is_done = True

    def hear_trouble(self, error: str) -> None:
        """Go on without the journal: have heard at once what waits for it."""
        if not self.error:
            self.error = error or "this process stops"
            self._troubles += 1
            self.counts.failures += 1
            self._audience.hear_void()
        while self._queue:
            first = self._queue[0]
            if isinstance(first, _Spoken):
                self._say_early(first)
            self._run_on()
        for done in self._hearing:
            done.set()

    def hear_forgotten(self, topic: Topic) -> None:
        """Drop what is remembered of a topic."""
        self._recent.clear(self._point.number)

    # -- hearing

    def follow(self, number: int | None = None) -> None:
        """Do nothing: the line hears of what somebody here is in."""

    def stop_following(self) -> None:
        """Do nothing, as above."""

    def ring(self) -> bool:
        """Do nothing: this journal needs no bell."""
        return False

    def doubt(self) -> None:
        """Begin a new epoch: something was said that isn't in the journal."""
        self._relay.call_line("doubt", "a process has said something that it didn't keep")

    def hear(self) -> None:
        """Wait until all that is in the journal by now is heard here."""
        if self.error:
            return
        done = Event()
        self._hearing.add(done)
        try:
            is_asked = self._relay.call_line("look", self._from_anywhere(done.set))
            if not (is_asked and done.wait(_PATIENCE_S)) and not self.error:
                self.hear_trouble("redis doesn't answer in time")
        finally:
            self._hearing.discard(done)

    def _from_anywhere(self, function: Callable[..., object]) -> Callable[..., None]:
        """Return how another thread calls a function in this hub."""

        def call(*args: object) -> None:
            if get_ident() == self._ident:
                function(*args)
            else:
                self._mailbox.post(function, *args)

        return call

    # -- what was said before

    def missed(self, topic: Topic, number: int, limits: KeptLimits) -> Page | None:
        """Return a page of what was said on a topic behind `number`; see `Records.missed`.

        May wait; not before it returns the last, empty page, behind which nothing is missing.
        """
        for _ in range(0 if self.error else _MOST_READS):
            since = self._relay.heard_since(topic)
            if since is not None and number >= max(since, self._recent.floor):
                return self._recent_behind(topic, number, limits)
            end = self._point.number
            try:
                page = self._ask("read_missed", topic, number, end)
            except JournalError:
                self.counts.failures += 1
                return None
            if page or page is None:
                return page
            number = max(number, end)
            if number == self._point.number:
                return page
        return None

    def _recent_behind(self, topic: Topic, number: int, limits: KeptLimits) -> Page | None:
        found = self._recent.behind(topic, number, limits.most_messages + 1)
        if len(found) > limits.most_messages:
            return None
        if found and found[0].said_at_s < time.time() - limits.longest_s:
            return None
        return Page(found[:MOST_ROWS])

    def latest(self, topic: Topic, most: int, limits: KeptLimits) -> Page:
        """Return the last messages of a topic that the groups here have got. May wait, as above."""
        end = self._point.number
        if self.error:
            return Page()
        try:
            page = self._ask("read_latest", topic, most, end)
        except JournalError:
            self.counts.failures += 1
            page = None
        return page or self.missed(topic, end, limits) or Page()

    def _ask(self, method: str, *args: object) -> Page | None:
        answer = AsyncResult()
        is_asked = self._relay.call_line(method, *args, self._from_anywhere(answer.set))
        if is_asked:
            answer.wait(_PATIENCE_S)
        # `wait` returns the page, which may be empty.
        if not answer.ready():
            raise JournalError("redis doesn't answer")
        found: list[Kept] | None = answer.get()
        return None if found is None else Page(found)

    # -- house-keeping

    def look(self, now_s: float) -> None:
        """Do nothing: the line looks after itself."""

    def size_bytes(self) -> int:
        """Return 0: Redis bounds it, by its `maxmemory`."""
        return 0

    def close(self) -> None:
        """Let nobody wait any more."""
        self.hear_trouble("this process stops")
