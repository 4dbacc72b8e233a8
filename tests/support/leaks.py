"""Finds what a test left behind: greenlets, sockets, child processes, native threads.

Only the difference between two looks counts, so fixtures of a wider scope may keep what they like.
What is seen afterwards gets at least `GRACE_S` to end by itself: sockets close and greenlets die a
loop turn later.
"""

from __future__ import annotations

import gc
import os
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Any

GRACE_S = 1.0
LEAST_LOOKS = 50  # on a busy machine these take longer, as does what is waited for
POLL_S = 0.01
MANY_OBJECTS = 10_000

_seen = 0  # so many objects the collector knew at the last look


@dataclass(frozen=True)
class Snapshot:
    """What this process held at one moment.

    Greenlets and threads are held themselves: an `id` would be given to another one later.
    """

    greenlets: frozenset[Any]
    sockets: frozenset[str]
    children: frozenset[int]
    threads: frozenset[threading.Thread]
    bare_threads: frozenset[int]

    @classmethod
    def take(cls) -> Snapshot:
        """Look at this process now."""
        return cls(
            frozenset(live_greenlets()),
            frozenset(open_sockets()),
            frozenset(child_processes()),
            frozenset(threads()),
            frozenset(bare_threads()),
        )

    def what_was_left(self) -> str:
        """Describe what there is now and was not then, after a time of grace; "" for nothing."""
        give_up_at = time.monotonic() + GRACE_S
        looks = 0
        while True:
            left = self._difference()
            looks += 1
            if not left or (looks >= LEAST_LOOKS and time.monotonic() > give_up_at):
                return left
            _let_others_run()
            gc.collect()  # what only a cycle keeps alive is closed by now

    def _difference(self) -> str:
        greenlets = [one for one in live_greenlets() if one not in self.greenlets]
        sockets = {link: fd for link, fd in open_sockets().items() if link not in self.sockets}
        children = [pid for pid in child_processes() if pid not in self.children]
        strays = [one for one in threads() if one not in self.threads]
        bare = [name for one, name in bare_threads().items() if one not in self.bare_threads]
        lines = [f"greenlet left running: {_describe_greenlet(one)}" for one in greenlets]
        lines += [f"socket left open: {_describe_socket(fd)}" for fd in sockets.values()]
        lines += [f"child process left: {_describe_process(pid)}" for pid in children]
        lines += [f"thread left running: {one!r}" for one in strays]
        lines += [f"thread left running: {one}" for one in bare]
        return "\n".join(lines)


def make_looks_cheap() -> None:
    """Have what earlier tests left collected, once it is much, and what is still needed hidden from
    the collector: a look passes all objects that it knows.
    """
    if _seen > MANY_OBJECTS:
        gc.collect()
        if len(gc.get_objects()) > MANY_OBJECTS // 2:
            gc.freeze()


def live_greenlets() -> list[Any]:
    """List the greenlets that were started and have not ended, without hubs and main greenlets."""
    if "greenlet" not in sys.modules:
        return []
    from greenlet import getcurrent, greenlet

    current = getcurrent()
    return [
        one
        for one in _instances(greenlet)
        if one is not current and _is_live(one) and not _is_machinery(one)
    ]


def count_greenlets() -> int:
    """Count the greenlets that have not ended, of whatever kind and whether they were started."""
    from greenlet import greenlet

    return sum(not one.dead for one in _instances(greenlet))


def open_sockets() -> dict[str, int]:
    """Map the kernel's name of each open socket, such as "socket:[4711]", to its descriptor."""
    found = {}
    for entry in os.listdir("/proc/self/fd"):
        try:
            link = os.readlink(f"/proc/self/fd/{entry}")
        except FileNotFoundError:  # the descriptor of the listing itself
            continue
        if link.startswith("socket:"):
            found[link] = int(entry)
    return found


def child_processes() -> list[int]:
    """List the pids of this process's children, the ended but not awaited ones included."""
    pids: list[int] = []
    for task in Path("/proc/self/task").iterdir():
        try:
            pids += map(int, (task / "children").read_text().split())
        except FileNotFoundError:  # the thread ended meanwhile
            continue
    return pids


def threads() -> list[threading.Thread]:
    """List the threads that `threading` started; gevent's own pool is not among them."""
    return [one for one in threading.enumerate() if not isinstance(one, threading._DummyThread)]


def bare_threads() -> dict[int, str]:
    """Map the ident of each thread that the package started without `threading` to its function."""
    current, found = threading.get_ident(), {}
    for ident, frame in sys._current_frames().items():
        while frame.f_back is not None:
            frame = frame.f_back
        module = frame.f_globals.get("__name__", "")
        if ident != current and module.partition(".")[0] == "tina4_wsgi":
            found[ident] = f"{module}.{frame.f_code.co_name}"
    return found


def _instances(kind: type) -> Iterator[Any]:
    """Find all objects of a class and its subclasses that the collector knows.

    By `type`: lazy objects, as Django has them, evaluate themselves when their `__class__` is asked
    for. By `id`: a class of a metaclass need not be hashable. And without a line of Python for each
    object, since there are hundreds of thousands, and two looks a test.
    """
    classes = [kind]
    for one in classes:
        classes += type.__subclasses__(one)
    global _seen
    objects = gc.get_objects()
    _seen = len(objects)
    wanted = frozenset(map(id, classes))
    return compress(objects, map(wanted.__contains__, map(id, map(type, objects))))


def _is_live(one: Any) -> bool:
    started = getattr(one, "started", False)  # of gevent's Greenlet: it waits for its first turn
    return bool(one) or (bool(started) and not one.dead)


def _is_machinery(one: Any) -> bool:
    """Hubs, the main greenlet of each thread, and the workers of gevent's native thread pool
    stay.
    """
    if one.parent is None:
        return True
    from gevent.hub import Hub

    return isinstance(one, Hub) or type(one).__module__ == "gevent.threadpool"


def _let_others_run() -> None:
    if "gevent" in sys.modules:
        import gevent

        gevent.sleep(POLL_S)
    else:
        time.sleep(POLL_S)


def _describe_greenlet(one: Any) -> str:
    frame = one.gr_frame
    stack = (
        "".join(traceback.format_stack(frame, limit=6)) if frame is not None else "  (not begun)\n"
    )
    return f"{one!r}, at\n{stack}".rstrip()


def _describe_socket(descriptor: int) -> str:
    with socket.socket(fileno=os.dup(descriptor)) as one:
        local = one.getsockname()
        try:
            peer = one.getpeername()
        except OSError:  # listening, or the peer is gone
            peer = None
    return f"fd {descriptor}, {one.family.name}, local {local!r}, peer {peer!r}"


def _describe_process(pid: int) -> str:
    try:
        command = (
            Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        )
    except FileNotFoundError:
        command = ""
    return f"pid {pid}, {command.strip() or 'ended, but nobody waited for it'}"
