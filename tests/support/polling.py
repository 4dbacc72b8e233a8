"""Waiting for what another process or thread does, with a deadline; without gevent."""

from __future__ import annotations

import time
from collections.abc import Callable

WAIT_S = 10.0
POLL_S = 0.005


def poll_until(
    is_so: Callable[[], object], what: Callable[[], object] = str, wait_s: float = WAIT_S
) -> None:
    """Look until it is so.

    Args:
        what: says in the end what there was instead.
    """
    give_up_at_s = time.monotonic() + wait_s
    while not is_so():
        assert time.monotonic() < give_up_at_s, what()
        time.sleep(POLL_S)
