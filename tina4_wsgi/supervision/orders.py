"""What a supervising process and its workers say to each other, over one pair of sockets for each
worker.

The worker inherits its socket of the pair and the one to serve on, and is told their numbers by an
option. It says one line when it serves: `ready SECONDS`, how long its graceful stop may take.
Orders to it are single bytes. When the supervisor is gone, however it ended, the worker reads the
end of the stream and stops by itself.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Mapping
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..server.server import Server

STOP = b"s"
"""Stop gracefully: 1001 to every client."""

RESTART = b"r"
"""Stop, for another is started in this place: 1012 to every client, and little time for what still
runs.
"""

REFRESH = b"p"
"""Have the open pages load again."""

RESTART_S = 1.0
"""What callbacks and requests get that run when the code has changed."""

CHANGED = 3
"""What a worker exits with that has seen for itself that code has changed; Django's reloader has it
so, too.
"""

READY = "ready {:g}\n"
INHERITED = "--inherited={},{}"

_MOST_BYTES = 64

log = logging.getLogger("tina4_wsgi.workers")


def inherited(text: str) -> tuple[int, int]:
    """Read the value of `INHERITED`; gives the descriptors of the socket to serve on and of that of
    the pair.
    """
    listener_fd, orders_fd = map(int, text.split(","))
    return listener_fd, orders_fd


class Orders:
    """A worker's end.

    Args:
        fd: of its socket.
        actions: what else is to be done on an order, before the server is stopped by it.
    """

    def __init__(self, fd: int, actions: Mapping[bytes, Callable[[], None]]) -> None:
        self._fd = fd
        self._actions = actions
        os.set_inheritable(fd, False)  # a program that the user's code starts mustn't keep it open

    def obey(self, server: Server) -> None:
        """Say that `server` serves, and do from now on what is ordered; signals stop it as the
        order does.

        SIGINT and SIGHUP are left to the supervisor: from a terminal they reach both, and SIGTERM
        may come to both too.
        """
        import gevent

        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        stopping = gevent.Greenlet(server.stop)

        def on_signal(number: int, frame: FrameType | None) -> None:
            if not (stopping.started or stopping.ready()):
                stopping.start()

        wake_on_signals()
        signal.signal(signal.SIGTERM, on_signal)
        os.write(self._fd, READY.format(server.config.drain_timeout_s).encode())
        gevent.spawn(self._read, server)

    def _read(self, server: Server) -> None:
        from gevent.socket import wait_read

        while True:
            wait_read(self._fd)
            try:
                given = os.read(self._fd, _MOST_BYTES)
            except OSError:
                given = b""  # it was killed with something of ours unread
            for order in (given[at : at + 1] for at in range(len(given))):
                if order in self._actions:
                    self._actions[order]()
                if order == RESTART:
                    server.stop(min(RESTART_S, server.config.drain_timeout_s))
                elif order == STOP:
                    server.stop()
            if not given:
                log.warning("the supervising process is gone, so this worker stops")
                server.stop()
                return


def wake_on_signals() -> None:
    """Have the hub look after each signal.

    Handlers are Python's own and not gevent's: these run even while a callback keeps the hub from
    its turn. But a signal that comes just before the hub begins to wait, Python has only noted, and
    nothing would make it look.
    """
    import gevent

    wakes, signal_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(signal_fd, warn_on_full_buffer=False)
    waker = gevent.get_hub().loop.io(wakes, 1, ref=False)
    waker.start(os.read, wakes, 4_096)
