"""Output on a terminal."""

from __future__ import annotations

import io
import logging

import pytest

from tina4_wsgi.server.console import RED, YELLOW, ColouredLines, coloured, has_colours


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
