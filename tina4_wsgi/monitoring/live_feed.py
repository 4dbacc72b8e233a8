"""What the live page is sent: one bounded summary a second, however many connections there are.

The server reads its connections and sends a few dozen rows for routes, paths, slow readers, recent
closes and workers. It shows paths, addresses and close reasons, but never queries, headers, logins
or payloads.
"""

from __future__ import annotations

import heapq
import os
import re
import time
from collections import deque
from typing import TYPE_CHECKING

import gevent

from ..websocket.connection import lifecycle_of
from .keeping import facts_of_history
from .metrics import Sums

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..backplane.contract import Facts, Status
    from ..engine.engine import Engine
    from ..websocket.connection import Connection
    from ..websocket.lifecycle import Lifecycle
    from .worker_files import Told

SOCKET_PATH = "/__tina4/live/socket"

_MOST_ROUTES = 200
_MOST_PATHS = 100
_MOST_SLOW = 20
_MOST_CLOSES = 50
_MOST_ROWS = 100
_MOST_TEXT = 1_000  # characters of a search
_MOST_COUNT = 1 << 53  # what a page's script can count
_HISTORY_S = 120
_AT_ONCE = 1_000
_MOST_CHARACTERS = 10_000  # of all paths in a list: visitors choose them, up to 8 KiB each

# Only a text that may be an id or an address is compared with them: reading an address takes some
# microseconds, and short ids match by chance.
_ID = re.compile(r"[0-9a-f]{6,32}")
_ADDRESS = re.compile(r"[0-9]{1,3}\.[0-9.]*|[0-9a-f]{0,4}:[0-9a-f:.]*")

_BY_ROUTE = (
    "messages_received",
    "messages_sent",
    "received_bytes",
    "sent_bytes",
    "callback_errors",
    "connections_opened",
)
_GAUGES_BY_ROUTE = ("connections", "queued_bytes", "queued_messages", "stalled_connections")


class Feed:
    """The summaries of one worker.

    Greenlets: `note_close` is called in the hub; the others may switch, but don't wait for clients.

    Attributes:
        history: the last totals, one a second while somebody watches.
    """

    def __init__(self) -> None:
        self.history: deque[Facts] = deque(maxlen=_HISTORY_S)
        self._closes: deque[Facts] = deque(maxlen=_MOST_CLOSES)

    def note_close(self, lifecycle: Lifecycle) -> None:
        """Remember how a connection ended."""
        connection = lifecycle.connection
        if connection.route == SOCKET_PATH:
            return

        self._closes.append(
            {
                "at_s": time.time(),
                "path": connection.path,
                "route": connection.route,
                "code": connection.close_code,
                "reason": connection.close_reason,
                "seconds": round(time.time() - connection.connected_at.timestamp(), 1),
                "messages": lifecycle.message_count,
            }
        )

    def detail(self, engines: Iterable[Engine]) -> Facts:
        """Return the facts for other workers too: this one's paths, slow readers, recent closes."""
        paths: dict[str, Facts] = {}
        slow: list[tuple[int, int, Connection]] = []
        for number, connection in enumerate(_connections(engines, may_wait=True)):
            if connection.closed:
                continue
            queued_bytes = _count_in(paths, connection)
            if queued_bytes:
                slow.append((queued_bytes, number, connection))

        return {
            "pid": os.getpid(),
            "path_count": len(paths),
            "paths": _largest(paths.values(), _MOST_PATHS),
            "slow": _bounded(
                _row(connection) for *_, connection in heapq.nlargest(_MOST_SLOW, slow)
            ),
            "closes": _bounded(reversed(self._closes)),
        }

    def now(
        self, own: Sums, detail: Facts, others: Iterable[Told], past: Sums, backplane: Status | None
    ) -> Facts:
        """Return the summary of all workers."""
        told = list(others)
        total = Sums()
        for sums in (past, own, *(one.sums for one in told)):
            total.add(sums)

        details = [detail, *(one.about for one in told)]
        workers = [
            _worker(detail, own),
            *(_worker(one.about, one.sums) for one in told),
        ]
        totals = _totals(total)
        self.history.append(totals)

        return {
            "type": "now",
            "worker": os.getpid(),
            "totals": totals,
            "routes": _routes(total),
            **_merged_paths(details),
            "slow": _bounded(
                sorted(_all(details, "slow"), key=lambda one: -one["queued_bytes"])[:_MOST_SLOW]
            ),
            "closes": _bounded(
                sorted(_all(details, "closes"), key=lambda one: -one["at_s"])[:_MOST_CLOSES]
            ),
            "workers": sorted(workers, key=lambda one: str(one["pid"])),
            "backplane": None if backplane is None else _described(backplane),
            "history": facts_of_history(total),
        }


def find_question(path: str, text: str) -> Facts:
    """Return the question that asks another worker to `find`."""
    return {"ask": "find", "path": path, "text": text}


def answer(question: Facts, engines: Iterable[Engine]) -> Facts:
    """Answer another worker's question, an unknown one with nothing; never waits."""
    path, text = question.get("path", ""), question.get("text", "")
    if question.get("ask") != "find" or not isinstance(path, str) or not isinstance(text, str):
        return {}
    return find(engines, path, text[:_MOST_TEXT], may_wait=False)


def find(engines: Iterable[Engine], path: str, text: str, *, may_wait: bool = True) -> Facts:
    """Find connections of this worker.

    Args:
        path: the path of the connections; "" for any.
        text: a part of their path, or the beginning of their address ("10.", "fe80:"), or at least
            six characters of the beginning of their id; "" for any.
        may_wait: whether others may run in between, which is impossible in the hub.
    Returns:
        The first connections, the number of all, the largest paths that contain `text`, and the
        number of these.
    """
    text = text.lower()
    is_id, is_address = _ID.fullmatch(text) is not None, _ADDRESS.fullmatch(text) is not None
    rows: list[Facts] = []
    paths: dict[str, Facts] = {}
    count = 0

    for connection in _connections(engines, may_wait):
        if connection.closed or (path and connection.path != path):
            continue
        in_path = text in connection.path.lower()
        if in_path and not path:
            _count_in(paths, connection)
        if (
            in_path
            or path
            or (is_id and connection.id.startswith(text))
            or (is_address and connection.ip.startswith(text))
        ):
            count += 1
            if len(rows) < _MOST_ROWS:
                rows.append(_row(connection))

    return {
        "rows": _bounded(rows),
        "count": count,
        "paths": _largest(paths.values(), _MOST_PATHS),
        "path_count": len(paths),
    }


def found_in(answers: Iterable[Facts]) -> Facts:
    """Put together what workers found; those that have no live page say nothing.

    What one tells in another form than ours is left out: a stranger may have answered, through the
    same Redis.
    """
    told = [one for one in answers if _is_sound(one)]
    rows = sorted(_all(told, "rows"), key=lambda row: row["since_s"])
    return {
        "type": "found",
        "rows": _bounded(rows[:_MOST_ROWS]),
        "count": sum(one["count"] for one in told),
        **_merged_paths(told),
    }


def _is_sound(found: Facts) -> bool:
    """Return whether an answer has the form of what `find` returns."""
    return (
        _is_count(found.get("count"))
        and _is_count(found.get("path_count"))
        and _are_rows(found.get("rows"), ("id", "path", "route", "ip"), ("since_s",))
        and _are_rows(found.get("paths"), ("path", "route"), ("connections", "queued_bytes"))
    )


def _are_rows(rows: object, texts: tuple[str, ...], numbers: tuple[str, ...]) -> bool:
    return isinstance(rows, list) and all(
        isinstance(row, dict)
        and all(isinstance(row.get(name), str) for name in texts)
        and all(_is_number(row.get(name)) for name in numbers)
        for row in rows
    )


def _is_count(value: object) -> bool:
    return isinstance(value, int) and 0 <= value <= _MOST_COUNT


def _is_number(value: object) -> bool:
    # False for NaN and infinity, too.
    return isinstance(value, int | float) and 0 <= value <= _MOST_COUNT


def _connections(engines: Iterable[Engine], may_wait: bool) -> Iterator[Connection]:
    """Yield all connections but the watchers, and let others run now and then."""
    for engine in engines:
        for number, connection in enumerate(list(engine.connections)):
            if may_wait and number % _AT_ONCE == _AT_ONCE - 1:
                gevent.sleep(0)
            if connection.route != SOCKET_PATH:
                yield connection


def _count_in(paths: dict[str, Facts], connection: Connection) -> int:
    """Count a connection for its path, and return how many bytes wait for it."""
    path = paths.get(connection.path)
    if path is None:
        path = paths[connection.path] = {
            "path": connection.path,
            "route": connection.route,
            "connections": 0,
            "queued_bytes": 0,
        }

    path["connections"] += 1
    queued_bytes = lifecycle_of(connection).transport.queued_bytes
    path["queued_bytes"] += queued_bytes
    return queued_bytes


def _row(connection: Connection) -> Facts:
    lifecycle = lifecycle_of(connection)
    transport = lifecycle.transport
    stalled_since_s = transport.stalled_since_s
    return {
        "id": connection.id,
        "pid": os.getpid(),
        "path": connection.path,
        "route": connection.route,
        "ip": connection.ip,
        "since_s": connection.connected_at.timestamp(),
        "received": lifecycle.message_count,
        "sent": transport.sent_messages,
        "queued_bytes": transport.queued_bytes,
        "queued_messages": lifecycle.waiting_count,
        "limit_bytes": transport.most_bytes,
        "stalled_s": None
        if stalled_since_s is None
        else round(time.monotonic() - stalled_since_s, 1),
    }


def _routes(sums: Sums) -> list[Facts]:
    routes: dict[str, Facts] = {}
    for source, families in ((sums.counters, _BY_ROUTE), (sums.gauges, _GAUGES_BY_ROUTE)):
        for family in families:
            for route, number in source.get(family, {}).items():
                if route != SOCKET_PATH:
                    routes.setdefault(route, dict.fromkeys((*_BY_ROUTE, *_GAUGES_BY_ROUTE), 0))[
                        family
                    ] = number

    rows = ({"route": route, **numbers} for route, numbers in routes.items())
    return _largest(rows, _MOST_ROUTES)


def _totals(sums: Sums) -> Facts:
    totals: Facts = {"at_s": time.time()}
    for source, families in ((sums.counters, _BY_ROUTE), (sums.gauges, _GAUGES_BY_ROUTE)):
        for family in families:
            totals[family] = sum(
                n for route, n in source.get(family, {}).items() if route != SOCKET_PATH
            )

    totals["closes"] = sum(
        n for key, n in sums.counters.get("closes", {}).items() if not key.startswith(SOCKET_PATH)
    )
    for family in ("handshakes_refused", "slow_consumers", "broadcasts"):
        totals[family] = sum(sums.counters.get(family, {}).values())
    for family in ("callbacks_running", "callbacks_waiting"):
        totals[family] = sum(sums.gauges.get(family, {}).values())
    return totals


def _worker(about: Facts, sums: Sums) -> Facts:
    worker = {
        "pid": about.get("pid"),
        "is_draining": bool(sum(sums.gauges.get("draining_workers", {}).values())),
        **_totals(sums),
    }
    history = facts_of_history(sums)
    if history is not None:
        worker["history"] = {**history, "error": about.get("history_error", "")}
    return worker


def _described(status: Status) -> Facts:
    facts = status._asdict()
    del facts["denied"], facts["history_error"]
    return facts


def _merged_paths(details: list[Facts]) -> Facts:
    """Return the largest paths of all workers, and the number of paths.

    The number is an upper bound where a worker has told only its largest paths: some of the others
    may be the same.
    """
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
    return _bounded(
        heapq.nsmallest(
            most, rows, key=lambda row: (-row["connections"], row.get("path") or row["route"])
        )
    )


def _bounded(rows: Iterable[Facts]) -> list[Facts]:
    """Return the rows without those whose long paths would make the list too large."""
    kept: list[Facts] = []
    characters = 0
    for row in rows:
        length = len(row.get("path", ""))
        if characters + length <= _MOST_CHARACTERS:
            characters += length
            kept.append(row)
    return kept
