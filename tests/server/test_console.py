"""Output on a terminal."""

from __future__ import annotations

import io
import logging
import threading

import gevent
import pytest

from tina4_wsgi.server.console import (
    RED,
    YELLOW,
    ColouredLines,
    LineHandler,
    coloured,
    has_colours,
)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


def test_a_terminal_has_colours_and_a_file_has_none():
    assert has_colours(Terminal())
    assert not has_colours(io.StringIO())


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_the_user_can_refuse_colours(monkeypatch, name, value):
    monkeypatch.setenv(name, value)

    assert not has_colours(Terminal())


def test_a_text_is_coloured_only_where_colours_are_wanted():
    assert coloured("hot", RED) == "\x1b[31mhot\x1b[0m"
    assert coloured("hot", RED, wanted=False) == "hot"
    assert coloured("hot", "") == "hot"


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        (logging.INFO, "INFO   "),
        (logging.WARNING, coloured("WARNING", YELLOW)),
        (logging.ERROR, coloured("ERROR  ", RED)),
    ],
)
def test_the_level_of_a_line_has_the_colour(level, shown):
    record = logging.LogRecord("shop", level, __file__, 1, "text", None, None)

    assert ColouredLines().level_of(record) == shown


class Log(io.StringIO):
    """Counts what is written at once."""

    def __init__(self):
        super().__init__()
        self.writes = 0

    def write(self, text):
        self.writes += 1
        return super().write(text)


@pytest.fixture
def log():
    handler, log = LineHandler(), Log()
    handler.stream = log

    def write(name, level, text):
        handler.handle(logging.LogRecord(name, level, __file__, 1, text, None, None))

    log.put, log.handler = write, handler
    return log


def test_lines_of_requests_are_written_together_at_the_end_of_the_turn(log):
    gevent.get_hub()
    for number in range(3):
        log.put("tina4_wsgi.access", logging.INFO, f"request {number}")

    assert log.getvalue() == ""
    gevent.sleep(0)
    gevent.sleep(0)
    assert log.getvalue() == "request 0\nrequest 1\nrequest 2\n"
    assert log.writes == 1


@pytest.mark.parametrize(
    ("name", "level"),
    [("tina4_wsgi.access", logging.WARNING), ("shop", logging.INFO), ("shop", logging.ERROR)],
)
def test_any_other_line_is_written_at_once_behind_them(log, name, level):
    gevent.get_hub()
    log.put("tina4_wsgi.connection", logging.INFO, "open")
    log.put(name, level, "other")

    assert log.getvalue() == "open\nother\n"


def test_a_flush_writes_what_is_kept(log):
    gevent.get_hub()
    log.put("tina4_wsgi.access", logging.INFO, "request")
    log.handler.flush()

    assert log.getvalue() == "request\n"


def test_a_thread_without_a_hub_writes_at_once(log):
    thread = threading.Thread(target=log.put, args=("tina4_wsgi.access", logging.INFO, "request"))
    thread.start()
    thread.join()

    assert log.getvalue() == "request\n"


def test_a_log_that_nobody_reads_any_more_is_no_error(log):
    gevent.get_hub()
    log.put("tina4_wsgi.access", logging.INFO, "request")
    log.close()

    log.handler.flush = lambda: None
    gevent.sleep(0)
    gevent.sleep(0)
