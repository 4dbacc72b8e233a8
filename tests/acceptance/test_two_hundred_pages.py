"""Two hundred pages live through a deploy: they come back spread out, and hear all that is said
from then on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import gevent
import pytest

from tests.acceptance.pages_that_return import Page
from tests.support.site import Site, asked, run_site

PAGE_COUNT = 200
WAIT_S = 40.0  # a page that finds nobody twice sits out some seconds
MOST_REQUESTS = 2 * PAGE_COUNT + 100  # so that those who come back don't trigger the next restart

Deploy = Callable[[Site, Path], contextlib.AbstractContextManager[None]]


def wait_until(is_done: Callable[[], bool], what: str) -> None:
    give_up_at = time.monotonic() + WAIT_S
    while not is_done():
        assert time.monotonic() < give_up_at, f"{what}: not within {WAIT_S:g} s"
        gevent.sleep(0.05)


def in_thread(function: Callable[[], object]) -> None:
    """Do something that blocks while the pages go on."""
    gevent.get_hub().threadpool.apply(function)


@contextlib.contextmanager
def hup(site: Site, folder: Path) -> Iterator[None]:
    """Reload: the new worker boots beside the old one."""
    site.server.process.send_signal(signal.SIGHUP)
    yield


@contextlib.contextmanager
def restart(site: Site, folder: Path) -> Iterator[None]:
    """Stop the server, and start another one in its place."""
    in_thread(site.server.stop)
    second = folder / "second"
    second.mkdir()
    with serving(site.kind, folder, second, "--bind", f"127.0.0.1:{site.address[1]}"):
        yield


@contextlib.contextmanager
def use_up(site: Site, folder: Path) -> Iterator[None]:
    """Ask so often that the worker reaches its `max_requests`."""
    in_thread(lambda: [site.request("GET", "/") for _ in range(MOST_REQUESTS - PAGE_COUNT)])
    yield


def serving(
    kind: str, folder: Path, log_folder: Path, *options: str
) -> contextlib.AbstractContextManager[Site]:
    """Run apps/shout.py; all servers of one folder share a journal."""
    env = {"JOURNAL": str(folder / "journal")}
    return run_site(kind, "shout:app", log_folder, *options, env=env)


@pytest.mark.deadline(120)
@pytest.mark.parametrize("gunicorn_kind", asked("gunicorn", "sync", "gthread"))
@pytest.mark.parametrize(
    "deploy", [hup, restart, use_up], ids=["SIGHUP", "SIGTERM and restart", "max_requests"]
)
def test_all_come_back_spread_out_and_lose_nothing(
    tmp_path: Path, deploy: Deploy, gunicorn_kind: str
) -> None:
    options = ["--max-requests", str(MOST_REQUESTS)] if deploy is use_up else []
    with (
        serving(gunicorn_kind, tmp_path, tmp_path, *options) as site,
        crowd(site) as pages,
    ):
        old_pid = first_pid(pages)
        with deploy(site, tmp_path):
            wait_until(lambda: all(has_returned(page, old_pid) for page in pages), "everybody back")
            for page in pages:
                page.say("is glad to be back")
            wait_until(lambda: all(has_heard_all(page) for page in pages), "everybody's greetings")
            wait_until(lambda: not Path(f"/proc/{old_pid}").exists(), "the end of the old worker")

        assert {visit.close[0] for page in pages for visit in page.visits[:-1] if visit.close} == {
            1001
        }
        assert (tmp_path / "journal").read_text().splitlines().count(
            f"{old_pid} 1001"
        ) == PAGE_COUNT
        assert_spread([page.returns[0] for page in pages])
        for page in pages:
            new = page.visits[-1]
            assert new.heard == list(range(new.heard[0], 2 * PAGE_COUNT + 1))
            assert (
                new.heard[0] <= new.joined_at + 1
            )  # it belongs to its group a moment before its "open" runs
        assert "Traceback" not in site.server.log
        assert "graceful timeout" not in site.server.log


@contextlib.contextmanager
def crowd(site: Site) -> Iterator[list[Page]]:
    """Open all pages, and wait until each has heard the greeting of each that came after it."""
    pages = [Page(site.address, "/ws/shout", str(number)) for number in range(PAGE_COUNT)]
    try:
        wait_until(lambda: all(page.here for page in pages), "everybody there")
        yield pages
    finally:
        for page in pages:
            page.leave()


def first_pid(pages: list[Page]) -> int:
    (pid,) = {page.visits[0].pid for page in pages}
    assert pid != os.getpid()
    return pid


def has_returned(page: Page, old_pid: int) -> bool:
    return page.here is not None and page.here.pid != old_pid


def has_heard_all(page: Page) -> bool:
    """Each page says two things to the new worker, and the last of all is number 400."""
    return bool(page.visits[-1].heard) and page.visits[-1].heard[-1] == 2 * PAGE_COUNT


def assert_spread(moments_s: list[float]) -> None:
    """Nobody waits for long, and no tenth of a second sees a large part of them."""
    tenths = Counter(int(moment_s * 10) for moment_s in moments_s)

    assert len(moments_s) == PAGE_COUNT
    assert max(tenths.values()) < PAGE_COUNT / 5
