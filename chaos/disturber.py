"""What is done to the workers below a master."""

from __future__ import annotations

import contextlib
import math
import os
import random
import signal
from collections import Counter
from pathlib import Path

LONGEST_STOP_S = 2.0
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 3.0  # between two disturbances
WEIGHTS = {"kill -9": 1, "stop": 2, "reload": 1}


def workers_of(master: int) -> list[int]:
    """List the children of a master."""
    return [int(pid) for pid in Path(f"/proc/{master}/task/{master}/children").read_text().split()]


class Disturber:
    """Kills, stops and replaces workers, as chance has it.

    Attributes:
        counts: how often it did what.
        killed: the workers that it killed.
    """

    def __init__(self, master: int, chance: random.Random) -> None:
        self._master, self._chance = master, chance
        self._next_at_s = 0.0
        self._stopped_until_s: dict[int, float] = {}
        self.counts: Counter[str] = Counter()
        self.killed: set[int] = set()

    def turn(self, now_s: float) -> None:
        """Let go on whose time has come, and disturb another if it is time."""
        self.let_go_on(now_s)
        if now_s >= self._next_at_s:
            self._disturb(now_s)
            pause_s = self._chance.uniform(SHORTEST_PAUSE_S, LONGEST_PAUSE_S)
            self._next_at_s = now_s + pause_s

    def let_go_on(self, now_s: float = math.inf) -> None:
        """Continue the workers whose stop ends by `now_s`."""
        for pid in [pid for pid, at_s in self._stopped_until_s.items() if at_s <= now_s]:
            del self._stopped_until_s[pid]
            _send(pid, signal.SIGCONT)

    def _disturb(self, now_s: float) -> None:
        (what,) = self._chance.choices(list(WEIGHTS), list(WEIGHTS.values()))
        running = [one for one in workers_of(self._master) if one not in self._stopped_until_s]
        if len(running) < 2:
            what = "reload"  # somebody has to serve
        pid = self._chance.choice(running) if what != "reload" else self._master
        if what == "stop":
            self._stopped_until_s[pid] = now_s + self._chance.uniform(0, LONGEST_STOP_S)
        elif what == "kill -9":
            self.killed.add(pid)
        number = {"kill -9": signal.SIGKILL, "stop": signal.SIGSTOP, "reload": signal.SIGHUP}[what]
        _send(pid, number)
        self.counts[what] += 1


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it ended a moment ago
        os.kill(pid, number)
