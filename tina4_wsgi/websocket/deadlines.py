"""The deadlines of one connection: of a ping, a pong, a stalled send, silence, a login, and a close
handshake.

One number per connection, `due_s`, says when the sweeper has to look; everything else is derived
when it does.
"""

from __future__ import annotations

import random
import time
from typing import Any

from ..protocol.frames import CloseCode
from .transport import Transport
from .transport_owner import TransportOwner

NEVER = float("inf")

_MOST_TRIES = 3
"""How often a re-check may fail in a row: one hiccup of a database sends nobody away, an outage
keeps nobody in.
"""

_LEAST_AUTH_S = 5.0
"""How long re-checks may fail in a row, however often they come."""

_PING = b"\x89\x00"


class Deadlines(TransportOwner):
    """What the sweeper asks of a connection; `Lifecycle` is one.

    Attributes:
        due_s: when `on_due` wants to be called, on the monotonic clock.
    """

    __slots__ = (
        "_active_at_s",
        "_auth_ends_s",
        "_auth_lasts_s",
        "_has_rechecks",
        "_is_busy",
        "_is_recheck_due",
        "_is_rechecking",
        "_limits",
        "_ping_at_s",
        "_pong_by_s",
        "_recheck_at_s",
        "_transport",
        "due_s",
    )

    def __init__(self, limits: Any, has_auth: bool = False) -> None:  # Any: a Config
        self._limits = limits
        self._transport: Transport
        self._is_busy = False
        self._active_at_s = now_s = time.monotonic()
        self._pong_by_s = NEVER
        self._ping_at_s = NEVER
        if limits.ping_interval_s:
            # The first one at a random time: thousands that reconnect at once are not pinged at
            # once.
            self._ping_at_s = now_s + limits.ping_interval_s * random.uniform(0.5, 1.0)
        self._is_recheck_due = False
        self._is_rechecking = False
        self._recheck_at_s = NEVER
        self._auth_lasts_s = NEVER
        self._has_rechecks = has_auth and limits.reauth_every > 0
        if self._has_rechecks:
            self._auth_lasts_s = max(_MOST_TRIES * limits.reauth_every, _LEAST_AUTH_S)
            self._recheck_at_s = now_s + limits.reauth_every * random.uniform(0.5, 1.0)  # as above
        self._auth_ends_s = now_s + self._auth_lasts_s
        self.due_s = min(
            self._ping_at_s, self._recheck_at_s, now_s + (limits.idle_timeout_s or NEVER)
        )

    def on_due(self, now_s: float) -> None:
        """A deadline has passed; act, and set the next one. Called in the hub."""
        transport = self._transport
        if self.closed:
            self.due_s = NEVER
            if transport.is_settled:
                transport.close()
            else:
                # The close handshake, or the peer's FIN after it, has taken too long.
                transport.abort()
            return
        stalled_since_s = transport.stalled_since_s
        stall_due_s = (
            NEVER if stalled_since_s is None else stalled_since_s + self._limits.send_timeout_s
        )
        if stall_due_s <= now_s:
            self._give_up_on_slow_peer()
            return
        if transport.was_heard or transport.is_paused:
            self._pong_by_s = NEVER  # heard; or not read, and so it could not be
        elif self._pong_by_s <= now_s:
            self._give_up_on_silent_peer()
            return
        idle_due_s = self._active_at_s + (self._limits.idle_timeout_s or NEVER)
        if idle_due_s <= now_s:
            if not self._is_busy:
                self._begin_close(CloseCode.NORMAL, "idle")
                return
            idle_due_s = (
                now_s + self._limits.idle_timeout_s
            )  # its callback still works on what it said
        if self._ping_at_s <= now_s:
            self._ping(now_s)
        if self._recheck_at_s <= now_s and not self._may_stay(now_s):
            self._login_is_stale()
            return
        self.due_s = min(
            self._ping_at_s, self._pong_by_s, self._recheck_at_s, stall_due_s, idle_due_s
        )

    def _may_stay(self, now_s: float) -> bool:
        """Have `auth` asked again, and say whether its last answer is young enough to wait for the
        next.
        """
        if self._auth_ends_s <= now_s:
            return False
        self._be_rechecked()
        self._recheck_at_s = min(now_s + self._limits.reauth_every, self._auth_ends_s)
        return True

    def _login_is_stale(self) -> None:
        """End a connection whose `auth` could not be asked for too long."""
        self._begin_close(CloseCode.TRY_AGAIN_LATER, "login could not be checked")

    def _must_recheck(self) -> bool:
        """Whether `auth` is due to be asked again by the clock, too: busy callbacks may leave the
        sweeper no turn.
        """
        return self._is_recheck_due or self._recheck_at_s <= time.monotonic()

    def _ping(self, now_s: float) -> None:
        limits, transport = self._limits, self._transport
        self._ping_at_s = now_s + limits.ping_interval_s
        if transport.stalled_since_s is not None or transport.is_paused:
            return  # the send timeout watches the one, and the other can't be heard
        transport.was_heard = False
        transport.write(_PING)
        self._pong_by_s = now_s + limits.pong_timeout_s

    # -- what Lifecycle fills in

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more."""
        raise NotImplementedError

    def _be_rechecked(self) -> None:
        raise NotImplementedError

    def _give_up_on_slow_peer(self) -> None:
        raise NotImplementedError

    def _give_up_on_silent_peer(self) -> None:
        raise NotImplementedError

    def _begin_close(self, code: int, reason: str) -> None:
        raise NotImplementedError
