"""A message that its client got wrong fills no log with tracebacks, and ends a session only where
that is asked for.
"""

from __future__ import annotations

import logging

import pytest

from tina4_wsgi import App, MessageError, Router
from tina4_wsgi.testing import TestClient

LOGGER = "tina4_wsgi.connection"
WRONG = ["{", "", "[1,]", "NaN", '{"a": "\\ud800"}', "nan\r\nforged: line"]


@pytest.fixture
def client():
    router = Router()

    def reads(connection, event, data):
        if event == "message":
            connection.send_json(connection.json(data))

    def checks(connection, event, data):
        if event == "message":
            raise MessageError("no text in it")

    router.websocket("/ws/reads", reads)
    router.websocket("/ws/strict", reads, on_error="close")
    router.websocket("/ws/checks", checks)
    with TestClient(App(router=router), raise_errors=False) as client:
        yield client


def records(caplog):
    return [one for one in caplog.records if one.name == LOGGER and one.levelno >= logging.WARNING]


@pytest.mark.parametrize("text", WRONG)
def test_what_is_not_json_is_one_warning_without_a_traceback_and_the_connection_stays(
    client, caplog, text
):
    with client.websocket("/ws/reads") as ws:
        ws.send(text)
        ws.send("[1]")

        assert ws.receive() == "[1]"

    (record,) = records(caplog)
    assert record.levelno == logging.WARNING
    assert record.exc_info is None
    assert record.getMessage().startswith("message on /ws/reads refused, connection ")
    assert "not JSON: " in record.getMessage()
    assert len(record.getMessage().splitlines()) == 1


def test_where_errors_close_it_ends_with_1007(client):
    with client.websocket("/ws/strict") as ws:
        ws.send("{")

        assert ws.wait_closed()[0] == 1007


def test_an_app_tells_so_of_mistakes_in_its_own_protocol(client, caplog):
    with client.websocket("/ws/checks") as ws:
        ws.send("{}")
        ws.receive_nothing()

    assert [one.getMessage().rpartition(": ")[2] for one in records(caplog)] == ["no text in it"]


def test_it_is_a_value_error_for_those_who_catch_that():
    assert issubclass(MessageError, ValueError)
