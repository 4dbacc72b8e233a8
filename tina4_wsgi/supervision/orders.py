"""What a supervising process and its workers say to each other.

Each worker has a pair of sockets with its supervisor. It inherits its end of the pair and the
socket to serve on, and an option tells it their descriptors. Once the worker serves, it writes one
line, `ready SECONDS`: the longest time that its graceful stop takes. Orders to it are single bytes.
When the supervisor is gone, however it ended, the worker reads the end of the stream and stops.
"""

from __future__ import annotations

import logging
import os
import signal
from typing import TYPE_CHECKING

from ..server.running import wake_on_signals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

    from ..server.server import Server

STOP = b"s"
"""Stop gracefully: 1001 to every client."""

RESTART = b"r"
"""Make room for a new worker: 1012 to every client, and `RESTART_S` for what still runs."""

REFRESH = b"p"
"""Make the open pages load again."""

RESTART_S = 1.0
"""Time that running callbacks and requests get once the code has changed."""

CHANGED = 3
"""Exit code of a worker that noticed a code change itself (Django's autoreloader uses 3 too)."""

READY = "ready {:g}\n"
INHERITED = "--inherited={},{}"

_MOST_BYTES = 64

log = logging.getLogger("tina4_wsgi.workers")


def inherited(text: str) -> tuple[int, int]:
    """Read the value of `INHERITED`: descriptors of the listening socket and of the pair's end."""
    listener_fd, orders_fd = map(int, text.split(","))
    return listener_fd, orders_fd


class Orders:
    """A worker's end of the pair.

    Args:
        fd: the descriptor of its socket.
        actions: what to do on an order, before the order stops the server.
    """

    def __init__(self, fd: int, actions: Mapping[bytes, Callable[[], None]]) -> None:
        self._fd = fd
        self._actions = actions
        # A program that the user's code starts mustn't keep it open.
        os.set_inheritable(fd, False)

    def obey(self, server: Server) -> None:
        """Report that `server` serves, and follow orders from now on; SIGTERM stops it as well.

        SIGINT and SIGHUP are left to the supervisor, since a terminal sends them to both processes.
        SIGTERM may reach both, too.
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
                given = b""  # the supervisor was killed before it read all that we wrote

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
