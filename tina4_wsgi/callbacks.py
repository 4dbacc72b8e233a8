"""What a callback must be like, checked when its route is registered.

All of these mistakes would otherwise show when the first user comes: a coroutine that nobody awaits,
a missing argument, a generator that never starts.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from .errors import UsageError


class CallbackError(UsageError):
    """A callback can't be called as its route would; the message says what is expected."""


def location(callback: object) -> str:
    """Give where a callback is defined, as "file.py:12"; its `repr` where Python doesn't know."""
    while isinstance(callback, functools.partial):
        callback = callback.func
    if not callable(callback):
        return repr(callback)
    function = inspect.unwrap(callback)
    for found in (function, function.__call__):
        code = getattr(found, "__code__", None)  # A bound method lends its function's.
        if code is not None:
            return f"{code.co_filename}:{code.co_firstlineno}"
    return repr(callback)


def check(callback: object, arguments: tuple[str, ...], what: str = "callback") -> None:
    """See that a callback can be called with these arguments by position.

    Args:
        arguments: their names, for the message.
        what: how the message calls the callback.
    Raises:
        CallbackError: it can't, or it is a coroutine function.
    """
    if not callable(callback):
        raise CallbackError(f"{what} {callback!r}, expected a function of ({', '.join(arguments)})")
    if _has_kind(callback, inspect.iscoroutinefunction) or _has_kind(callback, inspect.isasyncgenfunction):
        raise CallbackError(f"{what} is an `async def` and nothing would await it, write `def`: it runs in "
                            "a greenlet of its own, where waiting blocks nobody else")
    try:
        signature = inspect.signature(callback)
    except (ValueError, TypeError):
        return  # Written in C, without a signature: the first call will tell.
    try:
        signature.bind(*arguments)
    except TypeError:
        raise CallbackError(f"{what} takes {signature}, expected ({', '.join(arguments)})") from None


def check_is_no_generator(callback: object) -> None:
    """See that calling the callback runs it.

    Raises:
        CallbackError: it has a `yield`, so a call would only make a generator.
    """
    if _has_kind(callback, inspect.isgeneratorfunction):
        raise CallbackError("callback has a `yield` and nothing would run it, expected a plain function")


def _has_kind(callback: object, is_kind: Callable[[Any], bool]) -> bool:  # Any: `inspect` asks anything
    while isinstance(callback, functools.partial):
        callback = callback.func
    if is_kind(callback):
        return True
    return callable(callback) and not inspect.isclass(callback) and is_kind(callback.__call__)
