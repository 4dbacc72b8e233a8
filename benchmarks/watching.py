"""Looks on from outside while a server is loaded, and asks ours what can't be seen from there."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from statistics import mean
from typing import Any, NamedTuple

from . import machine
from .measuring import LoadError
from .peers import is_ours
from .servers import HOST, Server

WATCH_EVERY_S = 0.1
ANSWER_S = 10.0


class _Note(NamedTuple):
    memory: int
    descriptors: int


class Watch:
    """Notes memory and descriptors of a server's worker ten times a second, in a thread of its own.

    Args:
        full_at: so many descriptors mean that everybody is connected.
        settling_s: how long after that to begin to compare.
        ask_every_s: how often to ask our own server for its greenlets, which stops it for some
            milliseconds.
    """

    def __init__(
        self, server: Server, *, full_at: int = 0, settling_s: float = 0.0, ask_every_s: float = 0.0
    ) -> None:
        self.memory: list[int] = []
        self._server = server
        self._full_at = full_at
        self._settling_s = settling_s
        self._ask_every_s = ask_every_s
        self._settled: list[_Note] = []
        self._greenlets: list[int] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look_on)

    def __enter__(self) -> Watch:
        self.memory.append(machine.resident_bytes(self._server.worker_pid))
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._end.set()
        self._thread.join()

    def growth(self) -> dict[str, float]:
        """Compare the last tenth of the settled time with its first tenth.

        Raises:
            LoadError: the server never settled.
        """
        tenth = len(self._settled) // 10
        if not tenth:
            raise LoadError(f"the server never had {self._full_at:,} connections")
        first, last = self._settled[:tenth], self._settled[-tenth:]
        growth = {
            "memory_growth_bytes": mean(one.memory for one in last)
            - mean(one.memory for one in first),
            "descriptor_growth": round(
                mean(one.descriptors for one in last) - mean(one.descriptors for one in first)
            ),
        }
        if len(self._greenlets) > 1:
            growth["greenlet_growth"] = self._greenlets[-1] - self._greenlets[0]
        return growth

    def _look_on(self) -> None:
        settled_at = ask_at = float("inf")
        while not self._end.wait(WATCH_EVERY_S):
            try:
                note = self._note()
                if self._full_at and note.descriptors >= self._full_at:
                    settled_at = min(settled_at, time.monotonic() + self._settling_s)
                    if time.monotonic() >= settled_at:
                        self._settled.append(note)
                        ask_at = self._ask_from(min(ask_at, settled_at))
            except OSError:  # the server is gone; who measures finds out
                return

    def _note(self) -> _Note:
        pid = self._server.worker_pid
        note = _Note(machine.resident_bytes(pid), machine.descriptor_count(pid))
        self.memory.append(note.memory)
        return note

    def _ask_from(self, ask_at: float) -> float:
        """Ask our own server for its greenlets, if it's time to; give when to ask next."""
        if time.monotonic() < ask_at or not is_ours(self._server.peer):
            return ask_at
        self._greenlets.append(ask_stats(self._server)["greenlets"])
        return time.monotonic() + self._ask_every_s


def ask_stats(server: Server) -> dict[str, Any]:
    """Ask our own server for what can't be seen from outside."""
    return ask(server, "/stats")


def ask(server: Server, path: str) -> dict[str, Any]:  # Any: whatever the JSON holds
    """Ask a server for a JSON document."""
    asker = http.client.HTTPConnection(HOST, server.port, timeout=ANSWER_S)
    with contextlib.closing(asker):
        asker.request("GET", path)
        answer: dict[str, Any] = json.loads(asker.getresponse().read())
    return answer
