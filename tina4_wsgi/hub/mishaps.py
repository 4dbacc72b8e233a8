"""Logs an exception that no caller is left to catch, so that it ends nothing.

One exception is passed on: the KeyboardInterrupt that Python itself raises for ^C. A
KeyboardInterrupt that other code raises, or a SystemExit as argparse raises it, is a mistake of
that code and affects nothing else.
"""

from __future__ import annotations

import dis
import logging
import signal
from typing import TYPE_CHECKING, Any

import gevent

from .raised_in import run_there

if TYPE_CHECKING:
    from types import TracebackType

_RAISE = dis.opmap["RAISE_VARARGS"]
"""The instruction of every `raise` statement. Python's own SIGINT handler raises between any two
instructions.
"""


def is_interrupt(error: BaseException) -> bool:
    """Return whether `error` is ^C itself, not a KeyboardInterrupt that some code raised.

    In servers that handle SIGINT themselves, such as `tina4-wsgi serve` and gunicorn, Python never
    raises it.
    """
    if (
        not isinstance(error, KeyboardInterrupt)
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        return False
    place = error.__traceback__
    return place is None or not _is_at_raise(place)


def _is_at_raise(place: TracebackType) -> bool:
    while place.tb_next is not None:
        place = place.tb_next
    instructions = place.tb_frame.f_code.co_code  # empty where the code was compiled to C
    return not 0 <= place.tb_lasti < len(instructions) or instructions[place.tb_lasti] == _RAISE


def pass_interrupt_on(hub: Any, error: BaseException) -> None:  # Any: gevent ships no types
    """Raise `error` in the main greenlet if it is ^C; any greenlet may call this."""
    if is_interrupt(error):
        hub.handle_system_error(type(error), error)


def log(
    logger: logging.Logger,
    level: int,
    message: str,
    *args: object,
    error: BaseException | None = None,
) -> None:
    """Log a message; errors of the app's log filters and handlers are printed and end nothing."""
    try:
        # stacklevel=3: the record names the line that called this function.
        run_there(error, logger.log, level, message, *args, exc_info=error, stacklevel=3)
    except BaseException as exc:  # noqa: BLE001  # also what would end the process
        show(logger, exc)


def report(logger: logging.Logger, message: str, *args: object, error: BaseException) -> None:
    """Log an error for the hub, which must not log itself: logging may wait for a lock."""
    gevent.spawn(log, logger, logging.ERROR, message, *args, error=error)
    pass_interrupt_on(gevent.get_hub(), error)


def show(context: object, error: BaseException) -> None:
    """Let the hub print `error` on stderr; for errors that can't be logged."""
    hub = gevent.get_hub()
    # Not handle_error, which hands SystemExit to the main greenlet.
    hub.print_exception(context, type(error), error, error.__traceback__)
    pass_interrupt_on(hub, error)
