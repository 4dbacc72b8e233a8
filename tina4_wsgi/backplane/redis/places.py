"""Which topics with history a process hears of, and since when it has heard everything there.

Free of gevent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ...journal.contract import Topic


class TopicPlace:
    """A topic that this process hears of.

    Attributes:
        since: every message behind this number has been heard; None until that is known.
    """

    __slots__ = ("since", "topic")

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self.since: int | None = None


class Places:
    """The topics of one process, by channel."""

    def __init__(self) -> None:
        self._places: dict[str, TopicPlace] = {}
        self._by_topic: dict[Topic, TopicPlace] = {}

    def __iter__(self) -> Iterator[TopicPlace]:
        return iter(list(self._places.values()))

    @property
    def channels(self) -> list[str]:
        """The channels of all topics."""
        return [*self._places]

    @property
    def has_new(self) -> bool:
        """Whether there is a topic of which it isn't known since when it is heard."""
        return any(place.since is None for place in self._places.values())

    def enter(self, channel: str, topic: Topic) -> TopicPlace:
        """Hear of a topic from now on; return its place."""
        place = self._places.get(channel)
        if place is None:
            place = self._places[channel] = self._by_topic[topic] = TopicPlace(topic)
        return place

    def leave(self, channel: str) -> None:
        """Hear of a topic no more."""
        place = self._places.pop(channel, None)
        if place is not None:
            self._by_topic.pop(place.topic, None)

    def of(self, channel: str) -> TopicPlace | None:
        """Return the place with a channel."""
        return self._places.get(channel)

    def has(self, topic: Topic) -> bool:
        """Return whether a topic is heard of."""
        return topic in self._by_topic

    def since(self, topic: Topic) -> int | None:
        """Return behind which number every message of a topic has been heard; any thread."""
        place = self._by_topic.get(topic)
        return None if place is None else place.since

    def settle(self, channels: Iterable[str], number: int, *, is_anew: bool = False) -> None:
        """Note that all is heard behind a number.

        Args:
            is_anew: also where it was known that all behind another one is.
        """
        for channel in channels:
            place = self._places.get(channel)
            if place is not None and (place.since is None or is_anew):
                place.since = number
