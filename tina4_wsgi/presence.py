"""Who is on a path, and the sending away of some of them, in all processes: questions, and this process's answers.

Nothing is kept for it: whoever wants to know asks, and every process answers for its own connections. So there is
nothing to heal after a process died, and nothing is paid where nobody asks.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any, NamedTuple

from . import jsontext
from .backplane.port import Facts
from .connection import Connection
from .engine import Engine
from .errors import UsageError
from .protocol.frames import CloseCode, close_payload

_MOST_COUNT = 10_000_000  # as `max_connections` at most; another process that tells of more is none of ours


class Member(NamedTuple):
    """One connection, as other processes see it.

    Attributes:
        id: the connection's.
        auth: what its route's `auth` gave, as JSON shows it; its `repr` where JSON can't.
        state: those fields of `connection.state` that the setting `presence_fields` names, shown the same way.
        joined_at: when it connected, in UTC.
    """

    id: str
    auth: Any  # whatever the app's `auth` gives
    state: dict[str, Any]
    joined_at: datetime


def count_question(path: str) -> Facts:
    """Ask how many are on `path`."""
    return {"ask": "count", "path": path}


def members_question(path: str) -> Facts:
    """Ask who is on `path`."""
    return {"ask": "members", "path": path}


def disconnect_question(
    connection_id: str | None, path: str | None, auth: object, code: int, reason: str
) -> Facts:
    """Ask to send some away: those for whom all that is given is true.

    Raises:
        UsageError: nothing is given, or the code may not travel.
    """
    close_payload(code, reason)
    wanted = {"id": connection_id, "path": path, "auth": None if auth is None else shown(auth)}
    wanted = {name: value for name, value in wanted.items() if value is not None}
    if not wanted:
        raise UsageError("nobody is meant, expected connection_id, path or auth")
    return {"ask": "disconnect", "code": int(code), "reason": reason, **wanted}


def answer(question: Facts, engines: Iterable[Engine]) -> Facts:
    """Answer for this process; never waits. What isn't understood is answered with nothing."""
    found: Facts = {}
    if not _is_sound(question):
        return found
    for engine in engines:
        if question.get("ask") == "count":
            found["count"] = found.get("count", 0) + engine.count(str(question.get("path")))
        elif question.get("ask") == "members":
            here = [_described(one) for one in engine.on_path(str(question.get("path")))]
            found["members"] = found.get("members", []) + here
        elif question.get("ask") == "disconnect":
            found["closed"] = found.get("closed", 0) + _disconnect(question, engine)
    return found


def counts_in(answers: Iterable[Facts], name: str = "count") -> int:
    """Add up what processes counted."""
    counts = [answer.get(name) for answer in answers]
    return sum(count for count in counts if isinstance(count, int) and 0 < count <= _MOST_COUNT)


def members_in(answers: Iterable[Facts]) -> list[Member]:
    """Put together what processes told, in the order of joining."""
    members = [_member(one) for answer in answers for one in answer.get("members", []) if isinstance(one, dict)]
    return sorted(members, key=lambda member: (member.joined_at, member.id))


def shown(value: object) -> Any:
    """Give a value as JSON shows it: a tuple becomes a list, say; its `repr` where JSON can't."""
    try:
        return jsontext.decode(jsontext.encode(value))
    except (TypeError, ValueError, RecursionError):
        return repr(value)


def _described(connection: Connection) -> Facts:
    fields = connection.limits.presence_fields
    return {
        "id": connection.id,
        "auth": shown(connection.auth),
        "state": {name: shown(connection.state[name]) for name in fields if name in connection.state},
        "joined_s": connection.connected_at.timestamp(),
    }


def _member(told: Facts) -> Member:
    joined_s = told.get("joined_s")
    joined_at = datetime.fromtimestamp(joined_s if isinstance(joined_s, float) else 0.0, timezone.utc)
    state = told.get("state")
    return Member(str(told.get("id")), told.get("auth"), state if isinstance(state, dict) else {}, joined_at)


def _is_sound(question: Facts) -> bool:
    """Whether a question has the form that ours have: a stranger may have sent it, through the same Redis."""
    if question.get("ask") in ("count", "members"):
        return isinstance(question.get("path"), str)
    if question.get("ask") != "disconnect":
        return False
    texts = [question.get(name, "") for name in ("path", "id", "reason")]
    code = question.get("code", CloseCode.POLICY_VIOLATION)
    if not all(isinstance(text, str) for text in texts) or isinstance(code, bool) or not isinstance(code, int):
        return False
    if all(question.get(name) is None for name in ("path", "id", "auth")):
        return False  # nobody is meant, which must not come to mean everybody
    try:
        close_payload(code, texts[-1])
    except UsageError:
        return False
    return True


def _disconnect(question: Facts, engine: Engine) -> int:
    path, connection_id, auth = question.get("path"), question.get("id"), question.get("auth")
    code, reason = int(question.get("code", CloseCode.POLICY_VIOLATION)), str(question.get("reason", ""))
    meant = [
        one
        for one in (list(engine.connections) if path is None else engine.on_path(str(path)))
        if not one.closed
        and (connection_id is None or one.id == connection_id)
        and (auth is None or shown(one.auth) == auth)
    ]
    engine.say_goodbye(meant, code, reason)
    return len(meant)
