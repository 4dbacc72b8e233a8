"""Adds up one process: the tallies of its routes, and its open connections so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gevent

from .metrics import Sums

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..engine.engine import Engine
    from ..websocket.counters import Tally
    from ..websocket.lifecycle import Lifecycle

_AT_ONCE = 1_000  # connections read before others get a turn, about a millisecond


def collect(tallies: Iterable[tuple[str, Tally]], engines: Iterable[Engine]) -> Sums:
    """Add up one process.

    Args:
        tallies: pairs of a route and its tally; a route may come more than once.
        engines: one for each hub; those of other threads are only read.
    Greenlets: one that may wait; others run in between.
    """
    sums = Sums()
    lifecycles: list[Lifecycle] = []

    # Nothing switches in these loops, so each connection is either in the tally of its route or in
    # the list.
    for route, tally in tallies:
        _look_at_tally(sums, route, tally)
    for engine in engines:
        _look_at_engine(sums, engine)
        lifecycles += engine.connections.values()

    _tell(sums, _look_at_connections(lifecycles))
    return sums


def _look_at_tally(sums: Sums, route: str, tally: Tally) -> None:
    sums.gauge("connections", 0, route)  # a route without connections is shown, too
    sums.count("connections_opened", tally.opened_count, route)
    sums.count("messages_received", tally.messages_received, route)
    sums.count("messages_sent", tally.messages_sent, route)
    sums.count("received_bytes", tally.received_bytes, route)
    sums.count("sent_bytes", tally.sent_bytes, route)
    sums.count("callback_errors", tally.error_count, route)

    for code, number in list(tally.closes.items()):
        sums.count("closes", number, route, code)
    for event, histogram in tally.callback_times.items():
        sums.observe("callback_seconds", histogram, route, event)


def _look_at_engine(sums: Sums, engine: Engine) -> None:
    dispatcher = engine.dispatcher
    sums.count("slow_consumers", engine.slow_consumers)
    sums.count("broadcasts_dropped", engine.drops_for_slow)
    sums.count("broadcasts", engine.path_broadcasts, "path")
    sums.count("broadcasts", engine.room_broadcasts, "room")
    sums.gauge("callbacks_running", dispatcher.busy_count)
    sums.gauge("callbacks_waiting", dispatcher.waiting_count)

    if engine.meter is not None:
        sums.observe("fanout_members", engine.meter.fanout)
        sums.observe("flush_seconds", engine.meter.flush_times)


class _RouteSums:
    """The sums of the open connections of one route."""

    __slots__ = (
        "messages_received",
        "messages_sent",
        "open_count",
        "queued_bytes",
        "queued_messages",
        "received_bytes",
        "sent_bytes",
        "stalled_count",
    )

    def __init__(self) -> None:
        self.open_count = self.stalled_count = self.queued_bytes = self.queued_messages = 0
        self.messages_received = self.messages_sent = self.received_bytes = self.sent_bytes = 0

    def add(self, lifecycle: Lifecycle) -> None:
        transport = lifecycle.transport
        self.open_count += not lifecycle.closed
        self.messages_received += lifecycle.message_count
        self.messages_sent += transport.sent_messages
        self.received_bytes += transport.received_bytes
        self.sent_bytes += transport.sent_bytes
        self.queued_messages += lifecycle.waiting_count
        if transport.queued_bytes:
            self.queued_bytes += transport.queued_bytes
            self.stalled_count += transport.stalled_since_s is not None


def _look_at_connections(lifecycles: list[Lifecycle]) -> dict[str, _RouteSums]:
    routes: dict[str, _RouteSums] = {}
    for start in range(0, len(lifecycles), _AT_ONCE):
        if start:
            gevent.sleep(0)  # a connection that ends meanwhile keeps its numbers
        for lifecycle in lifecycles[start : start + _AT_ONCE]:
            path = lifecycle.service.path
            route = routes.get(path)
            if route is None:
                route = routes[path] = _RouteSums()
            route.add(lifecycle)
    return routes


def _tell(sums: Sums, routes: Mapping[str, _RouteSums]) -> None:
    for path, route in routes.items():
        sums.gauge("connections", route.open_count, path)
        sums.gauge("queued_bytes", route.queued_bytes, path)
        sums.gauge("queued_messages", route.queued_messages, path)
        sums.gauge("stalled_connections", route.stalled_count, path)
        sums.count("messages_received", route.messages_received, path)
        sums.count("messages_sent", route.messages_sent, path)
        sums.count("received_bytes", route.received_bytes, path)
        sums.count("sent_bytes", route.sent_bytes, path)
