"""What the app's own code raises is raised in the test, unless the test doesn't want it."""

from __future__ import annotations

import logging

import pytest

from tina4_wsgi import App, Router
from tina4_wsgi.testing import HandshakeRefused, TestClient


def test_an_error_of_a_callback_is_raised_by_the_send_that_caused_it(client):
    with client.websocket("/ws/chat/general") as ws:
        with pytest.raises(LookupError, match="bad message") as raised:
            ws.send("bad")

        assert raised.traceback[-1].name == "chat"


def test_the_connection_goes_on_after_it_as_in_production(client):
    with client.websocket("/ws/chat/general") as ws:
        with pytest.raises(LookupError):
            ws.send("bad")
        ws.send("hi")

        assert ws.receive() == "hi"


def test_an_error_is_raised_where_another_client_waits_for_the_result(client):
    with client.websocket("/ws/chat/general") as ada, client.websocket("/ws/chat/general") as bob:
        ada.receive()
        bob.send("bad", wait=False)

        with pytest.raises(LookupError):
            ada.receive()


def test_it_is_logged_as_in_production(client, caplog):
    with client.websocket("/ws/chat/general") as ws, pytest.raises(LookupError):
        ws.send("bad")

    (record,) = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert record.name == "tina4_wsgi.connection"
    assert "/ws/chat/{room} raised at 'message'" in record.getMessage()


@pytest.mark.parametrize("event", ["open", "close"])
def test_an_error_in_open_or_close_is_raised_too(event):
    router = Router()

    @router.websocket("/ws")
    def callback(connection, now, data):
        if now == event:
            raise LookupError(event)

    with (
        TestClient(App(router=router)) as client,
        pytest.raises(LookupError, match=event),
        client.websocket("/ws"),
    ):
        pass


def test_an_error_of_a_page_is_raised(client):
    with pytest.raises(LookupError, match="broken page"):
        client.get("/broken")


def test_an_error_of_auth_is_raised(client):
    with pytest.raises(LookupError, match="no database"):
        client.websocket("/ws/private", query={"token": "broken"})


def test_without_raising_all_is_answered_as_in_production(chat_with):
    _, client = chat_with(raise_errors=False, on_error="close")

    with client.websocket("/ws/chat/general") as ws:
        ws.send("bad")

        assert ws.closed_with == (1011, "internal error")
    assert client.get("/broken").status_code == 500
    with pytest.raises(HandshakeRefused, match="500"):
        client.websocket("/ws/private", query={"token": "broken"})
    assert [str(error) for error in client.errors] == ["bad message", "broken page", "no database"]


def test_sending_to_somebody_who_has_gone_is_no_error():
    router = Router()

    @router.websocket("/ws")
    def callback(connection, event, data):
        if event == "message":
            connection.close()
            connection.send("too late")

    with TestClient(App(router=router)) as client, client.websocket("/ws") as ws:
        ws.send("hi")

        assert ws.closed_with == (1000, "")
