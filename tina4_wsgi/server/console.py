"""Output on a terminal: log lines, and colours where the terminal and the user want them.

A busy server logs thousands of requests and connections a second. Their lines are written together,
once for each turn of the hub, since a system call for each, which wakes whatever reads the log,
costs more than a request does. Any other record is written at once, behind those lines.
"""

from __future__ import annotations

import logging
import sys
from collections import deque
from typing import TYPE_CHECKING, Any, TextIO

from ..config import wants_colours
from ..logs import LineFormatter

if TYPE_CHECKING:
    _Stream = logging.StreamHandler[TextIO]
else:
    _Stream = logging.StreamHandler  # in Python 3.10 it takes no type

BOLD = "1"
RED = "31"
YELLOW = "33"
CYAN = "36"

_FREQUENT = frozenset({"tina4_wsgi.access", "tina4_wsgi.connection"})


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
        handler = LineHandler()
        handler.setFormatter(line_formatter(shows_process=shows_process))
        root.addHandler(handler)
        root.setLevel(level.upper())
        # Our lines don't show it, and finding it makes a `threading.Thread` in each greenlet.
        logging.logThreads = False


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


class LineHandler(_Stream):
    """Writes records to stderr: frequent lines at the end of the hub's turn, others at once."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[str] = deque()

    def handle(self, record: logging.LogRecord) -> bool:
        """Write a record, or keep its line for the end of the turn, which takes no lock."""
        is_frequent = record.name in _FREQUENT and record.levelno < logging.WARNING
        loop = _loop_here() if is_frequent and not self.filters else None
        if loop is None:
            return bool(super().handle(record))

        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001  # as the library's handlers do
            self.handleError(record)
            return True
        if not self._lines:
            loop.run_callback(self._write_lines)
        self._lines.append(f"{line}{self.terminator}")
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record at once, behind the lines that are kept."""
        self._write_lines()
        super().emit(record)

    def flush(self) -> None:
        """Write the lines that are kept, and flush the stream."""
        self._write_lines()
        super().flush()

    def _write_lines(self) -> None:
        # No lock, since the hub must not wait for one; any thread may add lines meanwhile.
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        if lines:
            try:
                self.stream.write("".join(lines))
                self.stream.flush()
            except (OSError, ValueError):
                pass  # nobody reads the log any more


def _loop_here() -> Any:  # Any: gevent ships no types
    """Return the event loop of this thread's hub, None if it has none."""
    # Imported late: a process imports this before it patches the standard library.
    from gevent._hub_local import get_hub_if_exists

    hub = get_hub_if_exists()
    return None if hub is None else hub.loop
