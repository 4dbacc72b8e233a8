"""The look of our log lines, and where they go if the application configures no logging.

Python's own last resort prints bare messages: under gunicorn, say, a traceback without a time, a
level or a process.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    _Stream = logging.StreamHandler[TextIO]
else:
    _Stream = logging.StreamHandler  # in Python 3.10 it takes no type

ROOT = "tina4_wsgi"
"""The logger that all of ours are children of."""

IS_STATIC = "tina4_wsgi.static"
"""Marks, in the environ, requests answered by a file: the access log has them at level debug."""


class LineFormatter(logging.Formatter):
    """Lays out a record as time, level, process where several log, logger and message."""

    def __init__(self, *, shows_process: bool = False) -> None:
        process = "[%(process)d] " if shows_process else ""
        super().__init__(
            f"%(asctime)s %(level)s {process}%(name)s: %(message)s", "%Y-%m-%d %H:%M:%S"
        )
        self._last_time = 0, ""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """Lay out the time, once a second."""
        second, text = self._last_time
        if second != int(record.created) or not text:
            text = super().formatTime(record, datefmt)
            self._last_time = int(record.created), text
        return text

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Lay out the line, without the traceback that may follow it."""
        record.level = self.level_of(record)
        return super().formatMessage(record)

    def level_of(self, record: logging.LogRecord) -> str:
        """Return the level as the line shows it."""
        return f"{record.levelname:<7}"


class FallbackHandler(_Stream):
    """Writes to stderr what no other handler takes, with time, level and process.

    It is silent as soon as the application has a handler of its own, on the root logger or anywhere
    above ours, so it is harmless whether logging is configured before or after it is installed.
    """

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self.setFormatter(LineFormatter(shows_process=True))
        self._ours = logging.getLogger(ROOT)

    def handle(self, record: logging.LogRecord) -> bool:
        """Handle a record; without the lock where another handler has it for sure."""
        if self._ours.propagate and logging.root.handlers:
            return False
        return bool(super().handle(record))

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record unless another handler does."""
        if not self._has_another(record.name):
            self.stream = sys.stderr  # tests and daemons replace it
            super().emit(record)

    def _has_another(self, name: str) -> bool:
        logger: logging.Logger | None = logging.getLogger(name)
        while logger is not None:
            if any(one is not self for one in logger.handlers):
                return True
            logger = logger.parent if logger.propagate else None
        return False


def install_fallback() -> None:
    """Show our log lines in full where the application configures no logging.

    Harmless when repeated.
    """
    logger = logging.getLogger(ROOT)
    if not any(isinstance(one, FallbackHandler) for one in logger.handlers):
        logger.addHandler(FallbackHandler())
