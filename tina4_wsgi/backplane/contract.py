"""What a backplane and the process that uses it promise each other."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..journal.contract import Declared, Draft, Kept, KeptLimits, Row, Topic
    from .envelope import Kind

TIMEOUT_S = 5.0
"""How long a process, or Redis, may take over one message of a publisher from outside."""

Facts = dict[str, Any]  # Any: whatever JSON holds
"""A JSON object: a question, an answer, or what a worker tells about itself."""


class Saying:
    """A message of this process on its way into a journal elsewhere, and back.

    Attributes:
        draft: what is said.
        speaker: the keeper of the hub that says it.
        said_at_s: when, by the monotonic clock.
        epoch, number: as which it was kept, or a higher number; 0 until that is known, and for one
            that had been said before.
        is_coming: whether it will be heard here as it is kept.
        is_refused: whether it will not be kept.
        is_done: whether it needs no more care in its hub; the keeper sets it.
    """

    __slots__ = (
        *("_claims", "draft", "epoch", "is_coming", "is_done", "is_refused", "number"),
        *("said_at_s", "speaker"),
    )

    def __init__(self, draft: Draft, speaker: object) -> None:
        self.draft = draft
        self.speaker = speaker
        self.said_at_s = time.monotonic()
        self.epoch, self.number = "", 0
        self.is_coming = self.is_refused = self.is_done = False
        self._claims = [None]

    def claim(self) -> bool:
        """Return whether the caller is the first, of all threads: it hands the message on."""
        try:
            self._claims.pop()
        except IndexError:
            return False
        return True


class JournalLine(Protocol):
    """A process's connection to a journal that is elsewhere.

    Greenlets: any of the backplane's hub; nothing waits.
    """

    def keep(self, saying: Saying) -> None:
        """Keep a message, and have it heard by everybody, here too."""

    def look(self, done: Callable[[], None]) -> None:
        """Call `done` once all that is in the journal by now has been heard here."""

    def read_missed(
        self, topic: Topic, number: int, end: int, told: Callable[[list[Kept] | None], None]
    ) -> None:
        """Read a page as `journal.Records.missed` does; `told` isn't called if that fails."""

    def read_latest(
        self, topic: Topic, most: int, end: int, told: Callable[[list[Kept]], None]
    ) -> None:
        """Read messages as `journal.Records.latest` does; as above."""

    def heard_since(self, topic: Topic) -> int | None:
        """Return behind which number every message of a topic has been heard here; any thread."""

    def doubt(self, error: str) -> None:
        """End the epoch: something was said that isn't in the journal."""

    def declare(self, declarations: Sequence[Declared]) -> None:
        """Say what is kept, for processes that publish without the app."""


class Receiver(Protocol):
    """The connections of this process, as other processes may reach them.

    Greenlets: every method is called in the hub and must not wait.
    """

    def deliver(self, kind: Kind, name: str, frame: bytes) -> None:
        """Send a frame to every connection here on path, or in room, `name`."""

    def hear_bell(self, kind: Kind, name: str, before: int) -> None:
        """Read in the journal what others have kept.

        Args:
            kind: PATH or ROOM.
            before: the number of the last message before the news, for who hasn't followed the
                journal so far.
        """

    def lose(self, kind: Kind, name: str, frame: bytes) -> None:
        """Send a frame that should be in the journal and isn't to every connection here.

        Args:
            kind: PATH or ROOM.
        """

    def hear_kept(self, row: Row, sayings: Sequence[Saying] | None, is_new: bool) -> None:
        """Send messages that are kept elsewhere to every connection here; in order.

        Args:
            sayings: of this process's own messages; None for others.
            is_new: whether they haven't been handed on before.
        """

    def hear_answer(self, saying: Saying) -> None:
        """Note that a message was kept or refused."""

    def hear_point(self, epoch: str, number: int, has_gap: bool, is_well: bool) -> None:
        """Note that everything up to a number has been heard.

        Args:
            has_gap: whether something may be missing.
            is_well: whether messages are kept; False while they aren't.
        """

    def hear_gap(self, topics: Sequence[Topic]) -> None:
        """Note that messages of some topics are missing here, and gone."""

    def hear_trouble(self, error: str) -> None:
        """Note that messages can't be kept at present."""

    def hear_forgotten(self, topic: Topic) -> None:
        """Drop what is remembered of a topic."""

    def limits_of(self, topic: Topic) -> KeptLimits | None:
        """Return how much is kept of a topic; None for nothing."""

    def keeps(self, kind: Kind, name: str) -> bool:
        """Return whether history is kept of path, or room, `name`."""

    def say(self, kind: Kind, name: str, frame: bytes, once: str) -> None:
        """Broadcast a frame, and keep it where its path or room keeps history."""

    def count_here(self, kind: Kind, name: str) -> int:
        """Count the connections here on path, or in room, `name`."""

    def answer(self, question: Facts) -> Facts:
        """Answer another process, or do what it asks for."""


class Receipt(NamedTuple):
    """What became of a message that was published from outside.

    Attributes:
        processes: how many took it, and have handed it to those of their clients whom it is for; 0
            for a message that is kept while nobody serves, or that had been said before.
        clients: to how many clients; None where Redis doesn't tell.
    """

    processes: int
    clients: int | None


class SaidBefore(Receipt):
    """What became of a message whose `once` had been said before: nobody gets it again."""

    __slots__ = ()


class OutsidePublisher(Protocol):
    """The bus or Redis, as seen by a process that only publishes."""

    def carry(self, kind: Kind, name: str, frame: bytes, once: str = "") -> Receipt:
        """Tell all serving processes, and wait for them.

        Args:
            once: a key; what was said under it isn't said again. "" for none.
        Raises:
            BackplaneError: no process took the message.
            UsageError: `once` where nothing is kept.
        """

    def ring(self, kind: Kind, name: str, frames: list[bytes], before: int) -> Receipt:
        """Tell all serving processes that the journal has news; harmless if there is none."""

    def close(self) -> None:
        """Close the sockets."""


class Status(NamedTuple):
    """The state of one process's backplane, for a health page.

    Attributes:
        kind: "local", "redis" or "none".
        is_up: whether other processes are reached as they should be.
        siblings: on the bus, how many processes this one is linked to; 0 for Redis, which doesn't
            tell.
        queued_messages: publishes that wait for Redis to come back.
        dropped_messages: messages lost because a process, or Redis, did not take them in time.
        outages: how often Redis went away, or a sibling was cut off.
        error: why it isn't up; "" if it is.
        denied: Redis channels that the user's ACL forbids: messages to their paths and rooms stay
            in each process, everything else is up.
        history_error: why what should be kept can't be at present, so that whoever is away will be
            told of a gap; "" if it can, or if nothing keeps history.
    """

    kind: str
    is_up: bool
    siblings: int = 0
    queued_messages: int = 0
    dropped_messages: int = 0
    outages: int = 0
    error: str = ""
    denied: tuple[str, ...] = ()
    history_error: str = ""


class Backplane(Protocol):
    """The connection to other processes; it lives in one hub.

    Greenlets: any of the hub's thread; methods that wait say so.
    """

    @property
    def line(self) -> JournalLine | None:
        """The connection to a journal elsewhere; None where each machine has its own."""

    @property
    def is_alone(self) -> bool:
        """Whether there is certainly no other process; any thread may read it."""

    def start(self) -> None:
        """Start; what can't be reached yet is tried again later.

        Raises:
            BackplaneError: the settings can't work.
        """

    def carry(self, kind: Kind, name: str, frame: bytes) -> None:
        """Tell all other processes; never waits."""

    def ring(self, kind: Kind, name: str, frames: list[bytes], before: int) -> None:
        """Tell all other processes that the journal has news; never waits.

        Args:
            kind: PATH_BELL or ROOM_BELL.
            frames: the news themselves, for processes that know of no journal.
            before: the number of the last message before them.
        """

    def enter(self, kind: Kind, name: str) -> None:
        """Count one more reason why this process must hear of `name`."""

    def leave(self, kind: Kind, name: str) -> None:
        """Count one reason less."""

    def wait_until_heard(self, kind: Kind, name: str, timeout_s: float) -> bool:
        """Wait until broadcasts of others to `name` certainly arrive; during an outage don't wait.

        Returns:
            Whether it had to wait.
        """

    def hear_all(self, timeout_s: float) -> None:
        """Have broadcasts to whatever name arrive from now on, if they may not; may wait."""

    def ask(self, question: Facts, timeout_s: float) -> list[Facts]:
        """Ask all other processes, and return the answers that came within `timeout_s`."""

    def retire(self, timeout_s: float) -> None:
        """Stop hearing, and wait until everything said has left; more may still be said."""

    def close(self) -> None:
        """Close all sockets at once."""

    def status(self) -> Status:
        """Return the present state."""
