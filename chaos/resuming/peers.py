"""Whose clients are disturbed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .faults import Fault
from .scale import Scale
from .services import Gunicorn, Service, SocketIo


@dataclass(frozen=True)
class Peer:
    """One contestant.

    Attributes:
        title: its name in the table.
        pages: the program of its clients.
        journals: where it may keep messages; "" is none, or in memory.
        faults: those that mean something to it.
        tells: whether its clients can know that they missed something.
        greets: whether its clients note when they first know where they are.
    """

    title: str
    pages: str
    journals: tuple[str, ...]
    faults: frozenset[str]
    tells: bool = True
    greets: bool = False


PEERS = {
    "tina4": Peer(
        "tina4_wsgi, route with history",
        "pages.cjs",
        ("file", "redis"),
        frozenset(
            [
                *("cut", "kill", "hup", "restart", "crash", "beyond"),
                *("deleted", "failover", "flushed", "emptied"),
            ],
        ),
        greets=True,
    ),
    "plain": Peer(
        "tina4_wsgi, route without history",
        "pages.cjs",
        ("",),
        frozenset(["cut", "kill", "hup", "restart", "crash"]),
        tells=False,
    ),
    "socketio": Peer(
        "Socket.IO, one process, recovery in memory",
        "socketio_pages.cjs",
        ("",),
        frozenset(["cut", "restart", "crash"]),
    ),
    "socketio-redis": Peer(
        "Socket.IO, as many processes, recovery by Redis Streams",
        "socketio_pages.cjs",
        ("redis",),
        frozenset(["cut", "kill", "restart", "crash", "failover", "flushed", "emptied"]),
    ),
}


def service_of(
    key: str,
    journal: str,
    fault: Fault,
    scale: Scale,
    folder: Path,
    place: Path,
    redis_url: str,
) -> Service:
    """Make the service of a peer, not yet started.

    Args:
        folder: for its logs.
        place: for bus and journal.
    """
    if key == "socketio":
        return SocketIo(folder, 1)
    if key == "socketio-redis":
        return SocketIo(folder, scale.workers, redis_url)
    env = {"TINA4_WS_BUS_DIR": str(place / "bus")}
    if key == "tina4":
        env |= {
            "CHAOS_HISTORY": str(fault.history),
            "TINA4_WS_HISTORY_DIR": str(place / "history"),
        }
    if journal == "redis":
        env |= {"TINA4_WS_BACKPLANE": "redis", "TINA4_WS_BACKPLANE_URL": redis_url}
    return Gunicorn(folder, scale.workers, env)
