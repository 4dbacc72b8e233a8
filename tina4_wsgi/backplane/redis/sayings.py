"""What a process says, on its way into the journal in Redis and back.

Each message has a ticket, which it keeps however often it is sent: so Redis knows a repetition, and
this process its own messages when they come back.

Free of gevent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ...journal.contract import Draft, Topic
    from ..contract import Saying
    from .kept import Known, Reply

_MOST_TOGETHER = 64
_MOST_BYTES = 262_144
_SAYING_BYTES = 200  # what a message takes besides its frame


class Bundle(NamedTuple):
    """Messages that are sent together.

    Attributes:
        ticket: of the first; each of the others has the next one.
    """

    ticket: int
    sayings: list[Saying]
    size_bytes: int

    @property
    def drafts(self) -> list[Draft]:
        """What is said."""
        return [saying.draft for saying in self.sayings]


class Answer(NamedTuple):
    """What became of a message.

    Attributes:
        error: why it will not be kept; "" if it is, or was said before.
        is_exact: whether its number is known, and not only one that isn't below it.
    """

    saying: Saying
    error: str = ""
    is_exact: bool = True


class Sayings:
    """The messages of one process that aren't back yet."""

    def __init__(self) -> None:
        self._ticket = 0
        self._unsent: list[Saying] = []
        self._on_way: dict[int, Saying] = {}  # by ticket
        self.unsent_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._on_way)

    @property
    def is_due(self) -> bool:
        """Whether so much is unsent that it must not wait for the end of the turn."""
        return len(self._unsent) >= _MOST_TOGETHER or self.unsent_bytes > _MOST_BYTES

    def add(self, saying: Saying) -> bool:
        """Take a message, and return whether it is the first that is unsent."""
        self._ticket += 1
        self._unsent.append(saying)
        self.unsent_bytes += size_of(saying)
        self._on_way[self._ticket] = saying
        return len(self._unsent) == 1

    def take_unsent(self) -> Bundle:
        """Return what is to be sent now."""
        sayings, self._unsent = self._unsent, []
        size_bytes, self.unsent_bytes = self.unsent_bytes, 0
        return Bundle(self._ticket + 1 - len(sayings), sayings, size_bytes)

    def answered(
        self, bundle: Bundle, reply: Reply, error: str, hears: Callable[[Topic], bool]
    ) -> Iterator[Answer]:
        """Note what became of a bundle, message by message.

        Args:
            reply: to `Scribe.keep`; None where there is an error instead.
            hears: returns whether a topic is heard of here.
        """
        if error:
            epoch, most = b"", 0
            numbers: Sequence[int | bytes | str] = [error] * len(bundle.sayings)
        else:
            epoch, most, numbers, _ = reply
            if not isinstance(numbers, list):  # all were kept
                numbers = range(most + 1, most + 1 + len(bundle.sayings))
        for place, (saying, number) in enumerate(zip(bundle.sayings, numbers, strict=True)):
            ticket = bundle.ticket + place
            if not isinstance(number, int):
                self._on_way.pop(ticket, None)
                told = number.decode(errors="replace") if isinstance(number, bytes) else number
                yield Answer(saying, told)
                continue
            # Below zero: kept at the first attempt, with some number up to that of the last.
            saying.epoch, saying.number = epoch.decode(), most if number < 0 else number
            saying.is_coming = saying.number > 0 and hears(saying.draft.topic)
            if not saying.is_coming:
                self._on_way.pop(ticket, None)
            yield Answer(saying, is_exact=number >= 0)

    def take_back(self, ticket: int) -> Saying | None:
        """Return a message that has come back; None for one that had before."""
        return self._on_way.pop(ticket, None)

    def settle(self, point: Known) -> None:
        """Forget what would have come back by now: all that was answered up to a point."""
        for ticket, saying in list(self._on_way.items()):
            # One with a number of another epoch, which is over, will not come any more.
            is_of_now = saying.epoch == point.epoch
            if saying.number and (saying.number <= point.number or not is_of_now):
                del self._on_way[ticket]

    def oldest(self) -> Saying | None:
        """Return the first message that somebody still waits for."""
        return next((one for one in self._on_way.values() if not one.is_done), None)


def size_of(saying: Saying) -> int:
    """Return how many bytes a message takes on its way."""
    return len(saying.draft.frame) + _SAYING_BYTES
