"""Checks a callback when its route is registered.

Otherwise these mistakes would show when the first user comes: a coroutine that nobody awaits, a
missing argument, a generator that never starts.
"""

from __future__ import annotations

import ast
import difflib
import functools
import inspect
import textwrap
from collections.abc import Callable, Iterator, Sized
from types import CodeType
from typing import TYPE_CHECKING, Literal, Protocol, SupportsFloat, TypeAlias, TypeVar, get_args

from ..errors import UsageError

if TYPE_CHECKING:
    from ..http.request import Request
    from ..http.response import Response
    from ..websocket.connection import Connection

Event: TypeAlias = Literal["open", "message", "close"]
"""The second argument of a callback: `"open"`, `"message"` or `"close"`."""

EVENTS: tuple[Event, ...] = get_args(Event)

Ignored = SupportsFloat | Sized | None
"""What a WebSocket callback may return, unused: no coroutine and no generator.

Type checkers can't be told "anything but a coroutine", and `object` would let an `async def` pass.
"""

WebsocketCallback = Callable[["Connection", Event, "str | bytes"], Ignored]
"""Serves the events of a WebSocket; the data of "open" and "close" is ""."""

HttpHandler = Callable[["Request", "Response"], object]
"""Answers the requests of a path."""

Auth = Callable[["Request"], object]
"""Returns who connects: the application's own user object, or what isn't true to refuse."""

Callback = TypeVar("Callback", bound=WebsocketCallback)
Handler = TypeVar("Handler", bound=HttpHandler)


class WebsocketDecorator(Protocol):
    """What `websocket` returns without a callback: registers a function and leaves it as it is."""

    def __call__(self, callback: Callback, /) -> Callback: ...


class HandlerDecorator(Protocol):
    """What `get` and its like return without a handler."""

    def __call__(self, handler: Handler, /) -> Handler: ...


_FOREIGN_EVENTS = {
    "connect": "open",
    "disconnect": "close",
    "closed": "close",
    "msg": "message",
    "data": "message",
}
"""The names of events in other libraries."""


class CallbackError(UsageError):
    """A callback can't be called as its route would; the message says what is expected."""


def location(callback: object) -> str:
    """Return where a callback is defined, as "file.py:12"; its `repr` if Python doesn't know."""
    while isinstance(callback, functools.partial):
        callback = callback.func
    if not callable(callback):
        return repr(callback)
    function = inspect.unwrap(callback)
    for found in (function, function.__call__):
        # A bound method has the code of its function.
        code = getattr(found, "__code__", None)
        if code is not None:
            return f"{code.co_filename}:{code.co_firstlineno}"
    return repr(callback)


def check(callback: object, arguments: tuple[str, ...], what: str = "callback") -> None:
    """Check that a callback can be called with these arguments by position.

    Args:
        arguments: their names, for the message.
        what: how the message calls the callback.
    Raises:
        CallbackError: it can't be called so, or it is a coroutine function.
    """
    if not callable(callback):
        raise CallbackError(f"{what} {callback!r}, expected a function of ({', '.join(arguments)})")
    check_is_no_coroutine(callback, what)

    try:
        signature = inspect.signature(callback)
    except (ValueError, TypeError):
        return  # Written in C, without a signature: the first call will tell.

    try:
        signature.bind(*arguments)
    except TypeError:
        raise CallbackError(
            f"{what} takes {signature}, expected ({', '.join(arguments)})"
        ) from None


def check_is_no_coroutine(callback: object, what: str = "callback") -> None:
    """Check that calling the callback doesn't only make a coroutine that nobody awaits.

    Args:
        what: how the message calls the callback.
    Raises:
        CallbackError: it is an `async def`.
    """
    if _has_kind(callback, inspect.iscoroutinefunction) or _has_kind(
        callback, inspect.isasyncgenfunction
    ):
        raise CallbackError(
            f"{what} is an `async def` and nothing would await it, write `def`: it runs in "
            "a greenlet of its own, where waiting blocks nobody else"
        )


def check_is_no_generator(callback: object, what: str = "callback") -> None:
    """Check that calling the callback runs it.

    Args:
        what: how the message calls the callback.
    Raises:
        CallbackError: it has a `yield`, so a call would only make a generator.
    """
    if _has_kind(callback, inspect.isgeneratorfunction):
        raise CallbackError(
            f"{what} has a `yield` and nothing would run it, expected a plain function"
        )


def misspelt_events(callback: object) -> list[tuple[str, str]]:
    """Find texts that a WebSocket callback compares its event with, and that are no event.

    Only comparisons in the callback itself are seen, and only near misses and other libraries'
    names: any other text may be meant for another caller of the callback.

    Returns:
        Each such text, with the event that was probably meant.
    """
    code = getattr(inspect.unwrap(callback), "__code__", None) if callable(callback) else None
    # Read the source only of a callback that has such a text at all.
    if not isinstance(code, CodeType) or not any(map(_event_meant, _flat(code.co_consts))):
        return []
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(code)))
    except (OSError, SyntaxError):
        return []  # typed at a prompt, or a lambda amid a line

    function = next((node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)), None)
    names = (
        []
        if function is None
        else [one.arg for one in (*function.args.posonlyargs, *function.args.args)]
    )
    event = names[1 + (names[:1] == ["self"])] if len(names) >= 3 else None
    return (
        []
        if event is None
        else [(text, _event_meant(text)) for text in _compared_with(tree, event)]
    )


def _flat(constants: tuple[object, ...]) -> Iterator[object]:
    for one in constants:
        if isinstance(one, tuple | frozenset):
            yield from one
        else:
            yield one


def _compared_with(tree: ast.AST, name: str) -> Iterator[str]:
    """Yield the texts, no events, that a variable is compared with, by `==`, `in` or `case`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides: list[ast.AST] = [node.left, *node.comparators]
        elif isinstance(node, ast.Match):
            sides = [node.subject, *(case.pattern for case in node.cases)]
        else:
            continue

        if any(isinstance(side, ast.Name) and side.id == name for side in sides):
            texts = [
                one.value
                for side in sides
                for one in ast.walk(side)
                if isinstance(one, ast.Constant)
            ]
            yield from (text for text in texts if isinstance(text, str) and _event_meant(text))


def _event_meant(text: object) -> str:
    """Return the event that a text is a misspelling of, or ""."""
    if not isinstance(text, str) or text in EVENTS:
        return ""
    near = difflib.get_close_matches(text.lower(), EVENTS, n=1, cutoff=0.75)
    return near[0] if near else _FOREIGN_EVENTS.get(text.lower().removeprefix("on_"), "")


def _has_kind(callback: object, is_kind: Callable[[object], bool]) -> bool:
    while isinstance(callback, functools.partial):
        callback = callback.func
    if is_kind(callback):
        return True
    return callable(callback) and not inspect.isclass(callback) and is_kind(callback.__call__)
