"""Several clients in one test: what they see needs no sleep, and "nothing" means nothing."""

from __future__ import annotations

import threading

import gevent
import pytest

from tina4_wsgi import broadcast
from tina4_wsgi.testing import NotSettled, TestClient


def test_a_broadcast_is_there_for_everybody_when_send_returns(client):
    with (
        client.websocket("/ws/chat/general") as ada,
        client.websocket("/ws/chat/general") as bob,
        client.websocket("/ws/chat/other") as eve,
    ):
        assert ada.receive() == "joined"
        bob.send("hi")

        assert (ada.pending, bob.pending, eve.pending) == (("hi",), ("hi",), ())
        eve.receive_nothing()


def test_a_message_where_none_is_expected_is_shown(client):
    with client.websocket("/ws/chat/general") as ws:
        ws.send("hi")

        with pytest.raises(
            AssertionError, match="expected no message on /ws/chat/general, got 'hi'"
        ):
            ws.receive_nothing()


def test_open_has_returned_when_the_websocket_is_there(chat, client):
    with client.websocket("/ws/chat/general"):
        assert chat.events == [("open", "")]
        assert client.get("/online").json == {"online": 1}


def test_close_has_returned_when_the_block_is_left(chat, client):
    with client.websocket("/ws/chat/general") as stays:
        with client.websocket("/ws/chat/general"):
            pass

        assert chat.events[-1] == ("close", "")
        assert client.get("/online").json == {"online": 1}
        assert stays.receive_all() == ["joined", "left"]


def test_send_returns_when_the_callback_has(chat, client):
    with client.websocket("/ws/chat/general") as ws:
        for number in range(3):
            ws.send(str(number))

            assert chat.events[-1] == ("message", str(number))


def test_messages_sent_without_waiting_arrive_in_order(client):
    with client.websocket("/ws/chat/general") as ws:
        for number in range(500):
            ws.send(str(number), wait=False)

        assert ws.receive_all() == [str(number) for number in range(500)]


def test_a_callback_that_waits_for_another_client_is_not_waited_for(chat, client):
    with client.websocket("/ws/chat/general") as ada, client.websocket("/ws/chat/other") as bob:
        ada.send("wait", wait=False)
        bob.send("hi")
        assert bob.receive() == "hi"

        chat.gate.set()

        assert ada.receive() == "waited"


def test_settling_waits_for_callbacks_that_wait_for_time(chat, client):
    with client.websocket("/ws/chat/general") as ws:
        gevent.spawn_later(0.02, chat.gate.set)
        ws.send("wait", wait=False)

        client.settle()

        assert ws.pending == ("waited",)


def test_a_callback_that_never_returns_is_named_with_its_line(chat, client):
    with client.websocket("/ws/chat/general") as ws:
        ws.send("wait", wait=False)

        with pytest.raises(
            NotSettled,
            match=r"/ws/chat/\{room\} has not returned from 'message', it waits at .*gate",
        ):
            client.settle(timeout=0.05)

        chat.gate.set()


def test_a_callback_that_stays_in_open_is_named_too(chat):
    with (
        TestClient(chat.app, timeout=0.05) as client,
        pytest.raises(NotSettled, match="from 'open'"),
    ):
        client.websocket("/ws/ticker")

    assert chat.events == [("open", ""), ("close", "")]


def test_a_callback_may_stay_in_open_by_design(chat, client):
    with client.websocket("/ws/ticker", wait_for_open=False) as ws:
        assert [ws.receive() for _ in range(3)] == ["tick"] * 3

    assert chat.events == [("open", ""), ("close", "")]


def test_an_http_handler_and_the_module_reach_the_path(client):
    with client.websocket("/ws/chat/general") as ws:
        client.post("/say/general", json={"text": "by a page"})
        broadcast("/ws/chat/general", "by the module")

        assert ws.receive_all() == ["by a page", "by the module"]


def test_a_condition_is_waited_for_while_the_app_runs(client):
    with client.websocket("/ws/chat/general") as ws:
        worker = threading.Thread(target=ws.connection.send, args=["from a native thread"])
        worker.start()

        client.wait_until(lambda: not worker.is_alive())

        assert ws.receive() == "from a native thread"


def test_a_condition_that_is_never_met_is_an_error(client):
    with pytest.raises(NotSettled, match=r"after 0.02 s the condition is not met"):
        client.wait_until(lambda: False, timeout=0.02)


def test_two_clients_have_cookies_of_their_own(chat, client):
    client.post("/login")

    with TestClient(chat.app) as stranger, stranger.websocket("/ws/chat/general") as ws:
        assert "user" not in ws.connection.cookies
        assert client.get_cookie("user").value == "ada"


def test_a_greenlet_that_never_rests_is_an_error_too(chat):
    def spin():
        while True:
            gevent.sleep(0)

    with TestClient(chat.app, timeout=0.1) as client, client.websocket("/ws/chat/general"):
        spinner = gevent.spawn(spin)
        try:
            with pytest.raises(NotSettled, match=r"after 0\.1 s the hub was still busy"):
                client.settle()
        finally:
            spinner.kill()
