"""A Redis that fails over to a replica which lags behind, or comes back empty."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.redis import READY_S, RedisServer

from .proxy import Proxy

LAG_S = 1.0  # of the replica that is promoted
POLL_S = 0.02


class Broker:
    """One Redis at one address, whichever server answers there.

    Attributes:
        url: where clients find it; a proxy that leads to the present master.
    """

    def __init__(self, folder: Path, proxy: Proxy, master: RedisServer) -> None:
        self._folder, self._proxy, self._master = folder, proxy, master
        self._server_count = 1
        self.url = f"redis://{proxy.address[0]}:{proxy.address[1]}"

    def fail_over(self) -> None:
        """Promote a replica that lacks what was written in the last `LAG_S` seconds."""
        replica = _server(self._folder, self._server_count)
        self._server_count += 1
        with replica.talking() as talking:
            talking.replicaof("127.0.0.1", self._master.port)
            give_up_at_s = time.monotonic() + READY_S
            while talking.info("replication")["master_link_status"] != "up":
                assert time.monotonic() < give_up_at_s, "the replica doesn't follow its master"
                time.sleep(POLL_S)
            talking.replicaof("NO", "ONE")
        time.sleep(LAG_S)
        old, self._master = self._master, replica
        self._proxy.target = ("127.0.0.1", replica.port)
        old.stop()
        self._proxy.cut_all()

    def flush(self) -> None:
        """Delete all keys."""
        with self._master.talking() as talking:
            talking.flushall()

    def empty(self) -> None:
        """Kill the server and start it again; it has saved nothing."""
        self._master.stop()
        self._master.start()

    def stop(self) -> None:
        """End the present master."""
        self._master.stop()


def _server(folder: Path, number: int) -> RedisServer:
    """Start a server in a folder of its own."""
    place = folder / f"redis-{number}"
    place.mkdir(parents=True)
    server = RedisServer(place)
    server.start()
    return server


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Broker]:
    """Run one until the block ends."""
    master = _server(folder, 0)
    with Proxy(("127.0.0.1", master.port)) as proxy:
        broker = Broker(folder, proxy, master)
        try:
            yield broker
        finally:
            broker.stop()
