"""Native threads that get no signals."""

from __future__ import annotations

import signal
from collections.abc import Callable

from tina4_wsgi.hub.native import allocate_lock, start_deaf_thread, start_new_thread


def mask_in(start: Callable[..., object]) -> set[int]:
    """Return what a thread blocks that is started so."""
    found: list[set[int]] = []
    done = allocate_lock()
    done.acquire()

    def look() -> None:
        found.append(own_mask())
        done.release()

    start(look, ())
    done.acquire()
    return found[0]


def own_mask() -> set[int]:
    return {*map(int, signal.pthread_sigmask(signal.SIG_BLOCK, []))}


def test_a_deaf_thread_blocks_all_signals_and_who_started_it_none_more():
    before = own_mask()

    mask = mask_in(start_deaf_thread)

    assert {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1} <= mask
    assert own_mask() == before


def test_what_a_deaf_thread_starts_is_deaf_too():
    def start(look: Callable[[], None], args: tuple[object, ...]) -> None:
        start_deaf_thread(start_new_thread, (look, args))

    assert signal.SIGTERM in mask_in(start)


def test_any_other_thread_hears_what_its_starter_hears():
    assert mask_in(start_new_thread) == own_mask()
