"""One flush per turn of the hub: queued bytes are sent once, after all ready events.

So sixteen replies to one client leave in one `send` call, and thirty broadcasts to a room in one
call per member. Groups are flushed first: they hand their frames to members that have queued
frames of their own, and these members are flushed afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Flushable(Protocol):
    """Something that queues bytes and can send them without waiting."""

    def flush(self) -> None: ...

    def failed(self, error: BaseException) -> None:
        """Handle an error that `flush` raised, which is a bug of this package; doesn't raise."""


class FlushQueue:
    """The groups and transports to flush when the hub's current turn ends.

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
        """Call `group.flush()` at the end of the turn, once for each time the group was added."""
        self._groups.append(group)
        if not self._is_scheduled:
            self._is_scheduled = True
            self._run_callback(self._flush)

    def add_transport(self, transport: Flushable) -> None:
        """Call `transport.flush()` at the end of the turn, after all groups."""
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
    """Flush each; one that fails doesn't keep the others from being flushed."""
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
        except BaseException as exc:  # noqa: BLE001  # the hub would drop all the others
            assert one is not None
            one.failed(exc)
