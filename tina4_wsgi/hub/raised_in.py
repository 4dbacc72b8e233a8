"""Where an exception came from: the context that it was raised in, for whoever logs it.

Error trackers keep in context variables what they have reported, and what they know of the request.
Where a callback ran in a copy of the context, its exception must be logged there, or it is reported
twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

_ATTRIBUTE = "__tina4_context__"


def remember(error: BaseException, context: Context) -> None:
    """Note the context that an exception leaves."""
    setattr(error, _ATTRIBUTE, context)


def run_there(
    error: BaseException | None, call: Callable[..., object], *args: Any, **keywords: Any
) -> None:
    """Call something in the context that the exception has left, or in the present one."""
    context: Context | None = vars(error).pop(_ATTRIBUTE, None) if error is not None else None
    if context is None:
        call(*args, **keywords)
    else:
        context.run(call, *args, **keywords)
