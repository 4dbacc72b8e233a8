"""Knows what has been heard of others, since they repeat what Redis hasn't answered.

Free of gevent.
"""

from __future__ import annotations

from collections import OrderedDict

_MOST_REMEMBERED = 20_000
"""Pairs of sender and channel, the latest ones, whose last number is remembered."""

_MOST_SENT_AGAIN = 65_536
"""Messages of one sender that may lie between one and its repetition, with a wide margin."""


class Repetitions:
    """The last number of each sender in each channel.

    Numbers of one sender grow within a channel. A number far below the last one is no repetition,
    and counting starts from there: somebody sent a huge number in that sender's name, and what
    follows must not look old for that.
    """

    def __init__(self) -> None:
        self._heard: OrderedDict[tuple[bytes, str], int] = OrderedDict()

    def is_news(self, sender: bytes, channel: str, number: int) -> bool:
        """Return whether a message is new, and note it.

        Args:
            number: 0 for one of a sender that doesn't count, which never repeats itself.
        """
        if not number:
            return True

        key = (sender, channel)
        last = self._heard.pop(key, 0)
        is_news = number > last or number <= last - _MOST_SENT_AGAIN
        self._heard[key] = number if is_news else last

        if len(self._heard) > _MOST_REMEMBERED:
            self._heard.popitem(last=False)
        return is_news
