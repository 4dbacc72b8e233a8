"""Output on a terminal: log lines, and colours where the terminal and the user want them."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

from ..config import wants_colours
from ..logs import LineFormatter

BOLD = "1"
RED = "31"
YELLOW = "33"
CYAN = "36"


def has_colours(stream: TextIO) -> bool:
    """Return whether a stream is a terminal, and neither NO_COLOR nor TERM=dumb is set."""
    return stream.isatty() and wants_colours()


def coloured(text: str, colour: str, *, wanted: bool = True) -> str:
    """Return a text in a colour (ECMA-48 SGR), or unchanged if colours aren't wanted."""
    return f"\x1b[{colour}m{text}\x1b[0m" if wanted and colour else text


def configure_logging(level: str, *, shows_process: bool = False) -> None:
    """Log to stderr, one line per record, unless the application has configured logging."""
    root = logging.getLogger()
    if not root.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(line_formatter(shows_process=shows_process))
        root.addHandler(handler)
        root.setLevel(level.upper())


def line_formatter(*, shows_process: bool = False) -> LineFormatter:
    """Return the formatter of log lines for stderr, with colours if stderr takes them."""
    kind = ColouredLines if has_colours(sys.stderr) else LineFormatter
    return kind(shows_process=shows_process)


class ColouredLines(LineFormatter):
    """The same lines with the level in colour."""

    def level_of(self, record: logging.LogRecord) -> str:
        """Return the level as the line shows it."""
        return coloured(super().level_of(record), _colour(record.levelno))


def _colour(level: int) -> str:
    if level >= logging.ERROR:
        return RED
    return YELLOW if level >= logging.WARNING else ""
