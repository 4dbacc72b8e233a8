"""Clients that talk, listen, and come back whenever their line ends."""

from __future__ import annotations

import random

from tests.support.crowd import Crowd, Member
from tests.support.raw import CLOSE, Frame, client_frame

from .ledger import Ledger, Stream

PATHS, ROOMS = 4, 3
SENDERS = PATHS * ROOMS  # the first clients: one for each pair of a path and a room
MOST_IN_A_BURST = 5
PAUSE_S = 0.2  # on average, between two bursts of one sender
COME_BACK_S = 0.5  # at most


class Client:
    """One client on its path and in its room, line after line.

    Attributes:
        is_open: whether the present line has been greeted and no close frame has come or gone.
        is_leaving: whether it says goodbye and stays away; set by its owner.
        is_gone: whether it has done so.
    """

    def __init__(self, number: int, crowd: Crowd, ledger: Ledger, chance: random.Random) -> None:
        self._number = number
        self._crowd, self._ledger, self._chance = crowd, ledger, chance
        self._groups = (f"path{number % PATHS}", f"room{number % ROOMS}")
        self._line_count = 0
        self._next_at_s = 0.0  # it comes back, or talks
        self._member: Member | None = None
        self.is_open = self.is_leaving = self.is_gone = False

    def turn(self, now_s: float, may_talk: bool) -> None:
        """Take in what has arrived, and do what it is time for."""
        if self._member is None:
            self.is_gone = self.is_leaving
            if now_s >= self._next_at_s and not self.is_leaving:
                self._come()
            return
        self._listen(self._member, now_s)
        if self.is_open and self.is_leaving:
            self._member.send_bytes(client_frame(CLOSE, b"\x03\xe8"))
            self.is_open = False
        elif self.is_open and may_talk and self._number < SENDERS and now_s >= self._next_at_s:
            self._talk(self._member, now_s)

    def _come(self) -> None:
        self._line_count += 1
        tag = f"{self._number}.{self._line_count}"
        path, room = self._groups
        self._member = self._crowd.join(f"/ws/{path}?tag={tag}&room={room}", tag)
        self._member.may_be_refused = True  # a worker that stops answers 503

    def _talk(self, member: Member, now_s: float) -> None:
        for _ in range(self._chance.randint(1, MOST_IN_A_BURST)):
            group = self._chance.choice(self._groups)
            member.send_text(f"{group} {self._ledger.sent(member.name, group, now_s)}")
        self._next_at_s = now_s + PAUSE_S * self._chance.uniform(0.5, 1.5)

    def _listen(self, member: Member, now_s: float) -> None:
        for frame in member.frames:
            self._take(member, frame, now_s)
        member.frames.clear()
        if member.has_ended:
            self._ledger.ended(member.name, now_s)
            self._crowd.close(member)
            self._crowd.members.remove(member)
            self._member, self.is_open = None, False
            self._next_at_s = now_s + self._chance.uniform(0, COME_BACK_S)

    def _take(self, member: Member, frame: Frame, now_s: float) -> None:
        if frame.opcode == CLOSE:
            self._ledger.ended(member.name, now_s, frame.close_code)
            member.send_bytes(client_frame(CLOSE, frame.payload[:2]))
            self.is_open = False
            return
        first, *rest = frame.payload.decode().split()
        if first == "hello":
            self._ledger.opened(member.name, self._groups, int(rest[0]))
            self.is_open = True
        else:
            self._ledger.heard(member.name, Stream(first, rest[0]), int(rest[1]))
