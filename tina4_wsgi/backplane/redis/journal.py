"""The journal in Redis for those who have no hub: views, threads, publishers, other processes.

Any number of greenlets and threads may use one object: each call takes a connection that is idle,
or makes one. In a greenlet, only that greenlet waits.

Free of gevent, unless the caller is a greenlet of a hub.
"""

from __future__ import annotations

import os
import secrets
import sys
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from ...errors import BackplaneError, JournalError
from ...journal.contract import Appended, Point
from ..envelope import SENDER_BYTES, EnvelopeError
from .channels import Channels, RedisNode, check_client, client, describe, new_connection
from .kept import Known, Scribe, declared_in, greet, latest_in, missed_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...config import Config
    from ...journal.contract import Declared, Draft, Kept, KeptLimits, Topic
    from .channels import RedisConnection
    from .kept import Command, Reply

SomeHub = object
Ask = Callable[["_Connection"], "Callable[[], Command]"]
"""Prepares a call on a connection; what it returns lays out the command, once that is there."""

_MOST_IDLE = 8
_MOST_TRIES = 3

T = TypeVar("T")


class RedisJournal:
    """One app's kept messages in Redis; see `contract.Records`.

    Args:
        app_number: which app of its process it is.
        timeout_s: how long Redis may take over one answer.
        apart: calls a function in a place that may wait; None for here.
        has_clock: whether the clock of Redis counts, and not the times that callers give: those of
            several machines may differ.

    Greenlets and threads: any.
    """

    def __init__(
        self,
        config: Config,
        app_number: int = 0,
        timeout_s: float = 2.0,
        apart: Callable[[Callable[[], Reply]], Reply] | None = None,
        *,
        has_clock: bool = True,
    ) -> None:
        check_client()
        self._config = config
        self._timeout_s = timeout_s
        self._apart = apart
        self._has_clock = has_clock
        channels = Channels(config.backplane_prefix, app_number, config.backplane_sharded)
        self._scribe = Scribe(channels, is_sharded=config.backplane_sharded)
        self._known = Known()
        self._idle: weakref.WeakKeyDictionary[SomeHub, list[_Connection]]
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._idle = weakref.WeakKeyDictionary()  # by hub
        self._idle_without: list[_Connection] = []

    def append(self, drafts: Sequence[Draft], now_s: float = 0.0) -> Appended:
        """Keep all drafts, and have everybody hear them; see `contract.Records`."""
        return self.say(drafts, now_s)[0]

    def say(self, drafts: Sequence[Draft], now_s: float = 0.0) -> tuple[Appended, int]:
        """Keep drafts, and return also how many processes heard the last.

        Raises:
            JournalError: one of them could not be kept.
        """
        now_ms = self._ms(now_s)

        def ask(connection: _Connection) -> Callable[[], Command]:
            ticket = connection.take_tickets(len(drafts))
            return lambda: self._scribe.keep(
                drafts, ticket, connection.run, self._known, connection.sender, now_ms
            )

        epoch, before, numbers, heard = self._call(ask)
        if not isinstance(numbers, list):
            numbers = [*range(before + 1, before + 1 + len(drafts))]
        failed = [one for one in numbers if isinstance(one, bytes)]
        if failed:
            raise JournalError(f"redis can't keep a message: {failed[0].decode(errors='replace')}")
        self._know(epoch, max([before, *numbers]))
        return Appended(Point(epoch.decode(), before, 0), numbers), heard

    def missed(
        self, topic: Topic, number: int, end: int, limits: KeptLimits, now_s: float = 0.0
    ) -> list[Kept] | None:
        """Return a page of what was missed; see `contract.Records`."""
        epoch = self._known.epoch or self.point().epoch
        reply = self._ask(self._scribe.missed(topic, epoch, number, end, limits, self._ms(now_s)))
        found = _read(missed_in, reply)
        return None if found is None else [one.kept for one in found]

    def latest(
        self, topic: Topic, most: int, end: int, limits: KeptLimits, now_s: float = 0.0
    ) -> list[Kept]:
        """Return the last messages of a topic; see `contract.Records`."""
        if most <= 0:
            return []
        reply = self._ask(self._scribe.latest(topic, most, end, limits, self._ms(now_s)))
        return [one.kept for one in _read(latest_in, reply)]

    def point(self) -> Point:
        """Return where the journal is."""
        return self._look("")

    def renew(self) -> Point:
        """Begin a new epoch."""
        return self._look(self.point().epoch)

    def _look(self, doomed: str) -> Point:
        def ask(connection: _Connection) -> Callable[[], Command]:
            return lambda: self._scribe.look(connection.run, self._known, doomed=doomed)

        epoch, number = self._call(ask)
        self._know(epoch, number)
        return Point(epoch.decode(), number, 0)

    def forget(self, topic: Topic) -> None:
        """Drop all messages of a topic."""
        for command in self._scribe.forget(topic):
            self._ask(command)

    def declare(self, declarations: Sequence[Declared]) -> None:
        """Say what is kept."""
        self._ask(self._scribe.declare(declarations))

    def declared(self) -> list[Declared]:
        """Return what was declared, sorted and each once."""
        return sorted({*_read(declared_in, self._ask(self._scribe.declared()))})

    def size_bytes(self) -> int:
        """Return 0: Redis bounds it, by its `maxmemory`."""
        return 0

    def close(self) -> None:
        """Close idle connections; the journal may be used again."""
        if self._pid != os.getpid():
            return
        idle = [self._idle_without, *self._idle.values()]
        self._idle_without = []
        self._idle = weakref.WeakKeyDictionary()
        for connections in idle:
            for connection in connections:
                connection.close()

    def _ms(self, now_s: float) -> int:
        return 0 if self._has_clock else int(now_s * 1000)

    def _know(self, epoch: bytes, number: int) -> None:
        self._known = Known(epoch.decode(), number)

    def _ask(self, command: Command) -> Reply:
        return self._call(lambda connection: lambda: command, command[0] == "EVALSHA")

    def _call(self, ask: Ask, is_script: bool = True) -> Reply:
        if self._apart is not None:
            return self._apart(lambda: self._call_here(ask, is_script))
        return self._call_here(ask, is_script)

    def _call_here(self, ask: Ask, is_script: bool) -> Reply:
        """Make a call on a connection that nobody else uses meanwhile.

        Raises:
            JournalError: Redis can't be asked, or refuses.
        """
        if self._pid != os.getpid():
            self._begin()  # the connections are the parent's
        hub = None if self._apart is not None else _hub_here()
        idle = self._idle_without if hub is None else self._idle.setdefault(hub, [])
        try:
            connection = idle.pop()
        except IndexError:
            connection = _Connection(self._config, self._timeout_s, has_hub=hub is not None)
        try:
            reply = connection.call(ask(connection), is_script)
        except BaseException as exc:
            connection.close()
            if isinstance(exc, (client.RedisError, OSError, BackplaneError)):
                text = describe(exc, self._config)
                raise JournalError(f"redis can't be asked: {text}") from None
            raise
        if len(idle) < _MOST_IDLE and self._apart is None:
            idle.append(connection)
        else:
            connection.close()
        return reply


class _Connection:
    """One connection, used by one caller at a time.

    Attributes:
        sender: who says what is said here.
        run: which Redis this is; set once it is connected.
    """

    def __init__(self, config: Config, timeout_s: float, *, has_hub: bool) -> None:
        self._config = config
        self._timeout_s = timeout_s
        self._has_hub = has_hub
        self._place = RedisNode()
        self._connection: RedisConnection | None = None
        self._ticket = 0
        self.sender = secrets.token_bytes(SENDER_BYTES)
        self.run = ""

    def take_tickets(self, count: int) -> int:
        """Return the next ticket of this sender, the first of so many."""
        first = self._ticket + 1
        self._ticket += count
        return first

    def call(self, command: Callable[[], Command], is_script: bool) -> Reply:
        """Make a call; again where the connection is broken, or Redis has lost its scripts.

        Args:
            command: lays it out, once the connection is there.
            is_script: whether it needs the scripts.
        """
        tries = 1
        while True:
            try:
                return self._call(command, is_script)
            except (client.RedisError, OSError) as exc:
                self.close()
                is_elsewhere = self._place.is_elsewhere(exc)
                if tries == _MOST_TRIES or not (is_elsewhere or _is_worth_another_try(exc)):
                    raise
            tries += 1

    def _call(self, lay_out: Callable[[], Command], is_script: bool) -> Reply:
        connection = self._connection
        if connection is None:
            connection = self._open()
            connection.connect()
            self._connection = connection
        if is_script and not self.run:
            self.run = greet(connection)
        command = lay_out()
        connection.send_command(*command, check_health=False)
        return connection.read_response(disconnect_on_error=False)

    def _open(self) -> RedisConnection:
        if not self._has_hub:
            return new_connection(self._config, self._timeout_s, self._place)
        from .cooperating import open_connection

        return open_connection(self._config, self._timeout_s, self._place)

    def close(self) -> None:
        """Close it; the next call connects."""
        connection, self._connection = self._connection, None
        self.run = ""
        if connection is not None:
            connection.disconnect()


def _is_worth_another_try(error: BaseException) -> bool:
    if isinstance(error, client.TimeoutError):
        return False
    name = type(error).__name__
    return isinstance(error, (client.ConnectionError, OSError)) or name == "NoScriptError"


def _hub_here() -> SomeHub:
    """Return the hub whose greenlet this is; None for a native thread without one."""
    if "gevent.hub" not in sys.modules:
        return None
    from gevent._hub_local import get_hub_if_exists
    from gevent.hub import Hub
    from gevent.monkey import is_module_patched
    from greenlet import getcurrent

    hub = get_hub_if_exists()
    if hub is not None and isinstance(getcurrent().parent, Hub):
        return hub
    if is_module_patched("socket"):
        import gevent

        return gevent.get_hub()
    return None


def _read(read: Callable[[Reply], T], reply: Reply) -> T:
    try:
        return read(reply)
    except (EnvelopeError, ValueError, TypeError) as exc:
        raise JournalError(f"what redis has kept can't be read: {exc}") from None
