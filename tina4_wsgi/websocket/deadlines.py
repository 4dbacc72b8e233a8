"""The deadlines of one connection: ping, pong, stalled send, silence, login, close handshake.

Pure: no socket and no clock. The owner passes in the time and its observations, `look` returns what
is due, and the owner acts. One number per connection, `due_s`, says when the sweeper has to look
again; everything else is derived at that look.
"""

from __future__ import annotations

from enum import Enum, auto
from random import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..config import Config

NEVER = float("inf")

_MOST_TRIES = 3
"""How often a re-check may fail in a row: one database hiccup disconnects no client, but an outage
keeps no stale login connected.
"""

_LEAST_AUTH_S = 5.0
"""Shortest time for which re-checks may fail in a row, however frequent they are."""


class Due(Enum):
    """What `Deadlines.look` finds due."""

    PING = auto()  # send a ping; its pong is awaited from now on
    RECHECK = auto()  # call `auth` again
    SLOW = auto()  # the peer has taken no bytes for `send_timeout_s`
    SILENT = auto()  # the peer has answered no ping for `pong_timeout_s`
    IDLE = auto()  # no message arrived for `idle_timeout_s`
    STALE = auto()  # `auth` has failed to answer for too long


class Deadlines:
    """The times at which one connection has to act, on the monotonic clock.

    Args:
        limits: the settings of the connection's route.
        now_s: when the connection began.
        has_auth: whether the route has an `auth`.

    Attributes:
        due_s: latest time at which `look` has to be called next.
        active_at_s: when messages were last handled; the owner sets it.
        recheck_at_s: when `auth` is to be called again.
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

        # The first ping and the first re-check come at a random time: thousands of clients that
        # reconnect at once must not all be pinged or re-checked at once.
        if limits.ping_interval_s:
            self._ping_at_s = now_s + limits.ping_interval_s * (0.5 + random() / 2)
        if has_auth and limits.reauth_every > 0:
            self.recheck_at_s = now_s + limits.reauth_every * (0.5 + random() / 2)
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

        PING and RECHECK set their next time. After any other result the owner ends the connection
        and doesn't look again.

        Args:
            heard: whether bytes arrived since the last ping; None while the peer isn't read, so
                silence proves nothing.
            stalled_since_s: when the kernel last took bytes of a backlog; None without a backlog.
            is_busy: whether a callback is handling the peer's messages.
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
            # A stalled peer is left to the send timeout, and a peer that isn't read can't be heard.
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
        """Whether `auth` is called again at all."""
        return self.recheck_at_s != NEVER

    @property
    def recheck_limit_s(self) -> float:
        """How long one re-check may take."""
        return max(self._limits.reauth_every, self._login_lasts_s / _MOST_TRIES)

    @property
    def _login_lasts_s(self) -> float:
        """How long an answer of `auth` is valid."""
        if not self.has_rechecks:
            return NEVER
        return max(_MOST_TRIES * self._limits.reauth_every, _LEAST_AUTH_S)

    def renew_login(self, now_s: float) -> None:
        """Restart the time for which re-checks may fail: `auth` has answered."""
        self._auth_ends_s = now_s + self._login_lasts_s

    def schedule_recheck(self, now_s: float) -> None:
        """Set the time of the next re-check, counted from now."""
        self.recheck_at_s = min(now_s + self._limits.reauth_every, self._auth_ends_s)

    def is_login_stale(self, now_s: float) -> bool:
        """Return whether `auth` has failed to answer for too long."""
        return self._auth_ends_s <= now_s

    # -- a peer that stalls, and the end

    def watch_stall(self, now_s: float) -> None:
        """Look at the latest when the send timeout is over: the kernel takes no more bytes."""
        self.due_s = min(self.due_s, now_s + self._limits.send_timeout_s)

    def be_patient(self, until_s: float) -> None:
        """Let due callbacks run before the connection ends, but look again at `until_s`."""
        self._patient_until_s = until_s
        self.due_s = min(self.due_s, until_s)

    def take_patience_over(self, now_s: float) -> bool:
        """Return whether the time of `be_patient` is over; True only once."""
        if self._patient_until_s > now_s:
            return False
        self._patient_until_s = NEVER
        return True

    def end_within(self, now_s: float) -> None:
        """Look only when the closing handshake has taken too long."""
        self.due_s = now_s + self._limits.close_timeout_s

    def rest(self) -> None:
        """Never look again."""
        self.due_s = NEVER
