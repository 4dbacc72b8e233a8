"""How connections end in a test, and that nothing is left behind."""

from __future__ import annotations

import pytest

from tina4_wsgi import App, Router, UsageError
from tina4_wsgi.testing import HandshakeRefused, NotSettled, ReceiveTimeout, TestClient


def test_the_server_closes_with_code_and_reason(client):
    with client.websocket("/ws/chat/general") as ws:
        ws.send("leave")

        assert ws.closed_with == (4000, "as you like")


def test_the_client_closes_with_code_and_reason(chat, client):
    with client.websocket("/ws/chat/general") as ws:
        connection = ws.connection
        ws.close(4001, "bye")

    assert ws.closed_with == (4001, "bye")
    assert (connection.close_code, connection.close_reason) == (4001, "bye")
    assert chat.events.count(("close", "")) == 1


def test_leaving_the_block_is_a_normal_close(client):
    with client.websocket("/ws/chat/general") as ws:
        connection = ws.connection
        assert ws.closed_with is None

    assert ws.closed_with == (1000, "")
    assert connection.close_code == 1000


def test_a_broken_line_is_1006_on_both_sides(chat, client):
    with client.websocket("/ws/chat/general") as ws:
        connection = ws.connection
        ws.abort()

        assert ws.closed_with == (1006, "")
        assert connection.close_code == 1006
        assert chat.events[-1] == ("close", "")


def test_a_broken_line_with_unread_messages_is_1006_too(client):
    with client.websocket("/ws/chat/general") as ws:
        connection = ws.connection
        ws.send("hi", wait=False)
        ws.abort()

        assert connection.close_code == 1006


def test_a_close_that_comes_with_time_is_waited_for(chat_with):
    _, client = chat_with(idle_timeout_s=0.01)

    with client.websocket("/ws/chat/general") as ws:
        assert ws.wait_closed() == (1000, "idle")


def test_a_close_that_does_not_come_is_an_error(client):
    with client.websocket("/ws/chat/general") as ws:
        ws.send("hi")

        with pytest.raises(
            ReceiveTimeout, match=r"no close frame .* within 0\.01 s; received before: 'hi'"
        ):
            ws.wait_closed(timeout=0.01)


def test_a_server_that_cuts_the_line_is_1006(chat, client):
    with client.websocket("/ws/chat/general") as ws:
        ws.connection._lifecycle.transport.abort()

        assert ws.closed_with == (1006, "")
    assert chat.events[-1] == ("close", "")


def test_sending_into_a_line_that_was_just_cut_is_1006_too(client):
    with client.websocket("/ws/chat/general") as ws:
        ws.connection._lifecycle.transport.abort()
        ws.send("too late")

        assert ws.closed_with == (1006, "")


def test_a_line_that_is_cut_before_the_server_has_read_is_1006_too(client):
    with client.websocket("/ws/chat/general") as ws:
        ws.send("unread", wait=False)
        ws.connection._lifecycle.transport.abort()

        assert ws.closed_with == (1006, "")


def test_a_callback_that_survives_the_end_of_its_line_is_named(chat):
    with TestClient(chat.app, timeout=0.05) as client:
        ws = client.websocket("/ws/chat/general")
        ws.send("wait", wait=False)

        with pytest.raises(NotSettled, match="has not returned from 'message'"):
            ws.close()

        chat.gate.set()


def test_it_does_not_hide_why_the_test_failed(chat):
    client = TestClient(chat.app, timeout=0.05)

    def failing_test():
        with client.websocket("/ws/chat/general") as ws:
            ws.send("wait", wait=False)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing_test()
    chat.gate.set()
    client.close()


def test_the_client_answers_pings(client):
    with client.websocket("/ws/chat/general") as ws:
        transport = ws.connection._lifecycle.transport
        transport.was_heard = False

        transport.write(b"\x89\x02hi")
        client.settle()

        assert transport.was_heard
        ws.receive_nothing()


def test_a_close_code_that_may_not_travel_is_refused(client):
    with (
        client.websocket("/ws/chat/general") as ws,
        pytest.raises(UsageError, match="1006 may not travel"),
    ):
        ws.close(1006)


def test_draining_says_1001_to_everybody(chat, client):
    with client.websocket("/ws/chat/a") as ada, client.websocket("/ws/chat/b") as bob:
        chat.app.drain()

        assert [ws.closed_with[0] for ws in (ada, bob)] == [1001, 1001]
        assert ada.closed_with[1].startswith("going away; retry in ")


def test_closing_the_client_closes_its_websockets(chat):
    client = TestClient(chat.app)
    ws = client.websocket("/ws/chat/general")

    client.close()
    client.close()

    assert ws.closed_with == (1001, "")
    assert chat.events == [("open", ""), ("close", "")]


@pytest.mark.parametrize("gives", [False, True])
def test_closing_the_client_releases_its_apps_though_all_were_refused(gives):
    def auth(request):
        if gives:
            raise ValueError

    router = Router()
    router.websocket("/ws", lambda connection, event, data: None, auth=auth)
    app = App(router=router)
    # That the thread which watches its loop ends, too, is seen by the check of each test.
    with (
        TestClient(app, raise_errors=False) as client,
        pytest.raises(HandshakeRefused),
    ):
        client.websocket("/ws").__enter__()

    assert not app._runtime._engines


def test_a_failing_test_is_told_its_own_error_and_nothing_else(chat, client):
    def failing_test():
        with client.websocket("/ws/chat/general") as ws:
            ws.send("bad", wait=False)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing_test()

    assert chat.events[-1] == ("close", "")
    assert len(client.errors) == 1
    with pytest.raises(LookupError):
        client.settle()


def test_closing_the_client_leaves_the_app_nothing_of_this_thread(chat):
    with TestClient(chat.app) as client, client.websocket("/ws/chat/general"):
        pass
    (engines,) = [vars(chat.app._runtime)["_engines"]]

    assert engines == {}
    assert chat.app.count("/ws/chat/general") == 0
