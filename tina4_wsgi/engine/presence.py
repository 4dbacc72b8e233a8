"""Lists and closes the connections of a path, in all processes.

No record is kept: a process that needs an answer asks the others, and every process answers for its
own connections. So there is nothing to repair after a process has died, and an app that never asks
pays nothing.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import UsageError
from ..protocol.frames import CloseCode, close_payload
from ..routing.names import GroupKind
from ..websocket import identity
from ..websocket.identity import shown
from ..websocket.inquiries import Farewell

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..backplane.contract import Facts
    from ..websocket.connection import Connection
    from .engine import Engine

_PATH = GroupKind.PATH

# The largest `max_connections`; an answer with a higher count comes from a foreign process.
_MOST_COUNT = 10_000_000


class Member(NamedTuple):
    """One connection as other processes see it.

    Attributes:
        id: the connection's id.
        auth: the user that the route's `auth` returned, as JSON shows it; None where JSON can't,
            such as for an object of the app.
        state: those fields of `connection.state` that the setting `presence_fields` names, shown
            the same way.
        joined_at: when it connected, in UTC.
    """

    id: str
    auth: Any  # whatever the app's `auth` returns
    state: dict[str, Any]
    joined_at: datetime


def count_question(path: str) -> Facts:
    """Return the question how many connections `path` has."""
    return {"ask": "count", "path": path}


def members_question(path: str) -> Facts:
    """Return the question which connections `path` has."""
    return {"ask": "members", "path": path}


def disconnect_question(
    connection_id: str | None, path: str | None, auth: object, code: int, reason: str
) -> Facts:
    """Return the request to close the connections that match every given argument.

    Raises:
        UsageError: nothing is given, `auth` has no form in JSON, or the code may not travel.
    """
    close_payload(code, reason)

    text = identity.text_of(auth)
    if text is None and auth is not None:
        raise UsageError(
            f"auth of class {type(auth).__name__} has no form in JSON, by which other processes "
            "know it; have the "
            "route's `auth` give an id, as in `auth=lambda request: user_of(request).id`, and give "
            "that id here"
        )

    wanted = {"id": connection_id, "path": path, "auth": text}
    wanted = {name: value for name, value in wanted.items() if value is not None}

    if not wanted:
        raise UsageError("nobody is meant, expected connection_id, path or auth")
    return {"ask": "disconnect", "code": int(code), "reason": reason, **wanted}


def answer(question: Facts, engines: Iterable[Engine]) -> Facts:
    """Answer for this process; never waits. The answer to an unknown question is empty."""
    found: Facts = {}
    if not _is_sound(question):
        return found

    for engine in engines:
        if question.get("ask") == "count":
            found["count"] = found.get("count", 0) + engine.count(_PATH, str(question.get("path")))
        elif question.get("ask") == "members":
            here = [_described(one) for one in engine.on_path(str(question.get("path")))]
            found["members"] = found.get("members", []) + here
        elif question.get("ask") == "disconnect":
            found["closed"] = found.get("closed", 0) + _disconnect(question, engine)
    return found


def counts_in(answers: Iterable[Facts], name: str = "count") -> int:
    """Add up the counts of all processes; ignores values that aren't counts."""
    counts = [answer.get(name) for answer in answers if isinstance(answer, dict)]
    return sum(count for count in counts if type(count) is int and 0 < count <= _MOST_COUNT)


def members_in(answers: Iterable[Facts]) -> list[Member]:
    """Merge the members of all answers in order of joining; ignores values that aren't members."""
    told = [answer.get("members") for answer in answers if isinstance(answer, dict)]
    lists = [one for one in told if isinstance(one, list)]
    members = [_member(one) for one_list in lists for one in one_list if isinstance(one, dict)]
    return sorted(members, key=lambda member: (member.joined_at, member.id))


def _described(connection: Connection) -> Facts:
    fields = connection.limits.presence_fields
    return {
        "id": connection.id,
        "auth": shown(connection.auth),
        "state": {
            name: shown(connection.state[name]) for name in fields if name in connection.state
        },
        "joined_s": connection.connected_at.timestamp(),
    }


def _member(told: Facts) -> Member:
    state, connection_id = told.get("state"), told.get("id")
    return Member(
        connection_id if isinstance(connection_id, str) else "",
        told.get("auth"),
        state if isinstance(state, dict) else {},
        _time_of(told.get("joined_s")),
    )


def _is_sound(question: Facts) -> bool:
    """Return whether a question is well-formed: a stranger may have sent it through Redis.

    A question that nobody knows may be either; `answer` has nothing to say to it.
    """
    if question.get("ask") in ("count", "members"):
        return isinstance(question.get("path"), str)

    texts = [question.get(name, "") for name in ("path", "id", "auth", "reason")]
    code = question.get("code", CloseCode.POLICY_VIOLATION)
    if not all(isinstance(text, str) for text in texts) or not isinstance(code, int):
        return False

    if all(question.get(name) is None for name in ("path", "id", "auth")):
        return False  # no criterion at all must not match every connection

    try:
        close_payload(code)
    except UsageError:
        return False
    return True


def _time_of(told_s: object) -> datetime:
    """Read a time that another process sent; the beginning of 1970 if it isn't valid."""
    try:
        return datetime.fromtimestamp(
            told_s if isinstance(told_s, float | int) else 0.0, timezone.utc
        )
    except (OSError, OverflowError, ValueError):
        return datetime.fromtimestamp(0.0, timezone.utc)


def _disconnect(question: Facts, engine: Engine) -> int:
    path, connection_id = question.get("path"), question.get("id")
    code = int(question.get("code", CloseCode.POLICY_VIOLATION))

    farewell = Farewell(question.get("auth"), code, question.get("reason", ""))
    if connection_id is None:  # a client that has an id is connected already
        engine.inquiries.note(farewell, path)

    meant = [
        one
        for one in (list(engine.connections) if path is None else engine.on_path(str(path)))
        if not one.closed
        and (connection_id is None or one.id == connection_id)
        and (farewell.auth is None or identity.text_of(one.auth) == farewell.auth)
    ]

    engine.say_goodbye(meant, farewell.code, farewell.reason)
    return len(meant)
