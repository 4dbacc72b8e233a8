"""A process's connection to the journal in Redis.

How it works. What is said here is kept by a script, which gives it a number and publishes it. This
process hears it like all others, when it comes back over the subscription; so everybody hears the
same order, that of the numbers.

Each message names the number of its topic's last one before. Where that was not heard, or the
subscription has been broken, everything that comes is held until the gap has been read in the
streams. A look asks Redis where the journal is; the answer comes back over the subscription, behind
everything that was published before.

Where a message takes longer than `_PATIENCE_S`, service goes on without the journal: what is said
is handed to those who are here at once, and sent to Redis all the same, which tells it to others
once it can; a repetition is known by its ticket. Where Redis refuses a message, others hear it as
lost, and the epoch ends.

Invariants:
- `_known` is where this process is: it has handed on every message up to it of each topic that it
  hears of, and none behind.
- While `_is_live` isn't set, nothing of what comes is handed on.
- Nothing here waits but the greenlet `_catch_up`, and no exception ends the clock.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import gevent
from gevent.event import AsyncResult, Event

from ...errors import UsageError
from ...journal.contract import Row
from ..envelope import LOST_OF, Envelope, EnvelopeError, Kind, pack
from .channels import describe
from .held import Holding
from .kept import Known, Scribe, heard_in
from .places import Places
from .repetitions import Repetitions
from .sayings import Sayings, size_of
from .streams import ANSWER_S, Streams, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...config import Config
    from ...journal.contract import Declared, Kept, Topic
    from ..contract import Facts, Receiver, Saying
    from .channels import Channels
    from .health import Health
    from .kept import HeardOf, Reply
    from .places import TopicPlace
    from .publisher import RedisPublisher
    from .sayings import Bundle
    from .subscriber import RedisSubscriber

logger = logging.getLogger("tina4_wsgi.history")

_PATIENCE_S = 1.0
_TICK_S = 0.2
_MEND_S = 0.5


_Waiting = tuple[float, "Callable[[], None]"]
"""Since when somebody waits for a look, and how to tell."""


class _Look:
    """A look that is under way.

    Attributes:
        done: whom to tell.
        channels: those that were subscribed before it.
        is_answered, point: what has come: Redis's reply, and the envelope.
    """

    __slots__ = ("channels", "done", "is_answered", "point")

    def __init__(self, done: list[_Waiting], channels: list[str]) -> None:
        self.done = done
        self.channels = channels
        self.is_answered = False
        self.point: Known | None = None


class RedisLine:
    """See `contract.JournalLine`.

    Args:
        sender: this process.
        reader: asks what is read, over a connection of its own.
    """

    def __init__(
        self,
        config: Config,
        channels: Channels,
        sender: bytes,
        receiver: Receiver,
        health: Health,
        publisher: RedisPublisher,
        reader: RedisPublisher,
        subscriber: RedisSubscriber,
    ) -> None:
        self._config = config
        self._channels = channels
        self._sender = sender
        self._receiver = receiver
        self._health = health
        self._publisher = publisher
        self._subscriber = subscriber
        self._scribe = Scribe(channels, is_sharded=config.backplane_sharded)
        self._streams = Streams(reader, self._scribe, receiver.limits_of)
        self._inbox = channels.inbox(sender)
        self._loop = gevent.get_hub().loop

        self._sayings = Sayings()
        self._places = Places()
        self._known = Known()
        self._repetitions = Repetitions()
        self._is_live = False
        self._holding = Holding(config.max_backplane_bytes)

        self._call = 0
        self._looks: dict[int, _Look] = {}
        self._waiting: list[_Waiting] = []
        self._is_unsure = False  # whether a topic is subscribed whose `since` isn't known
        self._catching: AsyncResult | None = None
        self._is_broken = Event()
        self._is_broken.set()

        self._error = ""
        self._suspect: object = None
        self._mend_at_s = 0.0
        self._must_renew = False
        self._has_work = Event()
        self._greenlets = [gevent.spawn(self._watch), gevent.spawn(self._catch_up_forever)]

    # -- what is said

    def keep(self, saying: Saying) -> None:
        """Keep a message, and have it heard; see `contract.JournalLine`."""
        sayings = self._sayings
        if self._publisher.is_full(size_of(saying) + sayings.unsent_bytes):
            self._health.dropped_messages += 1
            self._refuse(saying, "too much waits for redis", is_told=False)
            return
        if sayings.add(saying):
            self._loop.run_callback(self.flush)
        self._has_work.set()
        if sayings.is_due:
            self.flush()

    def flush(self) -> None:
        """Send what was said, in front of what is published next."""
        bundle = self._sayings.take_unsent()
        if bundle.sayings:
            self._publisher.call(
                bundle.size_bytes,
                lambda run: self._scribe.keep(
                    bundle.drafts, bundle.ticket, run, self._known, self._sender
                ),
                lambda reply: self._answered(bundle, reply),
            )

    def _answered(self, bundle: Bundle, reply: Reply) -> None:
        error = describe(reply, self._config) if isinstance(reply, Exception) else ""
        for answer in self._sayings.answered(bundle, reply, error, self._places.has):
            if answer.error:
                self._refuse(answer.saying, answer.error, is_told=True)
                continue
            if not answer.is_exact:
                self._is_unsure = True
                self._has_work.set()
            self._receiver.hear_answer(answer.saying)

    def _refuse(self, saying: Saying, error: str, *, is_told: bool) -> None:
        """Have a message heard that will not be kept."""
        saying.is_refused = True
        self.doubt(error)
        self._receiver.hear_answer(saying)
        if not is_told:
            return
        kind, name = saying.draft.topic
        lost = LOST_OF[Kind(kind)]
        try:
            data = pack(lost, name, saying.draft.frame, self._sender)
        except UsageError:
            return  # a name that can't be told
        self._publisher.put(self._channels.of(lost, name), data)

    def doubt(self, error: str) -> None:
        """End the epoch: something was said that isn't in the journal."""
        self._must_renew = True
        self._fail(error)

    def declare(self, declarations: Sequence[Declared]) -> None:
        """Say what is kept."""
        self._publisher.call(1_000, lambda run: self._scribe.declare(declarations), lambda _: None)

    # -- what is heard of

    def enter(self, channel: str, topic: Topic) -> None:
        """Note that this process hears of a topic from now on."""
        self._places.enter(channel, topic)

    def leave(self, channel: str) -> None:
        """Note that it doesn't any more."""
        self._places.leave(channel)

    def confirmed(self, channel: str) -> None:
        """Note that Redis has confirmed a subscription."""
        place = self._places.of(channel)
        if place is not None and place.since is None:
            self._is_unsure = True
            self._has_work.set()
            if self._is_live and not self._looks:
                self._look()

    def began(self) -> None:
        """Note that there is a new connection for subscriptions."""
        self._break()

    def heard_since(self, topic: Topic) -> int | None:
        """Return behind which number every message of a topic has been heard here."""
        return self._places.since(topic)

    def take(self, channel: str, envelope: Envelope) -> None:
        """Take what has come; in the reading greenlet."""
        if self._is_live:
            self._hear(channel, envelope)
            return
        if envelope.kind is Kind.POINT and channel == self._inbox and self._catching is not None:
            facts = envelope.json()
            if envelope.number == self._call and not self._catching.ready():
                self._catching.set(facts)
                # What came is read in the streams, but for topics that are new here.
                self._holding.reach(is_needed=self._places.has_new)
                return
        self._holding.add(channel, envelope)

    def _hear(self, channel: str, envelope: Envelope) -> None:
        if envelope.kind is Kind.POINT:
            self._hear_point(channel, envelope)
            return
        found = heard_in(envelope)
        first = found[0]
        if first.epoch != self._known.epoch:
            self._break()
            return
        if first.kept.number <= self._known.number:
            found = [one for one in found if one.kept.number > self._known.number]
            if not found:
                return
        place = self._place(channel)
        if place is None:
            return
        if place.since is not None and found[0].previous > self._known.number:
            self._break()  # messages are missing; these are read with them
            return
        self._hand_on(place, found)

    def _place(self, channel: str) -> TopicPlace | None:
        place = self._places.of(channel)
        if place is None:
            # A room that was declared when somebody was in it.
            found = self._channels.topic_of(channel)
            if found is None or not self._subscriber.wants(channel):
                return None
            place = self._places.enter(channel, (int(found[0]), found[1]))
        return place

    def _hand_on(self, place: TopicPlace, found: Sequence[HeardOf]) -> None:
        """Hand messages of one topic on, which stand side by side or are the only ones missing."""
        if place.since is None:
            place.since = found[0].kept.number - 1
        self._known = self._known._replace(number=found[-1].kept.number)
        if found[0].sender != self._sender:
            self._hand_on_others(place, found)
            return

        messages = [one.kept for one in found]
        sayings = [self._sayings.take_back(one.ticket) for one in found]
        own = [one for one in sayings if one is not None and one.claim()]
        if len(own) == len(found):
            self._receiver.hear_kept(Row(place.topic, messages), own, True)
            return
        for message, saying in zip(messages, sayings, strict=True):
            with_it = [] if saying is None else [saying]
            is_new = saying is not None and saying in own
            self._receiver.hear_kept(Row(place.topic, [message]), with_it, is_new)

    def _hand_on_others(self, place: TopicPlace, found: Sequence[HeardOf]) -> None:
        """Hand on what others said; a failover has it kept again where nobody was told of it."""
        channel, messages = self._scribe.channel(place.topic), [one.kept for one in found]
        is_news = [self._repetitions.is_news(one.sender, channel, one.ticket) for one in found]
        old_count = is_news.count(False)  # these come first
        for part, is_new in ((messages[:old_count], False), (messages[old_count:], True)):
            if part:
                self._receiver.hear_kept(Row(place.topic, part), None, is_new)

    def _hear_point(self, channel: str, envelope: Envelope) -> None:
        facts = envelope.json()
        if "forget" in facts:
            place = self._places.of(str(facts["forget"]))
            if place is not None:
                self._receiver.hear_forgotten(place.topic)
            return

        known = Known(str(facts["epoch"]), int(facts["number"]))
        if known.epoch != self._known.epoch:
            # Begun by this line or another; nothing that was published before is missing here.
            self._must_renew = False
            self._move(known)
        elif known.number > self._known.number:
            self._move(known)
        look = self._looks.get(envelope.number) if channel == self._inbox else None
        if look is not None:
            look.point = known
            self._finish_look(envelope.number, look)

    def _move(self, known: Known, *, has_gap: bool = False) -> None:
        self._known = known
        self._receiver.hear_point(known.epoch, known.number, has_gap, not self._error)

    # -- looking

    def look(self, done: Callable[[], None]) -> None:
        """Call `done` once all that is in the journal by now was heard; see `JournalLine`."""
        self._waiting.append((time.monotonic(), done))
        self._has_work.set()
        if self._is_live and not self._looks:
            self._look()

    def _look(self) -> None:
        """Ask where the journal is; the answer also comes over the subscription."""
        self.flush()
        self._call += 1
        call = self._call
        done, self._waiting = self._waiting, []
        self._is_unsure = False
        subscribed = [name for name in self._places.channels if self._subscriber.is_confirmed(name)]
        look = self._looks[call] = _Look(done, subscribed)
        self._send_look(call, lambda reply: self._look_is_answered(call, look, reply))

    def _send_look(self, call: int, told: Callable[[Reply], None]) -> None:
        doomed = self._known.epoch if self._must_renew else ""
        self._publisher.call(
            500,
            lambda run: self._scribe.look(run, self._known, self._inbox, call, doomed),
            told,
        )

    def _look_is_answered(self, call: int, look: _Look, reply: Reply) -> None:
        if isinstance(reply, Exception):
            if self._looks.pop(call, None) is not None:
                self._waiting += look.done
            self._fail(describe(reply, self._config))
            return
        look.is_answered = True
        self._finish_look(call, look)

    def _finish_look(self, call: int, look: _Look) -> None:
        """Finish a look whose two answers are there: so all replies before it are, too."""
        if look.point is None or not look.is_answered or self._looks.pop(call, None) is None:
            return
        self._settle(look.channels, look.point)
        for _, done in look.done:
            done()
        if self._waiting or self._is_unsure:
            self._look()

    def _settle(self, channels: list[str], point: Known) -> None:
        """Everything up to here is heard, and everything sent before is answered."""
        self._places.settle(channels, point.number)
        self._sayings.settle(point)
        if self._error and not self._must_renew:
            self._error = ""
            gevent.spawn(logger.warning, "messages are kept again")
        self._move(self._known)

    # -- reading

    def read_missed(
        self, topic: Topic, number: int, end: int, told: Callable[[list[Kept] | None], None]
    ) -> None:
        """Read a page; see `contract.JournalLine`."""
        self._streams.read_missed(topic, self._known.epoch, number, end, told)

    def read_latest(
        self, topic: Topic, most: int, end: int, told: Callable[[list[Kept]], None]
    ) -> None:
        """Read the latest messages; see `contract.JournalLine`."""
        self._streams.read_latest(topic, most, end, told)

    # -- when something is missing

    def _break(self) -> None:
        """Hold what comes, until what is missing has been read."""
        self._is_live = False
        self._holding.clear()
        looks, self._looks = self._looks, {}
        for look in looks.values():
            self._waiting += look.done
        if self._catching is not None and not self._catching.ready():
            self._catching.set_exception(ConnectionError("the subscription broke"))
        self._is_broken.set()

    def _catch_up_forever(self) -> None:
        while True:
            self._is_broken.wait()
            try:
                self._catch_up()
            except Exception as exc:  # noqa: BLE001  # nothing may end this greenlet
                if not self._is_broken.is_set() and (self._waiting or self._sayings):
                    self._fail(describe(exc, self._config))
                self._is_broken.set()
                gevent.sleep(_MEND_S)

    def _catch_up(self) -> None:
        """Hand on what is missing, and what was held meanwhile."""
        self._is_broken.clear()
        places = [*self._places.channels, self._inbox, self._channels.everybody]
        if not self._subscriber.wait_until_all(places, ANSWER_S):
            self._is_broken.set()
            return
        denied = [name for name in places if self._subscriber.is_denied(name)]
        if denied:
            raise PermissionError(f"redis forbids the channel {denied[0]:.200}")

        facts, before = self._point_now(), self._known
        epoch, end = str(facts["epoch"]), int(facts["number"])
        is_same = epoch == before.epoch
        begin = before.number if is_same else min(before.number, int(facts["begin"]))
        known_places = [place for place in self._places if place.since is not None]
        found, holed = self._streams.read_all(
            known_places if before.epoch else (), epoch, begin, end
        )
        if self._is_broken.is_set():
            return  # the line broke again; what was found is found again

        # A gap is told ahead of what comes behind it: nobody may take that for all that was said.
        if before.epoch and not is_same:
            self._must_renew = False
            self._move(Known(epoch, begin), has_gap=True)
        elif holed:
            self._receiver.hear_gap([place.topic for place in holed])
        for place in holed:
            place.since = end
        found += self._held_of_others(epoch)
        found.sort(key=lambda one: one[1].kept.number)
        self._known = Known(epoch, begin)
        for place, told in found:
            self._hand_on(place, [told])
        held, has_lost = self._holding.take(), self._holding.has_lost
        self._is_live = True
        self._places.settle(places, end, is_anew=not is_same or has_lost)
        self._move(Known(epoch, end), has_gap=has_lost)
        self._hear_held(held)
        self._is_unsure = True
        self._look()

    def _held_of_others(self, epoch: str) -> list[tuple[TopicPlace, HeardOf]]:
        """Return what has come of topics that are heard of, but not for how long.

        Nobody on them was here before; what came is for those who came meanwhile.
        """
        found = []
        for channel, envelope in self._holding.take_before():
            place = self._place(channel) if envelope.kind is Kind.KEPT else None
            if place is not None and place.since is None:
                told = heard_in(envelope)
                found += [(place, one) for one in told if one.epoch == epoch]
        return found

    def _hear_held(self, held: list[tuple[str, Envelope]]) -> None:
        for channel, envelope in held:
            if not self._is_live:
                return
            try:
                self._hear(channel, envelope)
            except EnvelopeError:
                logger.warning("garbage in a Redis channel is dropped")

    def _point_now(self) -> Facts:
        """Ask where the journal is, and wait for the answer over the subscription."""
        self.flush()
        self._call += 1
        catching = self._catching = AsyncResult()
        try:
            self._send_look(self._call, lambda reply: _hand_error(catching, reply))
            found: Facts = wait_for(catching)
        finally:
            self._catching = None
        return found

    # -- when it takes too long

    def _fail(self, error: str) -> None:
        """Go on without the journal for a while."""
        self._mend_at_s = time.monotonic() + _MEND_S
        self._has_work.set()
        if not self._error:
            self._error = error
            # In a greenlet of its own: in the hub, logging could wait for a lock.
            gevent.spawn(logger.error, "messages can't be kept at present: %s", error)
            self._receiver.hear_trouble(error)

    def _watch(self) -> None:
        """Look at what waits, as long as something does."""
        while True:
            self._has_work.wait()
            self._has_work.clear()
            self._suspect = None
            now_s = time.monotonic()
            while self._sayings or self._waiting or self._looks or self._error:
                gevent.sleep(_TICK_S)
                before_s, now_s = now_s, time.monotonic()
                if now_s > before_s + 2 * _TICK_S:
                    self._suspect = None  # it was this hub that stood still
                self._look_at_the_clock(now_s)

    def _look_at_the_clock(self, now_s: float) -> None:
        # Twice in a row: what has arrived may not have been read yet.
        oldest = self._oldest(now_s - _PATIENCE_S)
        if oldest is not None and oldest is self._suspect:
            self._fail("redis doesn't answer in time")
        self._suspect = oldest

        if not self._is_live or self._looks:
            return
        is_due = self._error and now_s >= self._mend_at_s
        if is_due or self._waiting or self._is_unsure:
            self._mend_at_s = now_s + _MEND_S
            self._look()

    def _oldest(self, before_s: float) -> object:
        """Return something that has waited since before a time; None if nothing has."""
        saying = self._sayings.oldest()
        if saying is not None:
            return saying if saying.said_at_s < before_s else None
        for look in self._looks.values():
            if any(since_s < before_s for since_s, _ in look.done):
                return look
        return self._waiting[0][1] if self._waiting and self._waiting[0][0] < before_s else None

    def close(self) -> None:
        """End the greenlets soon, and let nobody wait."""
        gevent.killall(self._greenlets, block=False)
        if not self._error:
            self._error = "this process stops"
            self._receiver.hear_trouble("")


def _hand_error(answer: AsyncResult, reply: object) -> None:
    if isinstance(reply, Exception) and not answer.ready():
        answer.set_exception(reply)
