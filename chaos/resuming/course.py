"""The course of one case: everybody comes, somebody talks, trouble, rest, last words, judgement."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import broker
from .clients import Pages
from .faults import FAULTS, Fault, Scene
from .ledger import Listener, Tally, judge
from .peers import PEERS, Peer, service_of
from .proxy import Proxy
from .scale import Scale
from .senders import SENDERS_PER_ROOM, Sender
from .services import Service

REST_S = 30.0  # for everybody to come, or to hear the last words, on a busy machine
POLL_S = 0.05
TICK_S = 0.02


@dataclass(frozen=True)
class Case:
    """One peer with one journal in one kind of trouble."""

    fault: str
    peer: str
    journal: str

    def __str__(self) -> str:
        return "-".join(filter(None, (self.fault, self.peer, self.journal)))


@dataclass
class Outcome:
    """What came of a case.

    Attributes:
        refused_count, unsure_count: of what the senders said, see there.
        trouble: how often which mishap happened.
        errors: what else went wrong; each is a fault.
    """

    tally: Tally
    refused_count: int
    unsure_count: int
    trouble: dict[str, int]
    errors: list[str]


def run(case: Case, scale: Scale, folder: Path) -> Outcome:
    """Run a case; `folder` has the logs and all notes afterwards.

    Raises:
        AssertionError: the service didn't start, or the clients didn't come.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    fault, peer = FAULTS[case.fault], PEERS[case.peer]
    pages = Pages(scale)
    chance = random.Random(f"{scale.seed} {case.fault}")
    with contextlib.ExitStack() as stack:
        # Names of UNIX sockets are short, so the bus has no place in `folder`.
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
        redis = stack.enter_context(broker.running(folder)) if case.journal == "redis" else None
        service = service_of(
            case.peer, case.journal, fault, scale, folder, place, redis.url if redis else ""
        )
        stack.callback(service.close)
        service.start()
        proxy = stack.enter_context(Proxy(service.address, scale.seed))
        scene = Scene(service, chance, place / "history", redis)
        stack.enter_context(pages.open(peer.pages, proxy.address, folder))
        senders = _senders(service, scale)
        for sender in senders:
            stack.callback(sender.stop)
        assert _wait(lambda: _all_have_come(pages.listeners, peer)), "not all clients came"
        trouble, errors = _play(scene, fault, scale, pages, proxy, senders)
    return _judge(pages, senders, trouble, errors, folder)


def _play(
    scene: Scene, fault: Fault, scale: Scale, pages: Pages, proxy: Proxy, senders: list[Sender]
) -> tuple[dict[str, int], list[str]]:
    """Have everything happen, and return which mishaps did, and what should not have."""
    errors: list[str] = []
    for sender in senders:
        sender.start()
    proxy.is_disturbing = fault.is_cutting
    act_count = _disturb(scene, fault, scale.seconds)
    proxy.is_disturbing = False
    for sender in senders:
        sender.stop()
    if not _wait(lambda: _all_are_open(pages.listeners)):
        errors.append("not all clients came back")
    for sender in senders:
        sender.say_last_words()
    _wait(lambda: _all_have_heard(pages.listeners, senders))
    return {**proxy.counts, **({"acts": act_count} if fault.act else {})}, errors


def _judge(
    pages: Pages, senders: list[Sender], trouble: dict[str, int], errors: list[str], folder: Path
) -> Outcome:
    said = defaultdict[str, list[str]](list)
    for sender in senders:
        said[sender.room] += sender.said
    (folder / "said.json").write_text(json.dumps(said))
    return Outcome(
        judge(pages.listeners, said),
        sum(sender.refused_count for sender in senders),
        sum(sender.unsure_count for sender in senders),
        trouble,
        errors,
    )


def _senders(service: Service, scale: Scale) -> list[Sender]:
    pause_s = scale.rooms * SENDERS_PER_ROOM / scale.rate
    return [
        Sender(service, f"r{room}", f"r{room}.s{number}", pause_s)
        for room in range(scale.rooms)
        for number in range(SENDERS_PER_ROOM)
    ]


def _disturb(scene: Scene, fault: Fault, seconds: float) -> int:
    """Do what the fault does for so many seconds, and return how often."""
    count = 0
    begin_s = time.monotonic()
    next_at_s = begin_s + fault.every_s / 2
    while time.monotonic() < begin_s + seconds:
        if fault.act is not None and time.monotonic() >= next_at_s:
            fault.act(scene)
            count += 1
            # A worker that is still loading the app doesn't hear gunicorn's signals.
            next_at_s = time.monotonic() + fault.every_s
        time.sleep(TICK_S)
    return count


def _wait(is_so: Callable[[], bool]) -> bool:
    give_up_at_s = time.monotonic() + REST_S
    while not is_so():
        if time.monotonic() > give_up_at_s:
            return False
        time.sleep(POLL_S)
    return True


def _all_have_come(listeners: list[Listener], peer: Peer) -> bool:
    return _all_are_open(listeners) and all(one.is_greeted or not peer.greets for one in listeners)


def _all_are_open(listeners: list[Listener]) -> bool:
    return all(one.is_open for one in listeners)


def _all_have_heard(listeners: list[Listener], senders: list[Sender]) -> bool:
    last = defaultdict[str, set[str]](set)
    for sender in senders:
        last[sender.room].add(sender.said[-1])
    return all(
        last[one.room] <= {note.text for note in one.notes[-100:] if note.what == "heard"}
        for one in listeners
    )
