"""What a process needs to run our server: a banner, signals that stop it, enough descriptors.

The command line and the commands of frameworks share it. A process imports this before it patches
the standard library, so gevent and everything that imports it are imported inside functions.
"""

from __future__ import annotations

import logging
import os
import signal
from typing import TYPE_CHECKING

from ..version import __version__
from .listening import ListenAddress

if TYPE_CHECKING:
    from types import FrameType

    from .listening import SocketAddress
    from .server import Server

NAME = "Tina4 WSGI"

MOST_DESCRIPTORS = 65_536
"""Six times the default cap on connections; with more, some C libraries take long loops."""

_READ_BYTES = 4_096


def banner(server: Server) -> str:
    """Return where a started server listens and, in `debug`, the link that opens its live page."""
    from ..app import apps_of_this_process

    unix_path = None if server.unix_path is None else str(server.unix_path)
    place = ListenAddress(unix_path=unix_path, is_secure=server.ssl_enabled)
    links = sorted(
        {app.start_link.path for app in apps_of_this_process() if app.start_link is not None}
    )
    root = server.script_name.encode("latin-1").decode()

    return banner_at(place, server.address, root, links[0] if links else "")


def banner_at(place: ListenAddress, bound_to: SocketAddress, root: str, link: str) -> str:
    """Lay out the banner of a server, also for a process that only listens on its behalf.

    Args:
        place: what the user asked for.
        bound_to: what `getsockname` returned.
        root: the path below which the application is served.
        link: what opens the live page; "" where it doesn't ask for a token.
    """
    lines = [f"{NAME} v{__version__}", place.addresses(bound_to, root)]
    if link:
        lines.append(f"Live page, and tracebacks in the browser: {place.url(bound_to, root)}{link}")
    return "\n".join(lines)


def stop_on_signal(server: Server) -> None:
    """Stop gracefully on the first SIGINT or SIGTERM, and at once on the second."""
    import gevent

    stopping = gevent.Greenlet(_stop, server)

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stopping.started or stopping.ready():
            os._exit(128 + number)
        stopping.start()

    wake_on_signals()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)


def _stop(server: Server) -> None:
    limit_s = server.config.drain_timeout_s
    logging.getLogger("tina4_wsgi.server").info(
        "stopping within %g s; signal again to stop at once", limit_s
    )
    server.stop()


def wake_on_signals() -> None:
    """Wake the hub at each signal, so that Python runs the signal's handler.

    Handlers are Python's own and not gevent's, since these run even while a callback keeps the hub
    from its turn. But Python only notes a signal that comes just before the hub begins to wait, and
    nothing else would wake the hub then.
    """
    import gevent

    wakes, signal_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(signal_fd, warn_on_full_buffer=False)
    waker = gevent.get_hub().loop.io(wakes, 1, ref=False)
    waker.start(os.read, wakes, _READ_BYTES)


def allow_many_descriptors() -> None:
    """Raise the soft limit on descriptors, often 1 024: each connection takes one."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
