"""Log lines where nobody configured logging: in full, on stderr, and only there."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d WARNING \[\d+\] tina4_wsgi\.service: too far\n")
MAKE_AN_APP = "import logging, sys; from tina4_wsgi import App, Router; App(router=Router())\n"
WARN = "logging.getLogger('tina4_wsgi.service').warning('too far')\n"


def stderr_of(program: str, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=variables,
    )
    return done.stderr


def test_a_line_of_ours_has_time_level_process_and_logger():
    assert LINE.fullmatch(stderr_of(MAKE_AN_APP + WARN))


def test_a_second_app_adds_no_second_line():
    assert LINE.fullmatch(stderr_of(MAKE_AN_APP + "App(router=Router())\n" + WARN))


@pytest.mark.parametrize(
    "configure",
    [
        "logging.basicConfig(format='mine: %(message)s')\n",
        "handler = logging.StreamHandler(); handler.setFormatter(logging.Formatter('mine: "
        "%(message)s'))\n"
        "logging.getLogger('tina4_wsgi').addHandler(handler)\n",
        "handler = logging.StreamHandler(); handler.setFormatter(logging.Formatter('mine: "
        "%(message)s'))\n"
        "logging.getLogger('tina4_wsgi.service').addHandler(handler)\n",
        "import logging.config; logging.config.dictConfig({'version': 1, "
        "'disable_existing_loggers': False, 'formatters': "
        "{'f': {'format': 'mine: %(message)s'}}, 'handlers': {'h': {'class': "
        "'logging.StreamHandler', 'formatter': 'f'}}, "
        "'root': {'handlers': ['h']}})\n",
    ],
    ids=["root", "ours", "a child of ours", "dictConfig"],
)
@pytest.mark.parametrize("is_first", [True, False], ids=["before the app", "after the app"])
def test_a_handler_of_the_application_takes_the_line_alone(configure, is_first):
    made = "import logging\n" + configure + MAKE_AN_APP if is_first else MAKE_AN_APP + configure

    assert stderr_of(made + WARN) == "mine: too far\n"


def test_lines_below_the_level_are_not_shown():
    assert (
        stderr_of(MAKE_AN_APP + "logging.getLogger('tina4_wsgi.connection').info('open')\n") == ""
    )


def test_a_level_that_the_application_sets_holds():
    shown = stderr_of(
        MAKE_AN_APP + "logging.getLogger('tina4_wsgi').setLevel('INFO')\n"
        "logging.getLogger('tina4_wsgi.connection').info('open')\n"
    )

    assert re.fullmatch(r"\S+ \S+ INFO    \[\d+\] tina4_wsgi\.connection: open\n", shown)


def test_a_variable_that_is_no_setting_is_logged_once_with_what_was_meant():
    shown = stderr_of(
        MAKE_AN_APP + "App(router=Router())\n", TINA4_WS_PING_INTERVAL="3", TINA4_WS_COLOUR="red"
    )

    lines = [line.partition("tina4_wsgi.checks: ")[2] for line in shown.splitlines()]
    assert lines == [
        "TINA4_WS_COLOUR is no setting and changes nothing; the README's table lists all settings",
        "TINA4_WS_PING_INTERVAL is no setting and changes nothing; did you mean "
        "TINA4_WS_PING_INTERVAL_S?",
    ]
