"""A client that comes back by itself, as the pages of the examples do, in a greenlet of its own.

What it does after a loss is what docs/deploys.md asks of a client: the hint of the close frame, or
else a random time below a ceiling that doubles with each failure.
"""

from __future__ import annotations

import random
import re
import time

import gevent
from gevent import socket

from tests.support.raw import CLOSE, PING, PONG, TEXT, RawClient

BASE_S, CAP_S, LEAST_S = 1.0, 15.0, 0.25
HINT = re.compile(r"; retry in (\d{1,6}) ms$")
CONNECT_S = 10.0


class Visit:
    """One connection of a page, from its 101 on.

    Attributes:
        pid: the worker's.
        joined_at: the number of the last message before this page was there.
        heard: the numbers of the messages that came, in order.
        close: code and reason; None as long as there is none.
    """

    def __init__(self, client: RawClient) -> None:
        self.client = client
        self.pid = self.joined_at = 0
        self.heard: list[int] = []
        self.close: tuple[int, str] | None = None


class Page:
    """One page; runs until `leave`.

    Attributes:
        visits: its connections so far.
        returns: for when it made up its mind to connect again, each time, on the monotonic clock.
    """

    def __init__(self, address: tuple[str, int], path: str, name: str) -> None:
        self._address, self._path, self._name = address, path, name
        self.visits: list[Visit] = []
        self.returns: list[float] = []
        self._failures = 0
        self._greenlet = gevent.spawn(self._run)

    @property
    def here(self) -> Visit | None:
        """The connection that it has now, once the worker has said its pid."""
        visit = self.visits[-1] if self.visits else None
        return visit if visit is not None and visit.pid and visit.close is None else None

    def say(self, text: str) -> None:
        """Send a message on the connection that is open."""
        assert self.here is not None
        self.here.client.send_text(f"{self._name} {text}")

    def leave(self) -> None:
        """End it."""
        self._greenlet.kill()

    def _run(self) -> None:
        while True:
            try:
                with RawClient(socket.create_connection(self._address, CONNECT_S)) as client:
                    client.upgrade(self._path)
                    self._listen(client)
            except (OSError, AssertionError):
                pass  # nobody there, or a refusal: a page can't tell them apart
            delay_s = self._delay_s()
            self.returns.append(
                time.monotonic() + delay_s
            )  # it comes later where the machine is busy
            gevent.sleep(delay_s)

    def _listen(self, client: RawClient) -> None:
        client.socket.settimeout(None)
        visit = Visit(client)
        self.visits.append(visit)
        self._failures = 0
        while visit.close is None:
            frame = client.read_frame()
            if frame.opcode == PING:
                client.send_frame(PONG, frame.payload)
            elif frame.opcode == CLOSE:
                visit.close = frame.close_code, frame.payload[2:].decode()
                client.send_close(frame.close_code)
            elif frame.opcode == TEXT:
                self._take(visit, frame.payload.decode())

    def _take(self, visit: Visit, text: str) -> None:
        kind, *words = text.split()
        if kind == "joined":
            visit.pid, visit.joined_at = int(words[0]), int(words[1])
            self.say("is here")
        else:
            visit.heard.append(int(words[0]))

    def _delay_s(self) -> float:
        visit = self.visits[-1] if self.visits and not self._failures else None
        hint = (
            HINT.search(visit.close[1]) if visit is not None and visit.close is not None else None
        )
        ceiling_s = min(CAP_S, BASE_S * 2**self._failures)
        self._failures += 1
        return int(hint[1]) / 1_000 if hint else max(LEAST_S, random.uniform(0.0, ceiling_s))
