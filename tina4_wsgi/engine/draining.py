"""Closes all connections of a stopping server, so that their clients return spread out.

Two things spread them: each close frame leaves at a random moment of the closing time, and its
reason names a random time after which this client should return (docs/deploys.md has the format;
clients rely on it).

Invariants: connections stay in service until their turn comes; those that were taken on while this
runs are told too; nothing waits once everybody has gone; before the time is over everybody is told,
whatever callbacks still wait.
"""

from __future__ import annotations

import logging
import random
import time
from typing import TYPE_CHECKING

import gevent

from ..protocol.frames import CloseCode

if TYPE_CHECKING:
    from collections.abc import Collection

    from ..hub.dispatcher import Dispatcher
    from ..websocket.lifecycle import Lifecycle

logger = logging.getLogger("tina4_wsgi.engine")

_CLOSES_PER_S = 100
"""No slower than this, so that few clients don't hold up the stop; many are closed faster, see
`drain_spread_s`.
"""

_BATCH_S = 0.05
"""Pause between two batches: long enough for the answers to the last one to be read."""

_RETURNS_PER_S = 500
"""Clients that are asked back in one second: a quarter of the handshakes that one core makes,
"open" included.
"""

_LEAST_WINDOW_S = 1.0
"""However few there are: what a new worker takes to boot."""

_LEAST_RETRY_S = 0.25

_LAST_CALL_S = 1.0
"""Before the time is over, those are told whose callbacks still run: enough for a close frame and
its answer.
"""

_POLL_S = 0.02

_LAST_CALLBACKS_S = 1.0
"""What the "close" callbacks of connections that were cut off get at most."""


class Draining:
    """The end of all connections of one engine.

    Args:
        connections: the engine's, live.
        dispatcher: the engine's.
        spread_s: for how long the close frames may be spread.
        retry_spread_s: within how long the clients are asked back at most; 0 asks for nothing.
    """

    def __init__(
        self,
        connections: Collection[Lifecycle],
        dispatcher: Dispatcher,
        spread_s: float,
        retry_spread_s: float,
    ) -> None:
        self._connections = connections
        self._dispatcher = dispatcher
        self._spread_s = min(spread_s, len(connections) / _CLOSES_PER_S)
        self._window_s = min(
            retry_spread_s, max(_LEAST_WINDOW_S, len(connections) / _RETURNS_PER_S)
        )
        self._told: set[Lifecycle] = set()
        self._is_last_call = False

    def run(self, timeout_s: float) -> bool:
        """Tell everybody, and wait until their "close" callbacks are done.

        Greenlets: one that may wait; not the hub.

        Args:
            timeout_s: how long; then the rest is cut off, and their callbacks get up to one second
                more.
        Returns:
            Whether everybody went in time.
        """
        give_up_at_s = time.monotonic() + timeout_s
        self._tell_in_batches(
            min(self._spread_s, timeout_s / 2)
        )  # the other half is for callbacks and answers
        is_done = self._wait_until_over(give_up_at_s - min(_LAST_CALL_S, timeout_s / 4))
        if not is_done:
            self._call_last()
            is_done = self._wait_until_over(give_up_at_s)
        if not is_done:
            logger.warning(
                "drain: %d connections cut off after %.1f s", len(self._connections), timeout_s
            )

        for lifecycle in list(self._connections):
            # What is over only waits for the peer's FIN, and that may take as long as the peer
            # likes.
            lifecycle.cut()
        return (
            self._wait_until_over(time.monotonic() + min(_LAST_CALLBACKS_S, timeout_s)) and is_done
        )

    def _tell_in_batches(self, spread_s: float) -> None:
        members = list(self._connections)
        random.shuffle(
            members
        )  # or rooms that were joined together would lose all their members at once
        moments_s = sorted(random.uniform(0.0, spread_s) for _ in members)
        began_at_s = time.monotonic()
        for moment_s, lifecycle in zip(moments_s, members, strict=True):
            if lifecycle.closed:
                continue
            early_s = moment_s - (time.monotonic() - began_at_s)
            if early_s > 0:
                gevent.sleep(max(early_s, _BATCH_S))
            self._tell(lifecycle)

    def _tell(self, lifecycle: Lifecycle) -> None:
        self._told.add(lifecycle)
        reason = going_away(self._window_s)
        try:
            lifecycle.dismiss(CloseCode.GOING_AWAY, reason, is_last_call=self._is_last_call)
        except Exception as exc:  # noqa: BLE001
            # A mistake of ours, which keeps nobody else from being told.
            lifecycle.failed(exc)

    def _call_last(self) -> None:
        """Tell those whose callbacks still run, and let "close" run where no worker was free."""
        self._is_last_call = True
        self._dispatcher.lift_bound()
        for lifecycle in list(self._connections):
            self._tell(lifecycle)

    def _wait_until_over(self, deadline_s: float) -> bool:
        while True:
            for lifecycle in [one for one in self._connections if one not in self._told]:
                self._tell(lifecycle)  # its handshake was being answered when this began
            if all(lifecycle.is_over for lifecycle in self._connections):
                return True
            if time.monotonic() >= deadline_s:
                return False
            gevent.sleep(_POLL_S)


def going_away(window_s: float) -> str:
    """Return a close reason that names when to come back, at random within `window_s`."""
    if not window_s:
        return "going away"
    retry_s = random.uniform(min(_LEAST_RETRY_S, window_s / 4), window_s)
    return f"going away; retry in {round(retry_s * 1_000)} ms"
