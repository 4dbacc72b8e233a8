"""All connections of our own server without TLS: who waits, who is answered, and their deadlines.

Connections that wait are watched by one poller. What comes from many of them at once is handled in
one greenlet, one after the other, until a request has to wait for something; see
`hub.dispatcher`. So neither a connection nor a request that doesn't wait takes a greenlet of its
own.
"""

from __future__ import annotations

import itertools
import os
import sys
import weakref
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import Event
from greenlet import GreenletExit

from ..hub.dispatcher import Dispatcher
from ..hub.loop_poller import poller_for
from ..hub.sweeper import Sweeper
from .newcomers import Newcomers
from .plain_connection import PlainConnection

if TYPE_CHECKING:
    from ..hub.dispatcher import Job
    from .listening import SocketAddress
    from .server import Server


class Front:
    """The connections of one server, from its start to its stop.

    Greenlets: the server's hub, and any greenlet of its thread.

    Args:
        server: whose `handlers` the connections are.
        family: of the listening socket.

    Attributes:
        server, family: as given.
        poller: watches the connections that wait.
        submit: runs a job in the hub's next turn; for any greenlet.
        limits: of request heads.
        head_s: time for a whole head.
        idle_s: time between two requests.
    """

    def __init__(self, server: Server, family: int) -> None:
        config = server.config
        self.server = server
        self.family = family
        self.limits = server.limits
        self.head_s: float = config.handshake_timeout_s
        self.idle_s: float = config.keepalive_timeout_s

        hub: Any = gevent.get_hub()  # Any: gevent ships no types
        self._loop = hub.loop
        self._dispatcher = Dispatcher(hub, sys.maxsize)
        self.poller = poller_for(hub.loop, self._dispatcher)
        self.submit = self._dispatcher.submit
        self._newcomers = Newcomers(hub.loop, self._dispatcher)
        self._connections: dict[PlainConnection, None] = {}
        self._sweeper = Sweeper(hub.loop, self._connections, self._dispatcher.trim)
        self._has_left = Event()
        _fronts.add(self)

    def welcome(self, descriptor: int, address: SocketAddress) -> None:
        """Serve an accepted connection; in the hub.

        Args:
            descriptor: of its socket, non-blocking; owned by the front from now on.
        """
        connection = PlainConnection(self, descriptor, address)
        self._connections[connection] = None
        self.server.handlers.add(connection)
        self._sweeper.wake()
        self._newcomers.add(connection)

    def run(self, job: Job) -> None:
        """Run a job in a worker; for the hub, and for a worker that runs a batch."""
        if self._dispatcher.takes_job_here():
            job.work()
        else:
            self._dispatcher.run(job)

    def forget(self, connection: PlainConnection) -> None:
        """Forget a connection that is closed or given away; harmless when repeated."""
        if self._connections.pop(connection, connection) is None:
            self.server.handlers.discard(connection)
            self.server.connection_left()
            if not self._connections:
                self._has_left.set()

    @property
    def connection_count(self) -> int:
        """How many connections are served or wait."""
        return len(self._connections)

    def close_idle(self, most: int) -> None:
        """Close up to `most` connections that wait between two requests, the oldest first."""
        idle = (one for one in self._connections if one.is_idle)
        for connection in list(itertools.islice(idle, most)):
            connection.leave()

    # -- the end

    def join(self, timeout_s: float) -> None:
        """Wait until all connections are closed or given away, at most `timeout_s`."""
        if self._connections:
            self._has_left.clear()
            self._has_left.wait(timeout_s)

    def kill(self, timeout_s: float) -> None:
        """End the requests that are still being answered, and wait until they have.

        Args:
            timeout_s: the longest time to wait.
        """
        for connection in list(self._connections):
            worker = connection.worker
            if worker is None:
                connection.leave()
            else:
                self._loop.run_callback(worker.throw, GreenletExit)
            del worker
        self.join(timeout_s)

    def close(self) -> None:
        """Release what the front holds of the hub."""
        _fronts.discard(self)
        self._sweeper.close()
        self._loop.run_callback(self._dispatcher.end_parked)
        self.poller.close()

    def forsake(self) -> None:
        """Leave the connections to the parent, in a forked child."""
        self.poller.close()
        self._connections.clear()
        self.server.handlers.clear()


_fronts: weakref.WeakSet[Front] = weakref.WeakSet()


def _forsake_all() -> None:
    for front in list(_fronts):
        front.forsake()


os.register_at_fork(after_in_child=_forsake_all)
