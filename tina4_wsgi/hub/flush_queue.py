"""One flush per turn of the hub: what queued bytes is flushed once, after all ready events.

So sixteen replies of one client, or thirty broadcasts of a room, leave in one `send` call each.
Groups go first: they hand their frames to members that have frames of their own, and those are
flushed after them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Flushable(Protocol):
    """Something that queues bytes and can send them without waiting."""

    def flush(self) -> None: ...

    def failed(self, error: BaseException) -> None:
        """Learn that `flush` raised, which is a mistake of ours; doesn't raise."""


class FlushQueue:
    """What must be flushed when the hub's current turn ends.

    Greenlets: any of the hub's thread; nothing here switches. Other threads go through `mailbox`.
    """

    __slots__ = ("_groups", "_is_scheduled", "_meter", "_run_callback", "_transports")

    def __init__(
        self,
        run_callback: Callable[[Callable[[], None]], Any],  # Any: gevent's callback handle
        meter: Any = None,  # a Meter
    ) -> None:
        self._run_callback = run_callback
        self._groups: list[Flushable] = []
        self._transports: list[Flushable] = []
        self._is_scheduled = False
        self._meter = meter

    def add_group(self, group: Flushable) -> None:
        """Have `group.flush()` called at the end of the turn, once for each time it was added."""
        self._groups.append(group)
        if not self._is_scheduled:
            self._is_scheduled = True
            self._run_callback(self._flush)

    def add_transport(self, transport: Flushable) -> None:
        """Have `transport.flush()` called at the end of the turn, after all groups."""
        self._transports.append(transport)
        if not self._is_scheduled:
            self._is_scheduled = True
            self._run_callback(self._flush)

    def _flush(self) -> None:
        groups, self._groups = self._groups, []
        transports, self._transports = self._transports, []
        self._is_scheduled = False

        _flush_each(groups, self._meter)
        _flush_each(transports)


def _flush_each(flushables: list[Flushable], meter: Any = None) -> None:  # Any: a Meter
    """Flush each; one that fails costs those behind it nothing."""
    one = None
    rest = iter(flushables)
    while True:
        try:
            for one in rest:
                if meter is None:
                    one.flush()
                else:
                    meter.flush(one)
            return
        except BaseException as exc:  # noqa: BLE001  # the hub would drop all that are left
            assert one is not None
            one.failed(exc)
