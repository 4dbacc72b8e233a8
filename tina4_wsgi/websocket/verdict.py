"""Judges what an `auth` returns: the client is let in or refused, or `auth` made a mistake.

It fails closed. Only a true value lets a client in. A value that no `auth` returns on purpose, such
as a response, a class or a coroutine, is true too, but counts as a mistake: it is logged and
answered with 500.
"""

from __future__ import annotations

import inspect
import types
from functools import partial
from typing import TYPE_CHECKING, Final

from ..errors import Refused, UsageError
from ..http.headers import status_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from werkzeug.exceptions import HTTPException


class _Anonymous:
    def __repr__(self) -> str:
        return "ANONYMOUS"


ANONYMOUS: Final = _Anonymous()
"""Return this from an `auth` to let an unknown user in; `connection.auth` is None then."""

_EXPECTED = (
    "expected the user, ANONYMOUS to let in somebody unknown, or None to refuse; raise an "
    "HTTPException to refuse "
    "with another status"
)
_PLAIN = frozenset({bool, bytes, dict, float, int, list, set, str})
_CODE = (
    types.FunctionType,
    types.MethodType,
    types.BuiltinFunctionType,
    types.MethodWrapperType,
    types.ModuleType,
    partial,
    property,
    staticmethod,
    classmethod,
)
_LAZY = (types.GeneratorType, types.AsyncGeneratorType, filter, map, zip)
_STATUS_NAMES = ("status", "status_code", "status_int", "_status")
_HEADER_NAMES = ("header", "headers", "headerlist", "_headers")


def judge(answer: object) -> object:
    """Return the user whom the result of an `auth` lets in.

    Returns:
        The value for `connection.auth`: `answer`, or the object behind it where it is a lazy proxy;
        None for ANONYMOUS.
    Raises:
        Refused: 401, `answer` isn't true, or is a user who isn't logged in.
        UsageError: `answer` must be a mistake; the message says what it is, and what is expected.
        Exception: any error of the truth test of `answer`.
    """
    if answer is ANONYMOUS:
        return None
    answer = _behind_proxy(answer)
    if (mistake := _mistake(answer)) is not None:
        raise UsageError(f"gave {mistake}, {_EXPECTED}")
    if not answer or not _is_authenticated(answer):
        raise Refused(401, "this WebSocket route asks for a login")
    return answer


def _behind_proxy(answer: object) -> object:
    """Return the object behind a lazy proxy of Werkzeug or Django.

    Outside this request the proxy would stand for another user.
    """
    for kind in type(answer).__mro__:
        if kind.__name__ == "LocalProxy" and kind.__module__ == "werkzeug.local":
            # An unbound proxy is false.
            return answer._get_current_object() if answer else None  # type: ignore[attr-defined]
        if kind.__name__ == "LazyObject" and kind.__module__ == "django.utils.functional":
            answer.__class__  # noqa: B018  # evaluates the lazy object
            return answer._wrapped  # type: ignore[attr-defined]  # Django's name
    return answer


def _is_authenticated(user: object) -> bool:
    """Return whether a user of Django or flask-login is logged in; True for other objects."""
    found = getattr(user, "is_authenticated", True)
    return bool(found() if isinstance(found, types.MethodType) else found)


def _mistake(answer: object) -> str | None:
    """Describe an answer that no `auth` returns on purpose; None for a valid one."""
    kind = type(answer)
    if kind in _PLAIN:
        return None

    if answer is NotImplemented or answer is Ellipsis:
        return repr(answer)
    if isinstance(answer, BaseException):
        return f"an exception, {kind.__name__}, and didn't raise it"
    if kind is tuple and answer:
        return f"a tuple of {len(answer)}"  # type: ignore[arg-type]  # mypy doesn't narrow by `is`

    if _is_response(answer):
        return f"a response, {kind.__module__}.{kind.__name__}"
    return _code_mistake(answer)


def _code_mistake(answer: object) -> str | None:
    """Describe an answer that is a piece of code; None for anything else."""
    kind = type(answer)

    if isinstance(answer, type):
        return f"the class {answer.__name__}"
    if isinstance(answer, _CODE):
        name = getattr(answer, "__name__", None) or kind.__name__
        return f"the {kind.__name__} {name} itself"

    if inspect.isawaitable(answer):
        if inspect.iscoroutine(answer):
            answer.close()  # otherwise Python warns that it was never awaited
        return f"a {kind.__name__}, which nothing awaits"
    if isinstance(answer, _LAZY):
        return f"a {kind.__name__}, which nothing runs"
    return None


def _is_response(answer: object) -> bool:
    """Return whether an object is a response of any framework.

    Django's responses are recognised by name, others by a status and header fields.
    """
    kinds = type(answer).__mro__
    if any(
        kind.__name__ == "HttpResponseBase" and kind.__module__ == "django.http.response"
        for kind in kinds
    ):
        return True

    # Attributes that a class invents in __getattr__, as a Mock does, don't count.
    own = getattr(answer, "__dict__", None)
    spaces: list[Mapping[str, object]] = [vars(kind) for kind in kinds]
    if isinstance(own, dict):
        spaces.append(own)
    return _has_one(spaces, _STATUS_NAMES) and _has_one(spaces, _HEADER_NAMES)


def _has_one(spaces: Iterable[Mapping[str, object]], names: tuple[str, ...]) -> bool:
    return any(name in space for space in spaces for name in names)


def refusal_of(error: HTTPException) -> Refused:
    """Return the refusal for an HTTPException that was raised or returned before the 101.

    A redirect makes no sense to a WebSocket client, and becomes 403.
    """
    code = error.code if error.code is not None and 400 <= error.code < 600 else 403
    return Refused(code, error.description or status_line(code))
