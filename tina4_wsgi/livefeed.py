"""What the live page is shown: one bounded summary a second, however many connections there are.

Connections are looked at in the server; what leaves is a few dozen lines for routes, paths, slow readers, recent
closes and workers. Paths, addresses and close reasons are shown; queries, headers, logins and payloads never are.
"""

from __future__ import annotations

import heapq
import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import gevent

from .connection import Connection
from .engine import Engine
from .metrics import Sums
from .spool import Told

SOCKET_PATH = "/__tina4/live/socket"

_MOST_ROUTES = 200
_MOST_PATHS = 100
_MOST_SLOW = 20
_MOST_CLOSES = 50
_MOST_ROWS = 100
_HISTORY_S = 120
_AT_ONCE = 1_000

Facts = dict[str, Any]  # Any: texts and numbers for JSON

_BY_ROUTE = (
    "messages_received", "messages_sent", "received_bytes", "sent_bytes", "callback_errors", "connections_opened",
)  # fmt: skip
_GAUGES_BY_ROUTE = ("connections", "queued_bytes", "queued_messages", "stalled_connections")


class Feed:
    """What one worker shows.

    Greenlets: `note_close` is for the hub; all else may switch, but doesn't wait for clients.

    Attributes:
        history: the last totals, one a second while somebody looks.
    """

    def __init__(self) -> None:
        self.history: deque[Facts] = deque(maxlen=_HISTORY_S)
        self._closes: deque[Facts] = deque(maxlen=_MOST_CLOSES)

    def note_close(self, connection: Connection) -> None:
        """Remember how a connection ended."""
        if connection.service.path == SOCKET_PATH:
            return
        self._closes.append({
            "at_s": time.time(), "path": connection.path, "route": connection.service.path,
            "code": connection.close_code, "reason": connection.close_reason,
            "seconds": round(time.time() - connection.connected_at.timestamp(), 1),
            "messages": connection.message_count,
        })  # fmt: skip

    def detail(self, engines: Iterable[Engine]) -> Facts:
        """Give what other workers are told, too: paths, slow readers and recent closes here."""
        paths: dict[str, Facts] = {}
        slow: list[tuple[int, int, Connection]] = []
        for number, connection in enumerate(_connections(engines)):
            if connection.closed:
                continue
            path = paths.get(connection.path)
            if path is None:
                path = paths[connection.path] = {
                    "path": connection.path, "route": connection.service.path, "connections": 0, "queued_bytes": 0,
                }  # fmt: skip
            path["connections"] += 1
            queued_bytes = connection.transport.queued_bytes
            if queued_bytes:
                path["queued_bytes"] += queued_bytes
                slow.append((queued_bytes, number, connection))
        return {
            "pid": os.getpid(),
            "path_count": len(paths),
            "paths": _largest(paths.values(), _MOST_PATHS),
            "slow": [_row(connection) for *_, connection in heapq.nlargest(_MOST_SLOW, slow)],
            "closes": list(self._closes),
        }

    def now(self, own: Sums, detail: Facts, others: Iterable[Told], past: Sums, backplane: Any) -> Facts:
        """Put together what is shown of all workers."""
        told = list(others)
        total = Sums()
        for sums in (past, own, *(one.sums for one in told)):
            total.add(sums)
        details = [detail, *(one.about for one in told)]
        workers = [_worker(os.getpid(), own), *(_worker(one.about.get("pid"), one.sums) for one in told)]
        totals = _totals(total)
        self.history.append(totals)
        return {
            "type": "now", "worker": os.getpid(), "totals": totals, "routes": _routes(total),
            **_merged_paths(details),
            "slow": sorted(_all(details, "slow"), key=lambda one: -one["queued_bytes"])[:_MOST_SLOW],
            "closes": sorted(_all(details, "closes"), key=lambda one: -one["at_s"])[:_MOST_CLOSES],
            "workers": sorted(workers, key=lambda one: str(one["pid"])),
            "backplane": None if backplane is None else _described(backplane),
        }  # fmt: skip


def find(engines: Iterable[Engine], path: str, text: str) -> Facts:
    """Find connections of this worker.

    Args:
        path: whose connections; "" for any.
        text: a part of their path, or the beginning of their id or address; "" for any.
    Returns:
        The first ones, how many there are, and the paths that have `text`.
    """
    text = text.lower()
    rows: list[Facts] = []
    paths: dict[str, Facts] = {}
    count = 0
    for connection in _connections(engines):
        if connection.closed or (path and connection.path != path):
            continue
        in_path = text in connection.path.lower()
        if in_path and not path:
            found = paths.setdefault(connection.path, {
                "path": connection.path, "route": connection.service.path, "connections": 0, "queued_bytes": 0,
            })  # fmt: skip
            found["connections"] += 1
            found["queued_bytes"] += connection.transport.queued_bytes
        if in_path or path or connection.id.startswith(text) or connection.ip.startswith(text):
            count += 1
            if len(rows) < _MOST_ROWS:
                rows.append(_row(connection))
    return {"type": "found", "rows": rows, "count": count, "paths": _largest(paths.values(), _MOST_PATHS)}


def _connections(engines: Iterable[Engine]) -> Iterator[Connection]:
    """Give all but the watchers, and let others run now and then."""
    for engine in engines:
        for number, connection in enumerate(list(engine.connections)):
            if number % _AT_ONCE == _AT_ONCE - 1:
                gevent.sleep(0)
            if connection.service.path != SOCKET_PATH:
                yield connection


def _row(connection: Connection) -> Facts:
    transport = connection.transport
    stalled_since_s = transport.stalled_since_s
    return {
        "id": connection.id, "pid": os.getpid(), "path": connection.path, "route": connection.service.path,
        "ip": connection.ip, "since_s": connection.connected_at.timestamp(), "received": connection.message_count,
        "sent": transport.sent_messages, "queued_bytes": transport.queued_bytes,
        "queued_messages": connection.waiting_count, "limit_bytes": transport.most_bytes,
        "stalled_s": None if stalled_since_s is None else round(time.monotonic() - stalled_since_s, 1),
    }  # fmt: skip


def _routes(sums: Sums) -> list[Facts]:
    routes: dict[str, Facts] = {}
    for source, families in ((sums.counters, _BY_ROUTE), (sums.gauges, _GAUGES_BY_ROUTE)):
        for family in families:
            for route, number in source.get(family, {}).items():
                if route != SOCKET_PATH:
                    routes.setdefault(route, dict.fromkeys((*_BY_ROUTE, *_GAUGES_BY_ROUTE), 0))[family] = number
    rows = ({"route": route, **numbers} for route, numbers in routes.items())
    return _largest(rows, _MOST_ROUTES)


def _totals(sums: Sums) -> Facts:
    totals: Facts = {"at_s": time.time()}
    for source, families in ((sums.counters, _BY_ROUTE), (sums.gauges, _GAUGES_BY_ROUTE)):
        for family in families:
            totals[family] = sum(n for route, n in source.get(family, {}).items() if route != SOCKET_PATH)
    totals["closes"] = sum(n for key, n in sums.counters.get("closes", {}).items() if not key.startswith(SOCKET_PATH))
    for family in ("handshakes_refused", "slow_consumers", "broadcasts"):
        totals[family] = sum(sums.counters.get(family, {}).values())
    for family in ("callbacks_running", "callbacks_waiting"):
        totals[family] = sum(sums.gauges.get(family, {}).values())
    return totals


def _worker(pid: object, sums: Sums) -> Facts:
    totals = _totals(sums)
    return {"pid": pid, "is_draining": bool(sum(sums.gauges.get("draining_workers", {}).values())), **totals}


def _described(status: Any) -> Facts:
    """Tell the state of the backplane, whichever it is."""
    return {
        name: getattr(status, name)
        for name in ("kind", "is_up", "siblings", "queued_messages", "dropped_messages", "outages", "error")
        if hasattr(status, name)
    }


def _merged_paths(details: list[Facts]) -> Facts:
    """Give the largest paths, and how many there are: at most, where a worker has told only its largest."""
    paths: dict[str, Facts] = {}
    for one in _all(details, "paths"):
        found = paths.get(one["path"])
        if found is None:
            paths[one["path"]] = dict(one)
        else:
            found["connections"] += one["connections"]
            found["queued_bytes"] += one["queued_bytes"]
    untold = sum(one.get("path_count", 0) - len(one.get("paths", ())) for one in details)
    return {"paths": _largest(paths.values(), _MOST_PATHS), "path_count": len(paths) + untold}


def _all(details: Iterable[Facts], name: str) -> list[Facts]:
    return [one for detail in details for one in detail.get(name, [])]


def _largest(rows: Iterable[Facts], most: int) -> list[Facts]:
    return heapq.nsmallest(most, rows, key=lambda row: (-row["connections"], row.get("path") or row["route"]))
