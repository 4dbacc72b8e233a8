"""Reads in the streams what was kept, over a connection of its own, so that nothing is held up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gevent.event import AsyncResult

from .kept import latest_in, missed_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ...journal.contract import Kept, KeptLimits, Topic
    from .kept import HeardOf, Reply, Scribe
    from .places import TopicPlace
    from .publisher import RedisPublisher

ANSWER_S = 2.0
_CALL_BYTES = 200

Found = list[tuple["TopicPlace", "HeardOf"]]


class Streams:
    """What one process reads.

    Args:
        limits_of: returns how much is kept of a topic; None for nothing.

    Greenlets: any of the hub's thread; only `read_all` waits.
    """

    def __init__(
        self,
        publisher: RedisPublisher,
        scribe: Scribe,
        limits_of: Callable[[Topic], KeptLimits | None],
    ) -> None:
        self._publisher = publisher
        self._scribe = scribe
        self._limits_of = limits_of

    def read_missed(
        self,
        topic: Topic,
        epoch: str,
        number: int,
        end: int,
        told: Callable[[list[Kept] | None], None],
    ) -> None:
        """Read a page; `told` isn't called if that fails."""

        def got(reply: Reply) -> None:
            if not isinstance(reply, Exception):
                found = missed_in(reply)
                told(None if found is None else [one.kept for one in found])

        self._ask_missed(topic, epoch, number, end, got)

    def read_latest(
        self, topic: Topic, most: int, end: int, told: Callable[[list[Kept]], None]
    ) -> None:
        """Read the latest messages; as above."""

        def got(reply: Reply) -> None:
            if not isinstance(reply, Exception):
                told([one.kept for one in latest_in(reply)])

        limits = self._limits_of(topic)
        if limits is None:
            told([])
            return
        self._publisher.call(
            _CALL_BYTES, lambda run: self._scribe.latest(topic, most, end, limits), got
        )

    def read_all(
        self, places: Iterable[TopicPlace], epoch: str, begin: int, end: int
    ) -> tuple[Found, list[TopicPlace]]:
        """Read what several topics have behind `begin`.

        Returns:
            What is there, and the places of topics of which something isn't any more.
        Raises:
            Exception: Redis doesn't answer, or refuses.
        """
        found: Found = []
        holed: list[TopicPlace] = []
        if begin >= end:
            return found, holed
        asked = [(place, self._ask(place.topic, epoch, begin, end)) for place in places]
        for place, answer in asked:
            page = missed_in(wait_for(answer))
            while page:
                found += [(place, one) for one in page]
                number = page[-1].kept.number
                page = missed_in(wait_for(self._ask(place.topic, epoch, number, end)))
            if page is None:
                holed.append(place)
        return found, holed

    def _ask(self, topic: Topic, epoch: str, number: int, end: int) -> AsyncResult:
        answer = AsyncResult()

        def told(reply: Reply) -> None:
            if isinstance(reply, Exception):
                answer.set_exception(reply)
            else:
                answer.set(reply)

        self._ask_missed(topic, epoch, number, end, told)
        return answer

    def _ask_missed(
        self, topic: Topic, epoch: str, number: int, end: int, told: Callable[[Reply], None]
    ) -> None:
        limits = self._limits_of(topic)
        if limits is None:
            told([b"ok"])
            return
        self._publisher.call(
            _CALL_BYTES, lambda run: self._scribe.missed(topic, epoch, number, end, limits), told
        )


def wait_for(answer: AsyncResult) -> Reply:
    """Wait for what a call leads to.

    Raises:
        TimeoutError: it takes too long.
        Exception: the error of the call.
    """
    answer.wait(ANSWER_S)
    if not answer.ready():
        raise TimeoutError("redis doesn't answer")
    return answer.get()
