"""One soak: a server with four workers, its clients, what disturbs them, and what is left
behind.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support import servers
from tests.support.crowd import Crowd

from .clients import Client
from .disturber import LONGEST_STOP_S, Disturber, workers_of
from .ledger import Ledger, Note, Tally

CLIENTS, WORKERS = 40, 4
SERVERS = ("gunicorn", "own")
SITE = Path(__file__).with_name("site")
AFTERWARDS_S = 5.0  # first for talking undisturbed, then for listening to what is still on its way
REST_S = 30.0  # for everybody to come, or go, on a busy machine
ENVIRON = {
    "PYTHONPATH": os.pathsep.join([str(servers.ROOT), str(SITE)]),
    "TINA4_WS_DRAIN_SPREAD_S": "1",  # several reloads in a run
    # A new worker that waits for less lets clients in without the link to a stopped sibling:
    # documented.
    "TINA4_WS_BACKPLANE_WAIT_S": str(LONGEST_STOP_S + 3),
}


class Held(NamedTuple):
    """What one worker holds."""

    fds: int
    greenlets: int
    rss_mib: int


# Each worker held at most 18, 2 and 41 when measured; the pool of greenlets may keep 16.
MOST = Held(fds=24, greenlets=16, rss_mib=80)


def soak(kind: str, folder: Path, seconds: float, seed: int) -> tuple[Tally, Disturber, list[Held]]:
    """Run one in `folder`, which has its log and its journals afterwards.

    Raises:
        AssertionError: the server didn't start, come to rest or stop.
    """
    journal, chance, ledger = folder / "journal", random.Random(seed), Ledger()
    journal.mkdir(parents=True)
    env = {**ENVIRON, "CHAOS_JOURNAL": str(journal)}
    options = ("--workers", str(WORKERS))
    serve = servers.gunicorn if kind == "gunicorn" else servers.own
    with serve("chaos_app:app", SITE, folder / "log", *options, env=env) as server:
        disturber = Disturber(server.pid, chance)
        with Crowd(server.address) as crowd:
            clients = [Client(number, crowd, ledger, chance) for number in range(CLIENTS)]
            _live(crowd, clients, disturber, seconds)
        held = _held_by_all(server)
    tally = ledger.judge(_read(journal), disturber.killed)
    for pid, found in held.items():
        if _is_too_much(found):
            tally.faults["left behind"].append(f"{found} in worker {pid}, at most {MOST}")
    tally.faults["traceback"] += server.log.count("Traceback (most") * [str(server.log_path)]
    return tally, disturber, list(held.values())


def _live(crowd: Crowd, clients: list[Client], disturber: Disturber, seconds: float) -> None:
    """Have everybody come, talk while workers are disturbed and a while longer, listen, and
    leave.
    """

    def until(
        is_done: Callable[[float], bool], what: str, within_s: float, talk: bool = False
    ) -> None:
        def turn() -> bool:
            now_s = time.monotonic()
            for client in clients:
                client.turn(now_s, talk)
            return is_done(now_s)

        crowd.listen_until(turn, what, within_s)

    def everybody_is_open(now_s: float) -> bool:
        return all(client.is_open for client in clients)

    def have_passed(now_s: float) -> bool:
        if now_s < end_s:
            disturber.turn(now_s)
        else:
            disturber.let_go_on()
        return now_s >= end_s + AFTERWARDS_S

    until(everybody_is_open, "everybody's greeting", REST_S)
    end_s = time.monotonic() + seconds
    until(have_passed, "the end", seconds + REST_S, talk=True)
    until(everybody_is_open, "everybody's greeting", REST_S)
    end_s = time.monotonic()
    until(have_passed, "the last words", REST_S)
    for client in clients:
        client.is_leaving = True
    until(lambda now_s: all(client.is_gone for client in clients), "all ends", REST_S)


def _held_by_all(server: servers.Server) -> dict[int, Held]:
    """Ask until all workers have answered and none holds too much, or until it is too late for
    that.
    """
    held: dict[int, Held] = {}
    give_up_at_s = time.monotonic() + REST_S
    while time.monotonic() < give_up_at_s:
        with contextlib.suppress(OSError, http.client.HTTPException):  # of a worker that just ends
            held.update([_ask(server)])
        workers = workers_of(server.pid)
        held = {pid: found for pid, found in held.items() if pid in workers}
        is_rest = len(held) == len(workers) == WORKERS
        if is_rest and not any(map(_is_too_much, held.values())):
            return held
    assert is_rest, f"{sorted(held)} answered, of {workers}"
    return held


def _ask(server: servers.Server) -> tuple[int, Held]:
    with contextlib.closing(http.client.HTTPConnection(*server.address, timeout=REST_S)) as asker:
        asker.request("GET", "/state")
        told = json.loads(asker.getresponse().read())
    kernel = Path(f"/proc/{told['pid']}")
    rss_bytes = int((kernel / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    fds = sum(1 for _ in (kernel / "fd").iterdir())
    return told["pid"], Held(fds, told["greenlets"], rss_bytes >> 20)


def _is_too_much(held: Held) -> bool:
    return any(value > most for value, most in zip(held, MOST, strict=True))


def _read(folder: Path) -> Iterator[Note]:
    for path in folder.iterdir():
        for line in path.read_text().splitlines():
            tag, what = line.split()
            yield Note(int(path.name), tag, what)
