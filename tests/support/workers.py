"""A client on every worker of a server, whichever of them the kernel would have wake up.

All workers wait for the same listening socket, and with little traffic one of them may take every
connection for as long as it likes. So whoever has a client already is stopped while the next one
comes: it can only go to another.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator

from tests.support.raw import RawClient

BOOT_S = 60.0
"""How long a worker may take until it accepts: on a busy machine an app is imported slowly."""

_PAUSE_S = 0.05  # in which workers that were stopped tell gunicorn that they live


def told_pid(client: RawClient) -> int:
    """Read a first message that is the pid of the worker."""
    return int(client.read_text())


def one_on_each(
    count: int,
    connect: Callable[[], RawClient],
    opened: contextlib.ExitStack,
    pid_of: Callable[[RawClient], int] = told_pid,
) -> dict[int, RawClient]:
    """Connect one client to each of `count` workers, and give them by pid.

    Args:
        connect: opens a connection.
        opened: closes the clients.
        pid_of: finds out which worker has a client.
    """
    found: dict[int, RawClient] = {}
    give_up_at = time.monotonic() + BOOT_S
    while len(found) < count:
        with contextlib.ExitStack() as attempt, stopped(found):
            try:
                client = attempt.enter_context(connect())
                pid = pid_of(client)
            except TimeoutError:  # the others are still booting
                assert time.monotonic() < give_up_at, f"only {list(found)} take connections"
            else:
                found[pid] = client
                opened.push(attempt.pop_all())
        time.sleep(_PAUSE_S)
    return found


@contextlib.contextmanager
def stopped(pids: Iterable[int]) -> Iterator[None]:
    """Keep processes from running during the block."""
    with contextlib.ExitStack() as going_on:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
            going_on.callback(os.kill, pid, signal.SIGCONT)
        yield
