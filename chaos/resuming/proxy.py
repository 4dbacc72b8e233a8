"""A TCP proxy that is a bad network: it cuts lines, stalls them, and leaves them half open.

One native thread with a selector serves all lines. What happens to a line, and when, comes from the
seed and the line's number alone.
"""

from __future__ import annotations

import contextlib
import math
import random
import selectors
import socket
import struct
import threading
import time
from collections import Counter

LOOPBACK = "127.0.0.1"
CHUNK_BYTES = 65_536
TICK_S = 0.02
LAST_CHUNK_S = 0.1  # a cut waits this long for a chunk that it can tear apart
RESET = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: close() sends RST
SHORTEST_LIFE_S, LONGEST_LIFE_S = 1.0, 5.0
LONGEST_STALL_S = 2.0
LONGEST_SILENCE_S = 1.0
WEIGHTS = {"reset": 4, "end": 2, "stall": 2, "half-open": 2}


class End:
    """One of the two sockets of a line, and the bytes that wait to be sent to it."""

    def __init__(self, sock: socket.socket, line: Line) -> None:
        self.sock, self.line = sock, line
        self.outbox = bytearray()
        self.ends_when_sent = False
        self.is_open = True


class Line:
    """One connection of a client, passed on to the target.

    `state` is "passing", "stalled" (nothing is read), "tearing" (the next chunk is torn apart, and
    the line cut there), "dropping" (all is read and thrown away) or "over" for the near end.
    """

    def __init__(self, near: socket.socket, far: socket.socket, chance: random.Random) -> None:
        self.near, self.far = End(near, self), End(far, self)
        self.chance = chance
        self.state = "passing"
        self.fate = ""
        self.next_at_s = math.inf

    def other(self, end: End) -> End:
        """Return the end that hears what this one says."""
        return self.far if end is self.near else self.near

    def live(self, now_s: float) -> None:
        """Pass bytes on until the next mishap."""
        self.state = "passing"
        self.next_at_s = now_s + self.chance.uniform(SHORTEST_LIFE_S, LONGEST_LIFE_S)

    def suffer(self, now_s: float) -> str:
        """Begin the mishap that is due, and return its name."""
        (self.fate,) = self.chance.choices(list(WEIGHTS), list(WEIGHTS.values()))
        if self.fate == "stall":
            self.state, longest_s = "stalled", LONGEST_STALL_S
        elif self.fate == "half-open":
            self.state, longest_s = "dropping", LONGEST_SILENCE_S
        else:
            self.state, longest_s = "tearing", 0.0
        self.next_at_s = now_s + (self.chance.uniform(0, longest_s) if longest_s else LAST_CHUNK_S)
        return self.fate


def chance_of(seed: object, line_number: int) -> random.Random:
    """Return what decides about a line."""
    return random.Random(f"{seed} {line_number}")


class Proxy:
    """Listens on a port of its own and passes lines on. Usable in a `with` block.

    Attributes:
        address: where clients connect.
        target: where lines that come from now on are passed to.
        is_disturbing: whether mishaps happen; a line that stands still or is being cut when this
            becomes False comes to its end.
        counts: how often which mishap happened.
    """

    def __init__(self, target: tuple[str, int], seed: object = 0) -> None:
        self.target = target
        self.is_disturbing = False
        self.counts: Counter[str] = Counter()
        self._seed = seed
        self._lines: set[Line] = set()
        self._line_count = 0
        self._is_over = self._wants_all_cut = False
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server((LOOPBACK, 0), backlog=1024)
        self._listener.setblocking(False)
        self.address: tuple[str, int] = self._listener.getsockname()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._is_over = True
        self._thread.join()

    def cut_all(self) -> None:
        """Reset all lines soon, both ends."""
        self._wants_all_cut = True

    def _run(self) -> None:
        while not self._is_over:
            for key, events in self._selector.select(TICK_S):
                if key.data is None:
                    self._accept()
                else:
                    self._serve(key.data, events)
            self._tick(time.monotonic())
        for line in list(self._lines):
            self._cut(line)
        self._listener.close()
        self._selector.close()

    def _tick(self, now_s: float) -> None:
        if self._wants_all_cut:
            self._wants_all_cut = False
            for line in list(self._lines):
                self._cut(line)
        for line in [line for line in self._lines if line.next_at_s <= now_s]:
            if line.state == "passing":
                if self.is_disturbing:
                    self.counts[line.suffer(now_s)] += 1
            elif line.state == "stalled":
                line.live(now_s)
            else:
                self._end(line)
            self._watch(line)

    def _accept(self) -> None:
        try:
            near, _ = self._listener.accept()
        except OSError:  # it went away again
            return
        far = socket.socket()
        for sock in (near, far):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        far.connect_ex(self.target)  # whether it succeeds is seen by the first send
        self._line_count += 1
        line = Line(near, far, chance_of(self._seed, self._line_count))
        line.live(time.monotonic())
        self._lines.add(line)
        self._watch(line)

    def _serve(self, end: End, events: int) -> None:
        try:
            if events & selectors.EVENT_READ and end.is_open:
                self._read(end)
            if events & selectors.EVENT_WRITE and end.is_open:
                self._write(end)
        except BlockingIOError:
            pass
        except OSError:  # reset by one end, so the other is, too
            self._cut(end.line)
        self._watch(end.line)

    def _read(self, end: End) -> None:
        data = end.sock.recv(CHUNK_BYTES)
        line, other = end.line, end.line.other(end)
        if line.state in ("dropping", "over"):
            if not data:
                self._cut(line)
        elif not data:
            other.ends_when_sent = True
            self._shut(end)
            self._write(other)
        elif line.state == "tearing" and end is line.far:
            other.outbox += data[: line.chance.randrange(len(data) + 1)]
            self._write(other)
            self._end(line)
        else:
            other.outbox += data
            self._write(other)

    def _write(self, end: End) -> None:
        if end.outbox and end.is_open:
            del end.outbox[: end.sock.send(end.outbox)]
        if end.ends_when_sent and not end.outbox:
            self._shut(end)

    def _end(self, line: Line) -> None:
        """Cut the client's end; the other one stays open where the line is to be half open."""
        self._shut(line.near, is_reset=line.fate != "end")
        line.next_at_s = math.inf
        if line.fate == "half-open":
            line.state = "over"
        else:
            self._shut(line.far, is_reset=line.fate != "end")

    def _cut(self, line: Line) -> None:
        self._shut(line.near, is_reset=True)
        self._shut(line.far, is_reset=True)

    def _shut(self, end: End, is_reset: bool = False) -> None:
        if not end.is_open:
            return
        end.is_open = False
        with contextlib.suppress(KeyError):
            self._selector.unregister(end.sock)
        if is_reset:
            end.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        end.sock.close()
        if not end.line.other(end).is_open:
            self._lines.discard(end.line)

    def _watch(self, line: Line) -> None:
        """Ask the selector for what the ends can do now."""
        for end in (line.near, line.far):
            if end.is_open:
                self._watch_end(end)

    def _watch_end(self, end: End) -> None:
        events = 0
        if end.line.state != "stalled":
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if end.outbox else 0)
        known = self._selector.get_map().get(end.sock)
        if known is None and events:
            self._selector.register(end.sock, events, end)
        elif known is not None and not events:
            self._selector.unregister(end.sock)
        elif known is not None and known.events != events:
            self._selector.modify(end.sock, events, end)
