"""What is printed on a terminal: log lines, and colours where they are wanted."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

from ..config import wants_colours

BOLD = "1"
DIM = "2"
RED = "31"
GREEN = "32"
YELLOW = "33"
CYAN = "36"


def has_colours(stream: TextIO) -> bool:
    """Say whether a stream takes colours: it is a terminal, and neither NO_COLOR nor TERM=dumb is set."""
    return stream.isatty() and wants_colours()


def coloured(text: str, colour: str, *, wanted: bool = True) -> str:
    """Give a text in a colour (ECMA-48 SGR), or as it is."""
    return f"\x1b[{colour}m{text}\x1b[0m" if wanted and colour else text


def configure_logging(level: str, *, shows_process: bool = False) -> None:
    """Log to stderr, one line per record; does nothing when the application has set up logging itself."""
    root = logging.getLogger()
    if not root.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(LineFormatter(has_colours=has_colours(sys.stderr), shows_process=shows_process))
        root.addHandler(handler)
        root.setLevel(level.upper())


class LineFormatter(logging.Formatter):
    """Lays out a record as time, level, logger and message; the level in colour, the process where several log."""

    def __init__(self, *, has_colours: bool, shows_process: bool = False) -> None:
        process = "[%(process)d] " if shows_process else ""
        super().__init__(f"%(asctime)s %(level)s {process}%(name)s: %(message)s", "%Y-%m-%d %H:%M:%S")
        self._has_colours = has_colours

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Lay out the line, without the traceback that may follow it."""
        record.level = coloured(f"{record.levelname:<7}", _colour(record.levelno), wanted=self._has_colours)
        return super().formatMessage(record)


def _colour(level: int) -> str:
    if level >= logging.ERROR:
        return RED
    return YELLOW if level >= logging.WARNING else ""
