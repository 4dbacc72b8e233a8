"""Whether Redis is reachable, and one log line when that changes."""

from __future__ import annotations

import logging
import random

logger = logging.getLogger("tina4_wsgi.backplane")

_MOST_DENIED = 100
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.1, 2.0


class Health:
    """The state of the connections to Redis, each known by a name.

    Greenlets: those of the connections; logging may wait.

    Attributes:
        outages: how often a connection was lost while all others worked.
        error: the error of the present outage; "" if there is none.
        dropped_messages: publishes that were given up.
        denied: the first channels that the ACL forbids; messages there stay in their process.
    """

    def __init__(self) -> None:
        self._down: set[str] = set()
        self.outages = 0
        self.error = ""
        self.dropped_messages = 0
        self.denied: dict[str, None] = {}

    @property
    def is_up(self) -> bool:
        """Whether no connection is known to be away."""
        return not self._down

    def is_down(self, part: str) -> bool:
        """Return whether this connection is known to be away."""
        return part in self._down

    def down(self, part: str, error: str) -> None:
        """Note that a connection is away."""
        if not self._down:
            self.outages += 1
            self.error = error
            logger.warning(
                "redis is away, broadcasts reach this process only until it is back: %s", error
            )
        self._down.add(part)

    def deny(self, channel: str) -> None:
        """Note that the ACL forbids a channel; the others are unaffected."""
        if len(self.denied) < _MOST_DENIED:
            self.denied[channel] = None

    def allow(self, channel: str) -> None:
        """Note that the ACL allows a channel."""
        self.denied.pop(channel, None)

    def up(self, part: str) -> None:
        """Note that a connection works."""
        if part in self._down:
            self._down.discard(part)
            if not self._down:
                self.error = ""
                logger.warning(
                    "redis is back; %d messages were dropped so far", self.dropped_messages
                )


class Backoff:
    """How long to wait before the next attempt: longer each time, with jitter."""

    def __init__(self) -> None:
        self._wait_s = _FIRST_WAIT_S

    def next_s(self) -> float:
        """Return the next waiting time."""
        wait_s, self._wait_s = self._wait_s, min(self._wait_s * 2, _LONGEST_WAIT_S)
        return wait_s * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Start with short times again, after a success."""
        self._wait_s = _FIRST_WAIT_S
