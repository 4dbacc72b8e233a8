"""Closes all connections of a stopping server and spreads the return of their clients.

Two things spread the clients: each close frame leaves at a random moment of the closing time, and
its reason names a random delay after which the client should reconnect (docs/deploys.md has the
format; clients rely on it).

Invariants: connections stay in service until they are dismissed; connections accepted during the
drain are dismissed too; the drain ends as soon as all connections are gone; every client gets its
close frame before the time is over, whatever callbacks still wait.
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
"""The slowest pace, so that a few clients don't hold up the stop; many clients are closed faster,
see `drain_spread_s`.
"""

_BATCH_S = 0.05
"""Pause between two batches: long enough to read the answers to the last one."""

_RETURNS_PER_S = 500
"""How many clients are asked to return in one second: a quarter of the opening handshakes that one
core can handle, the "open" callback included.
"""

_LEAST_WINDOW_S = 1.0
"""Shortest time over which clients return, however few: a new worker needs it to boot."""

_LEAST_RETRY_S = 0.25

_LAST_CALL_S = 1.0
"""How long before the end the clients whose callbacks still run get their close frame: enough for
the frame and its answer.
"""

_POLL_S = 0.02

_LAST_CALLBACKS_S = 1.0
"""Longest time for the "close" callbacks of connections that were cut off."""


class Draining:
    """The end of all connections of one engine.

    Args:
        connections: the live collection of the engine's connections.
        dispatcher: the engine's.
        spread_s: longest time over which the close frames are spread.
        retry_spread_s: longest delay after which a client is asked to return; with 0 no close
            reason names a delay.
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
        """Dismiss all connections, and wait until their "close" callbacks are done.

        Greenlets: one that may wait; not the hub.

        Args:
            timeout_s: how long to wait; after it the remaining connections are cut off, and their
                callbacks get up to one second more.
        Returns:
            Whether all connections ended in time.
        """
        give_up_at_s = time.monotonic() + timeout_s
        # At least half of the time is left for callbacks and answers.
        self._tell_in_batches(min(self._spread_s, timeout_s / 2))
        is_done = self._wait_until_over(give_up_at_s - min(_LAST_CALL_S, timeout_s / 4))
        if not is_done:
            self._call_last()
            is_done = self._wait_until_over(give_up_at_s)
        if not is_done:
            logger.warning(
                "drain: %d connections cut off after %.1f s", len(self._connections), timeout_s
            )

        for lifecycle in list(self._connections):
            # A connection that is over waits only for the peer's FIN, which may take as long as
            # the peer likes.
            lifecycle.cut()
        return (
            self._wait_until_over(time.monotonic() + min(_LAST_CALLBACKS_S, timeout_s)) and is_done
        )

    def _tell_in_batches(self, spread_s: float) -> None:
        members = list(self._connections)
        # Otherwise a room whose members joined together would lose all of them at once.
        random.shuffle(members)

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
            # A bug of this package must not keep the other clients from their close frames.
            lifecycle.failed(exc)

    def _call_last(self) -> None:
        """Dismiss connections whose callbacks still run; run "close" where no worker was free."""
        self._is_last_call = True
        self._dispatcher.lift_bound()
        for lifecycle in list(self._connections):
            self._tell(lifecycle)

    def _wait_until_over(self, deadline_s: float) -> bool:
        while True:
            for lifecycle in [one for one in self._connections if one not in self._told]:
                self._tell(lifecycle)  # its opening handshake was under way when the drain began
            if all(lifecycle.is_over for lifecycle in self._connections):
                return True
            if time.monotonic() >= deadline_s:
                return False
            gevent.sleep(_POLL_S)


def going_away(window_s: float) -> str:
    """Return a close reason that names a random delay before reconnecting, within `window_s`."""
    if not window_s:
        return "going away"
    retry_s = random.uniform(min(_LEAST_RETRY_S, window_s / 4), window_s)
    return f"going away; retry in {round(retry_s * 1_000)} ms"
