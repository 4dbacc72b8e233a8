"""Remembers the context in which an exception was raised, for the code that logs it.

Error trackers keep in context variables which errors they have reported and what they know of the
request. If a callback ran in a copy of the context, its exception must be logged in that copy,
otherwise it is reported twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

_ATTRIBUTE = "__tina4_context__"


def remember(error: BaseException, context: Context) -> None:
    """Remember the context in which an exception was raised."""
    setattr(error, _ATTRIBUTE, context)


def run_there(
    error: BaseException | None, call: Callable[..., object], *args: Any, **keywords: Any
) -> None:
    """Call `call` in the context in which `error` was raised, otherwise in the current one."""
    context: Context | None = vars(error).pop(_ATTRIBUTE, None) if error is not None else None
    if context is None:
        call(*args, **keywords)
    else:
        context.run(call, *args, **keywords)
