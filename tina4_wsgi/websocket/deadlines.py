"""The deadlines of one connection: ping, pong, stalled send, silence, login, close handshake.

Pure: no socket and no clock. The owner says what the time is and what it sees, `look` returns what
is due, and the owner acts. One number per connection, `due_s`, says when the sweeper has to look
again; everything else is derived when it does.
"""

from __future__ import annotations

import random
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..config import Config

NEVER = float("inf")

_MOST_TRIES = 3
"""How often a re-check may fail in a row: one hiccup of a database sends nobody away, an outage
keeps nobody in.
"""

_LEAST_AUTH_S = 5.0
"""How long re-checks may fail in a row, however often they come."""


class Due(Enum):
    """What `Deadlines.look` finds due."""

    PING = auto()  # send one; its pong is awaited from now on
    RECHECK = auto()  # have `auth` asked again
    SLOW = auto()  # the peer has taken nothing for `send_timeout_s`
    SILENT = auto()  # the peer has answered no ping for `pong_timeout_s`
    IDLE = auto()  # no message came for `idle_timeout_s`
    STALE = auto()  # `auth` could not be asked for too long


class Deadlines:
    """When something has to happen on one connection, on the monotonic clock.

    Args:
        limits: of the connection's route.
        now_s: the time of its beginning.
        has_auth: whether its route has an `auth`.

    Attributes:
        due_s: when `look` is to be called next, at the latest.
        active_at_s: when messages were last handled; the owner sets it.
        recheck_at_s: when `auth` is to be asked again.
    """

    __slots__ = (
        "_auth_ends_s",
        "_limits",
        "_patient_until_s",
        "_ping_at_s",
        "_pong_by_s",
        "active_at_s",
        "due_s",
        "recheck_at_s",
    )

    def __init__(self, limits: Config, now_s: float, has_auth: bool = False) -> None:
        self._limits = limits
        self.active_at_s = now_s
        self._patient_until_s = self._pong_by_s = self._ping_at_s = NEVER
        self.recheck_at_s = self._auth_ends_s = NEVER

        # The first ping and the first re-check come at a random time: thousands that reconnect at
        # once aren't pinged, and their logins aren't asked for, at once.
        if limits.ping_interval_s:
            self._ping_at_s = now_s + limits.ping_interval_s * random.uniform(0.5, 1.0)
        if has_auth and limits.reauth_every > 0:
            self.recheck_at_s = now_s + limits.reauth_every * random.uniform(0.5, 1.0)
            self.renew_login(now_s)

        self.due_s = min(
            self._ping_at_s, self.recheck_at_s, now_s + (limits.idle_timeout_s or NEVER)
        )

    def look(
        self,
        now_s: float,
        heard: bool | None,
        stalled_since_s: float | None,
        is_busy: bool = False,
    ) -> Due | None:
        """Return one thing that is due, or None; the owner acts and looks again.

        PING and RECHECK set their next time. After the others the connection is to end, and there
        is nothing to look for any more.

        Args:
            heard: whether bytes came since the last ping; None if the peer isn't being read, so
                silence proves nothing.
            stalled_since_s: when the kernel last took something of a backlog; None without one.
            is_busy: whether a callback works on what the peer said.
        """
        limits = self._limits
        stall_due_s = NEVER if stalled_since_s is None else stalled_since_s + limits.send_timeout_s
        if stall_due_s <= now_s:
            return Due.SLOW

        if heard is not False:
            self._pong_by_s = NEVER
        elif self._pong_by_s <= now_s:
            return Due.SILENT

        idle_due_s = self.active_at_s + (limits.idle_timeout_s or NEVER)
        if idle_due_s <= now_s:
            if not is_busy:
                return Due.IDLE
            idle_due_s = now_s + limits.idle_timeout_s

        if self._ping_at_s <= now_s:
            self._ping_at_s = now_s + limits.ping_interval_s
            # The send timeout watches a peer that stalls, and one that isn't read can't be heard.
            if stalled_since_s is None and heard is not None:
                self._pong_by_s = now_s + limits.pong_timeout_s
                return Due.PING

        if self.recheck_at_s <= now_s:
            if self.is_login_stale(now_s):
                return Due.STALE
            self.schedule_recheck(now_s)
            return Due.RECHECK

        self.due_s = min(
            self._ping_at_s, self._pong_by_s, self.recheck_at_s, stall_due_s, idle_due_s
        )
        return None

    # -- a login

    @property
    def has_rechecks(self) -> bool:
        """Whether `auth` is ever to be asked again."""
        return self.recheck_at_s != NEVER

    @property
    def recheck_limit_s(self) -> float:
        """How long one re-check may take."""
        return max(self._limits.reauth_every, self._login_lasts_s / _MOST_TRIES)

    @property
    def _login_lasts_s(self) -> float:
        """How long an answer of `auth` counts."""
        if not self.has_rechecks:
            return NEVER
        return max(_MOST_TRIES * self._limits.reauth_every, _LEAST_AUTH_S)

    def renew_login(self, now_s: float) -> None:
        """Count from now on for how long re-checks may fail: `auth` has answered."""
        self._auth_ends_s = now_s + self._login_lasts_s

    def schedule_recheck(self, now_s: float) -> None:
        """Set the time of the next re-check, counted from now."""
        self.recheck_at_s = min(now_s + self._limits.reauth_every, self._auth_ends_s)

    def is_login_stale(self, now_s: float) -> bool:
        """Whether `auth` could not be asked for too long."""
        return self._auth_ends_s <= now_s

    # -- a peer that stalls, and the end

    def watch_stall(self, now_s: float) -> None:
        """Look when the send timeout is over, if not before: the kernel takes no more."""
        self.due_s = min(self.due_s, now_s + self._limits.send_timeout_s)

    def be_patient(self, until_s: float) -> None:
        """Leave the end to callbacks that are due, but look at `until_s`."""
        self._patient_until_s = until_s
        self.due_s = min(self.due_s, until_s)

    def take_patience_over(self, now_s: float) -> bool:
        """Whether the time for callbacks is over; True once."""
        if self._patient_until_s > now_s:
            return False
        self._patient_until_s = NEVER
        return True

    def end_within(self, now_s: float) -> None:
        """Look when the close handshake has taken too long, and at nothing else before."""
        self.due_s = now_s + self._limits.close_timeout_s

    def rest(self) -> None:
        """Look for nothing any more."""
        self.due_s = NEVER
