"""Processes of one app that keep history in Redis, all in this one: each has its own connections."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent

from tina4_wsgi.backplane.envelope import Kind
from tina4_wsgi.backplane.redis.backplane import RedisBackplane
from tina4_wsgi.config import Config
from tina4_wsgi.engine.distant_keeper import DistantKeeper
from tina4_wsgi.hub.mailbox import Mailbox
from tina4_wsgi.journal.contract import Draft, KeptLimits, Topic
from tina4_wsgi.journal.positions import parse
from tina4_wsgi.protocol.framing import text_frame
from tina4_wsgi.protocol.marks import message_of

WAIT_S = 10.0
POLL_S = 0.002
CHAT: Topic = (2, "/ws/chat")
NEWS: Topic = (2, "/ws/news")
LIMITS = KeptLimits(most_messages=100, longest_s=300.0)


def wait_until(is_so: Callable[[], Any], what: str, timeout_s: float = WAIT_S) -> Any:
    """Let others run until it is true, and give it."""
    give_up_at_s = time.monotonic() + timeout_s
    while not (found := is_so()):
        assert time.monotonic() < give_up_at_s, f"{what}: not within {timeout_s:g} s"
        gevent.sleep(POLL_S)
    return found


class Station:
    """One process with one hub; it is audience and receiver, and writes down what it hears.

    Attributes:
        heard: numbers and texts of what is kept, texts of what isn't, "void", and where it is told
            that it is, or that there is a gap.
        excludes: for whom each of the kept ones wasn't.
        kept_topics: topics that keep history here.
        members: topics that somebody here is in, or about to.
        tellings: what the line told, by name.
    """

    def __init__(self, config: Config, keeps: Iterable[Topic] = (CHAT, NEWS)) -> None:
        self.heard: list[Any] = []
        self.excludes: list[Any] = []
        self.kept_topics = set(keeps)
        self.members: set[Topic] = set()
        self.tellings: list[str] = []
        self._is_telling = False
        self.backplane = RedisBackplane(config, 0, self)
        self.backplane.start()
        self.keeper: Any = None
        if keeps:
            self.begin_to_keep()

    def begin_to_keep(self) -> None:
        """Have its hub keep history."""
        hub = gevent.get_hub()
        self.keeper = DistantKeeper(hub, Mailbox(hub), self, self)

    @property
    def line(self) -> Any:
        """The line to Redis."""
        return self.backplane.line

    @property
    def texts(self) -> list[str]:
        """The texts of the messages that were heard, kept and unkept."""
        found = [one[1] if isinstance(one, tuple) else one for one in self.heard]
        return [one for one in found if isinstance(one, str) and one != "void"]

    @property
    def marks(self) -> list[Any]:
        """What was heard beside messages."""
        return [
            one
            for one in self.heard
            if one == "void" or (isinstance(one, tuple) and isinstance(one[0], str))
        ]

    def enter(self, topic: Topic = CHAT) -> None:
        """Have somebody come, and be told of all that is kept from now on."""
        self.members.add(topic)
        self.backplane.enter(Kind(topic[0]), topic[1])
        self.backplane.wait_until_heard(Kind(topic[0]), topic[1], WAIT_S)
        if self.keeper is not None:
            self.look()

    def leave(self, topic: Topic = CHAT) -> None:
        """Have the last one go."""
        self.members.discard(topic)
        self.backplane.leave(Kind(topic[0]), topic[1])

    def look(self) -> None:
        """Wait until all that is kept by now is heard."""
        done: list[None] = []
        self.line.look(lambda: done.append(None))
        wait_until(lambda: done, "where the journal is")

    def say(self, text: str, topic: Topic = CHAT, **more: Any) -> None:
        """Say something that is to be kept."""
        self.keeper.keep(draft(text, topic, once=more.pop("once", "")), **more)

    def missed(self, number: int, topic: Topic = CHAT) -> list[str] | None:
        """Read a page of what was missed behind a number."""
        page = self.keeper.missed(topic, number, LIMITS)
        return None if page is None else [str(message_of(one.frame)) for one in page]

    def close(self) -> None:
        """Leave Redis."""
        if self.keeper is not None:
            self.keeper.close()
        self.backplane.close()

    # -- as a relay

    def call_line(self, method: str, *args: Any) -> bool:
        """Call a method of the line."""
        getattr(self.line, method)(*args)
        return True

    def heard_since(self, topic: Topic) -> int | None:
        """Return what the line says."""
        since: int | None = self.line.heard_since(topic)
        return since

    # -- as a receiver

    def deliver(self, kind: Kind, name: str, frame: bytes) -> None:
        """Hear what isn't kept."""
        self.heard.append(message_of(frame))

    def keeps(self, kind: Kind, name: str) -> bool:
        """Return whether a topic keeps history here."""
        return (int(kind), name) in self.kept_topics

    def limits_of(self, topic: Topic) -> KeptLimits | None:
        """Return how much is kept of a topic here."""
        return LIMITS if topic in self.kept_topics else None

    def hear_answer(self, saying: Any) -> None:
        """Pass an answer on."""
        self._tell("hear_answer", saying)

    def hear_point(self, *args: Any) -> None:
        """Pass a place on."""
        self._tell("hear_point", *args)

    def hear_gap(self, topics: Any) -> None:
        """Pass a gap on to the keeper, or hear it."""
        if not self._is_telling:
            self._is_telling = True
            self._tell("hear_gap", topics)
            self._is_telling = False
        elif self.members & set(topics):
            self.heard.append(("gap", self.keeper.number))

    def hear_trouble(self, error: str) -> None:
        """Pass a trouble on."""
        self._tell("hear_trouble", error)

    def hear_forgotten(self, topic: Topic) -> None:
        """Pass the notice on."""
        self._tell("hear_forgotten", topic)

    def _tell(self, method: str, *args: Any) -> None:
        self.tellings.append(method)
        if self.keeper is not None:
            getattr(self.keeper, method)(*args)

    # -- as an audience, and again as a receiver: the two differ in what comes behind the row

    def hear_kept(self, what: Any, *more: Any) -> None:
        """Pass a row on to the keeper, or hear what the keeper hands on of a topic."""
        if len(more) == 2:
            self._tell("hear_kept", what, *more)
            return
        numbers, frames, excludes = more
        for place, (number, frame) in enumerate(zip(numbers, frames, strict=True)):
            self.heard.append((number, message_of(frame)))
            self.excludes.append(None if excludes is None else excludes[place])

    def hear_early(self, draft: Draft, exclude: Any) -> None:
        """Hear what can't be kept at present."""
        self.heard.append(message_of(draft.frame))

    def has_members(self, topic: Topic) -> bool:
        """Return whether somebody here is in it."""
        return topic in self.members

    def hear_void(self) -> None:
        """Hear that positions are void."""
        self.heard.append("void")

    def hear_position(self, position: str, *, has_gap: bool) -> None:
        """Hear where everybody is."""
        self.heard.append(("gap" if has_gap else "position", parse(position).number))


def draft(text: str, topic: Topic = CHAT, *, author: str = "", once: str = "") -> Draft:
    """A message that is to be kept."""
    return Draft(topic, text_frame(text), LIMITS, author, once)


@contextmanager
def stations(config: Config) -> Iterator[Callable[..., Station]]:
    """Give what opens one more station; all are closed in the end."""
    opened: list[Station] = []

    def open_another(*keeps: Iterable[Topic]) -> Station:
        opened.append(Station(config, *keeps))
        return opened[-1]

    try:
        yield open_another
    finally:
        for one in opened:
            one.close()
        gevent.sleep(0)
