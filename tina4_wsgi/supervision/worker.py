"""A process that serves, as the process above it sees it.

It is the same command once more, in a fresh interpreter that inherits the listening socket, so a
restart brings in all code that has changed, the package's own too. `orders` describes what the two
processes say to each other.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from .orders import INHERITED, RESTART, RESTART_S, STOP

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

GRACE_S = 5.0
"""How long past the limit of its graceful stop a worker may live; then it hangs and is killed."""

_MOST_BYTES = 256


def command_again(argv: Sequence[str] | None, *options: str) -> list[str]:
    """Return the command line that starts this program again.

    Args:
        argv: what `main` was called with; None for the process's own arguments.
        options: inserted after the first word, the command's name.
    """
    before = ["-m", "tina4_wsgi"]
    if argv is None:
        argv = sys.argv[1:]
        # The interpreter's own options, too.
        before = sys.orig_argv[1 : len(sys.orig_argv) - len(argv)]
    return [sys.executable, *before, argv[0], *options, *argv[1:]]


class Worker:
    """One process that serves.

    Args:
        command: returns the process's command line with a further option in it.
        listener: the socket that it serves on.

    Attributes:
        is_ready: whether it has reported that it serves.
        is_ending: whether the worker was asked to end.
    """

    def __init__(self, command: Callable[[str], Sequence[str]], listener: socket.socket) -> None:
        self._orders, theirs = socket.socketpair()
        self._orders.setblocking(False)
        self.is_ready = False
        self.is_ending = False
        self._said = b""
        self._stop_s = 0.0
        self._kill_at_s = float("inf")

        with theirs:
            inherited = (listener.fileno(), theirs.fileno())
            self._process = subprocess.Popen(
                command(INHERITED.format(*inherited)), pass_fds=inherited
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when the worker reports something."""
        return self._orders.fileno()

    def look(self) -> int | None:
        """Read what the worker has reported, and kill it if its time to end is over.

        Returns:
            Its exit code, negative for a signal, once it has ended; None before.
        """
        self._listen()
        if time.monotonic() >= self._kill_at_s:
            self.kill()
        code = self._process.poll()
        if code is not None:
            self._orders.close()
        return code

    def stop(self) -> None:
        """Tell it to close its WebSockets with 1001 and end, without waiting for that."""
        self._end(STOP, self._stop_s)

    def restart(self) -> None:
        """Tell it to close its WebSockets with 1012 and end soon, without waiting for that."""
        self._end(RESTART, RESTART_S)

    def order(self, order: bytes) -> None:
        """Send an order; a worker that has ended or doesn't read misses it."""
        try:
            self._orders.send(order)
        except OSError:
            pass

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def wait(self) -> int:
        """Wait until it has ended, after `kill`."""
        code = self._process.wait()
        self._orders.close()
        return code

    def _end(self, order: bytes, within_s: float) -> None:
        if self.is_ending:
            return
        self.is_ending = True
        self._kill_at_s = time.monotonic() + within_s + GRACE_S
        if self.is_ready:
            self.order(order)
        else:
            # It still imports the application, so it has no clients.
            self._process.terminate()

    def _listen(self) -> None:
        try:
            said = self._orders.recv(_MOST_BYTES)
        except OSError:
            return  # nothing to read now, or it has ended
        self._said += said
        if self._said.endswith(b"\n"):
            self.is_ready = True
            self._stop_s = float(self._said.split()[1])
            self._said = b""


def how_it_ended(code: int) -> str:
    """Put an exit code of `Worker.look` in words: "by SIGKILL", or "with exit code 1"."""
    return f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"


class Signals:
    """Collects the signals of this process; `wait` returns as soon as one comes."""

    def __init__(self, *numbers: int) -> None:
        self._fd, writing_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writing_fd, warn_on_full_buffer=False)
        for number in (*numbers, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)  # its number is in the pipe by then

    def wait(self, timeout_s: float, workers: Sequence[Worker] = ()) -> list[int]:
        """Return the numbers of the signals that came; wait for one, a worker's report or its end.

        Args:
            timeout_s: the longest wait.
            workers: those whose "ready" ends the wait.
        """
        waiting = [worker.fileno() for worker in workers if not worker.is_ready]
        select.select([self._fd, *waiting], [], [], timeout_s)
        try:
            return [number for number in os.read(self._fd, _MOST_BYTES) if number != signal.SIGCHLD]
        except BlockingIOError:
            return []
