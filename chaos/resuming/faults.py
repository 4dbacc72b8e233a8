"""What is done to lines and services."""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from os import kill
from pathlib import Path

from .broker import Broker
from .services import Service

AMPLE = 10_000  # messages of history: more than anybody misses
SCANT = 10
SHORTEST_DOWN_S, LONGEST_DOWN_S = 0.5, 1.5


@dataclass
class Scene:
    """What a fault may lay its hands on."""

    service: Service
    chance: random.Random
    history_dir: Path
    broker: Broker | None = None


@dataclass(frozen=True)
class Fault:
    """One kind of trouble.

    Attributes:
        title: what happens, for the table.
        act: what is done every `every_s` seconds; None if only lines are cut.
        is_cutting: whether lines are cut, stalled and left half open, too.
        history: how many messages a room keeps.
        may_miss: whether clients may miss something, if they are told.
        journals: those that it means something to.
    """

    title: str
    act: Callable[[Scene], None] | None = None
    every_s: float = 0.0
    is_cutting: bool = False
    history: int = AMPLE
    may_miss: bool = False
    journals: tuple[str, ...] = ("file", "redis", "")


def kill_worker(scene: Scene) -> None:
    """Kill one worker."""
    with suppress(ProcessLookupError):
        kill(scene.chance.choice(scene.service.list_workers()), signal.SIGKILL)


def reload(scene: Scene) -> None:
    """Have the master replace its workers."""
    scene.service.signal_master(signal.SIGHUP)


def restart(scene: Scene) -> None:
    """Stop the service gracefully, and start it again a while later."""
    _bring_down(scene, signal.SIGTERM)


def crash(scene: Scene) -> None:
    """Kill the whole service at once, and start it again a while later."""
    _bring_down(scene, signal.SIGKILL)


def _bring_down(scene: Scene, how: signal.Signals) -> None:
    scene.service.stop(how)
    time.sleep(scene.chance.uniform(SHORTEST_DOWN_S, LONGEST_DOWN_S))
    scene.service.start()


def delete_journal(scene: Scene) -> None:
    """Remove the files of the journal, as somebody does who makes room on a disk."""
    for path in scene.history_dir.iterdir():
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def fail_over(scene: Scene) -> None:
    """Promote a replica of Redis that lags behind."""
    assert scene.broker is not None
    scene.broker.fail_over()


def flush(scene: Scene) -> None:
    """Delete all that Redis has, while it serves."""
    assert scene.broker is not None
    scene.broker.flush()


def empty(scene: Scene) -> None:
    """Kill Redis, and start it again with nothing in it."""
    assert scene.broker is not None
    scene.broker.empty()


FAULTS = {
    "cut": Fault("each line cut, stalled or left half open every 1 to 5 s", is_cutting=True),
    "kill": Fault("a worker killed with SIGKILL every 1.5 s", kill_worker, 1.5),
    "hup": Fault("all workers replaced by SIGHUP every 6 s", reload, 6.0),
    "restart": Fault("the service stopped and started again every 6 s", restart, 6.0),
    "crash": Fault("all of its processes killed, and started again, every 6 s", crash, 6.0),
    "beyond": Fault(
        f"lines cut, and only {SCANT} messages kept", is_cutting=True, history=SCANT, may_miss=True
    ),
    "deleted": Fault(
        "lines cut, and the journal deleted every 4 s",
        delete_journal,
        4.0,
        is_cutting=True,
        may_miss=True,
        journals=("file",),
    ),
    "failover": Fault(
        "lines cut, and a Redis replica that lags by 1 s promoted every 5 s",
        fail_over,
        5.0,
        is_cutting=True,
        may_miss=True,
        journals=("redis",),
    ),
    "flushed": Fault(
        "lines cut, and all that Redis has deleted by FLUSHALL every 4 s",
        flush,
        4.0,
        is_cutting=True,
        may_miss=True,
        journals=("redis",),
    ),
    "emptied": Fault(
        "lines cut, and Redis killed and started empty every 5 s",
        empty,
        5.0,
        is_cutting=True,
        may_miss=True,
        journals=("redis",),
    ),
}
