"""Measures the live page in front of a large crowd: `python -m tests.monitoring.ten_thousand`.

A crowd spread over thousands of paths chats with one and with two gunicorn workers, while Chromium
shows the page. Told is what the page costs the server, how long it holds up the browser, and how
long people wait for what they ask.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver

from benchmarks import machine
from tests.examples.browser import Page, chromium, eventually
from tests.monitoring import noting
from tests.monitoring.conftest import APPS, COOKIE, PAGE
from tests.monitoring.crowds import Chat
from tests.support import servers

MEASURE_S = 10.0
SETTLE_S = 2.0
TRIES = 5
HELD_S = "0.05"  # the server logs what holds its loop for longer


class Bench:
    """One server with its crowd, and the page."""

    def __init__(self, driver: WebDriver, server: servers.Server) -> None:
        self._server = server
        self._pids = machine.family(server.pid)
        self.page = Page(driver, "about:blank")
        self.page.set_cookie(server.url, "admin", COOKIE)
        driver.set_script_timeout(60)

    def tell_cost(self, when: str) -> None:
        """Tell the server's CPU time, of all workers."""
        held, cpu_s, began_s = self._held(), machine.cpu_seconds(self._pids), time.monotonic()
        time.sleep(MEASURE_S)
        cost_ms = 1_000 * (machine.cpu_seconds(self._pids) - cpu_s) / (time.monotonic() - began_s)
        tell(
            f"server, {when}: CPU per second; times that its loop was held for over 50 ms",
            f"{cost_ms:.0f} ms; {self._held() - held}",
        )

    def _held(self) -> int:
        return self._server.log.count("the loop has been held")

    def open(self) -> None:
        """Open the page and wait for its first summary."""
        noting.begin(self.page, f"{self._server.url}{PAGE}")
        self.wait_for_paths()
        time.sleep(SETTLE_S)
        noting.noted(self.page)

    def wait_for_paths(self) -> None:
        """Wait until the largest paths are shown."""
        eventually(
            lambda: len(self.page.texts("#paths button.link")) == 100, "100 paths are shown", 60
        )

    def tell_page(self, when: str) -> None:
        """Tell what the page has noted."""
        seen = noting.noted(self.page)
        tell(
            f"page, {when}: longest task; longest gap of a 10 ms timer",
            f"{max(seen['tasks'], default=0):.0f} ms; {max(seen['gaps']):.0f} ms",
        )
        for kind in ("now", "found"):
            heard = [one for one in seen["heard"] if one["type"] == kind]
            if heard:
                largest_kib = max(one["bytes"] for one in heard) / 1024
                script_ms = statistics.median(one["ms"] for one in heard)
                tell(
                    f"page, {when}: `{kind}` messages; largest; script for each",
                    f"{len(heard)}; {largest_kib:.1f} KiB; {script_ms:.1f} ms",
                )
        tell(f"page, {when}: elements", seen["elements"])

    def ask(self, what: str, *questions: tuple[str, object]) -> None:
        """Do something several times, and tell how long it took."""
        took = [noting.ask(self.page, *question) for question in questions]
        answered_ms, drawn_ms = zip(*took, strict=True)
        tell(
            f"{what}: answered, drawn; longest",
            f"{statistics.median(answered_ms):.0f}, {statistics.median(drawn_ms):.0f} ms; "
            f"{max(answered_ms):.0f}, {max(drawn_ms):.0f} ms",
        )


def tell(what: str, number: object) -> None:
    """Print one line of the table."""
    print(f"| {what} | {number} |", flush=True)


def measure(bench: Bench) -> None:
    """Measure one server."""
    time.sleep(SETTLE_S)
    bench.tell_cost("page closed")
    bench.open()
    bench.tell_cost("page open")
    bench.tell_page("watching")
    noting.ask(bench.page, "search", "room/1")
    bench.tell_cost("a search stays open")
    bench.tell_page("a search stays open")
    bench.ask(
        "search, 200 ms of waiting for further keys in it",
        *[("search", f"room/{one}") for one in range(TRIES)],
    )
    bench.ask(
        "search for nobody, the same", *[("search", f"nobody{number}") for number in range(TRIES)]
    )
    bench.page.front().find_element(By.ID, "found-close").click()
    bench.wait_for_paths()
    bench.ask("open a path", *[("open", number) for number in range(1, TRIES + 1)])
    bench.ask("close one connection", *[("kick", "#found button.danger")] * 2)
    bench.ask("close the largest path", ("kick", "#paths button.danger"))
    bench.tell_page("meanwhile")
    assert bench.page.console_errors() == []


def main() -> None:
    """Measure with each number of workers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--paths", type=int, default=3_000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    given = parser.parse_args()
    machine.raise_descriptor_limit()
    for workers in given.workers:
        with tempfile.TemporaryDirectory() as own:
            env = {
                "ADMIN_COOKIE": COOKIE,
                "TINA4_WS_METRICS_DIR": f"{own}/numbers",
                "TINA4_WS_BLOCKED_LOOP_S": HELD_S,
                "TINA4_WS_MAX_CONNECTIONS": str(given.connections),
            }
            options = ("-w", str(workers))
            with (
                servers.gunicorn(
                    "watched:app", APPS, Path(own, "log"), *options, env=env
                ) as server,
                chromium() as driver,
                Chat(server.address, given.connections, given.paths),
            ):
                print(
                    f"\n| {given.connections:,} connections, {given.paths:,} paths, {workers} "
                    "workers | |\n|---|---|"
                )
                measure(Bench(driver, server))


if __name__ == "__main__":
    main()
