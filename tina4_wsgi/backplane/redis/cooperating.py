"""Connections to Redis whose waiting holds up no other greenlet of the hub.

redis-py waits in its sockets. In a patched process these are gevent's. Elsewhere, as in the hub's
thread beside a server that knows no gevent, the calls run in native threads, and only the greenlet
that made one waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import gevent
from gevent.monkey import is_module_patched

from ...hub.callback_threads import CallbackThreads
from ...hub.mailbox import Mailbox
from .channels import new_connection

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...config import Config
    from .channels import RedisConnection, RedisNode

T = TypeVar("T")

_THREAD_NAME = "tina4-redis"


def open_connection(config: Config, timeout_s: float, place: RedisNode) -> RedisConnection:
    """Make a connection for greenlets of this thread's hub; it isn't connected yet.

    Args:
        timeout_s: of every read and write.
    Raises:
        BackplaneError: the URL is malformed.
    """
    connection = new_connection(config, timeout_s, place)
    return connection if is_module_patched("socket") else ThreadedConnection(connection)


class ThreadedConnection:
    """A connection of redis-py whose calls wait in native threads, one that reads and one that
    writes.

    Greenlets: any of the hub in whose thread it is made; at most one reads at a time.
    """

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection
        hub = gevent.get_hub()
        mailbox = Mailbox(hub)
        self._reader = CallbackThreads(hub, mailbox, 1, _THREAD_NAME)
        self._writer = CallbackThreads(hub, mailbox, 1, _THREAD_NAME)
        self._is_closed = False

    def connect(self) -> None:
        """Connect, unless it is connected. Where that fails, no thread is left."""
        try:
            self._run(self._reader, self._connection.connect)
        except BaseException:
            self._reader.close()
            raise

    def disconnect(self) -> None:
        """Disconnect for good; a call that waits fails soon. Never waits."""
        self._is_closed = True
        self._connection.disconnect()
        self._reader.close()
        self._writer.close()

    def send_command(self, *args: str | bytes | int, check_health: bool = True) -> None:
        """Send a command."""
        self.send_packed_command(self.pack_command(*args), check_health)

    def send_packed_command(self, command: list[bytes], check_health: bool = True) -> None:
        """Send what `pack_command` returned."""
        self._run(self._writer, self._connection.send_packed_command, command, check_health)

    def pack_command(self, *args: str | bytes | int) -> list[bytes]:
        """Encode a command; without any wait."""
        return self._connection.pack_command(*args)

    def read_response(self, *, disconnect_on_error: bool = True) -> object:
        """Wait for the next reply."""
        return self._run(self._reader, _read, self._connection, disconnect_on_error)

    def _run(self, threads: CallbackThreads, function: Callable[..., T], *args: object) -> T:
        if self._is_closed:
            raise ConnectionError("this connection to Redis was closed")
        result: T = threads.run(function, *args)
        return result


def _read(connection: RedisConnection, disconnect_on_error: bool) -> object:
    return connection.read_response(disconnect_on_error=disconnect_on_error)
