"""A WebSocket in a test: sending, receiving, the handshake, and its refusals."""

from __future__ import annotations

import pytest
from gevent.event import Event

from tina4_wsgi import App, ConnectionClosed, ProtocolError, Router, UsageError
from tina4_wsgi.testing import HandshakeRefused, ReceiveTimeout, TestClient


def test_a_message_is_answered(client):
    with client.websocket("/ws/chat/general") as ws:
        ws.send("hi")

        assert ws.receive() == "hi"


def test_binary_stays_binary(client):
    with client.websocket("/ws/chat/general") as ws:
        ws.send(b"\x00\xff")

        assert ws.receive() == b"\x00\xff"


def test_json_goes_both_ways(client):
    with client.websocket("/ws/chat/general") as ws:
        ws.send_json({"text": "grüße", "n": [1, None]})

        assert ws.receive_json() == {"text": "grüße", "n": [1, None]}


def test_what_is_no_json_is_an_error_that_says_so(client):
    with client.websocket("/ws/chat/general") as ws:
        ws.send("{")

        with pytest.raises(
            ValueError,
            match=r"what came on /ws/chat/general is no JSON: '\{'; .* at line 1 column 2",
        ):
            ws.receive_json()


@pytest.mark.parametrize("size_bytes", [125, 126, 65_535, 65_536])
def test_a_message_of_any_length_form_comes_back_whole(client, size_bytes):
    text = "x" * size_bytes

    with client.websocket("/ws/chat/general") as ws:
        ws.send(text)

        assert ws.receive() == text


def test_a_message_that_is_too_long_for_the_app_ends_the_connection(client):
    with client.websocket("/ws/chat/general") as ws:
        ws.send("x" * 65_537)

        assert ws.wait_closed()[0] == 1009


def test_what_is_neither_text_bytes_list_nor_dict_is_not_sent(client):
    with (
        client.websocket("/ws/chat/general") as ws,
        pytest.raises(UsageError, match="message is a set, expected str"),
    ):
        ws.send({"hi"})


def test_many_long_messages_come_back_in_order(client):
    with client.websocket("/ws/chat/general") as ws:
        for number in range(100):
            ws.send(f"{number} {'x' * 20_000}")

        assert [message.split()[0] for message in ws.receive_all()] == [
            str(number) for number in range(100)
        ]


def test_what_the_kernel_does_not_take_leaves_when_the_app_reads_on():
    router, gate, sizes = Router(), Event(), []

    @router.websocket("/ws")
    def callback(connection, event, data):
        gate.wait()
        sizes.append(len(data))

    with (
        TestClient(App(router=router)) as client,
        client.websocket("/ws", wait_for_open=False) as ws,
    ):
        for _ in range(100):
            ws.send("x" * 60_000, wait=False)
        gate.set()
        client.wait_until(lambda: len(sizes) == 101)
        ws.receive_nothing()

    assert sizes == [0, *[60_000] * 100, 0]


def test_compressed_messages_are_read(chat_with):
    _, client = chat_with(deflate=True)
    offer = {"Sec-WebSocket-Extensions": "permessage-deflate"}

    with client.websocket("/ws/chat/general", headers=offer) as ws:
        ws.send("tina " * 1_000)

        assert ws.receive() == "tina " * 1_000
        assert "permessage-deflate" in ws.headers["Sec-WebSocket-Extensions"]


def test_the_first_subprotocol_that_the_route_speaks_is_chosen(client):
    with client.websocket("/ws/chat/general", subprotocols=["other", "chat.v1"]) as ws:
        assert ws.subprotocol == "chat.v1"
        assert ws.connection.subprotocol == "chat.v1"


def test_a_single_subprotocol_may_be_a_text(client):
    with client.websocket("/ws/chat/general", subprotocols="chat.v2") as ws:
        assert ws.subprotocol == "chat.v2"


def test_query_headers_and_path_arrive(client):
    with client.websocket(
        "/ws/chat/grün", query={"token": "a b"}, headers={"X-Kind": "test"}
    ) as ws:
        connection = ws.connection

        assert connection.params.room == "grün"
        assert connection.query["token"] == "a b"
        assert connection.headers["x-kind"] == "test"
        assert connection.ip == "127.0.0.1"


def test_a_cookie_of_a_page_is_sent_with_the_handshake(client):
    client.post("/login")

    with client.websocket("/ws/private") as ws:
        assert ws.receive() == "hello ada"


def test_a_refusal_says_status_headers_and_body(client):
    with pytest.raises(
        HandshakeRefused, match=r"/ws/private was answered 401 .*asks for a login"
    ) as refused:
        client.websocket("/ws/private")

    assert refused.value.status == 401
    assert refused.value.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert refused.value.text == "this WebSocket route asks for a login\n"


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/ws/nowhere", {}, 404),
        ("/ws/chat/general", {"Origin": "https://evil.example"}, 403),
        ("/ws/chat/general", {"Sec-WebSocket-Version": "12"}, 426),
        ("/ws/chat/general", {"Sec-WebSocket-Key": ""}, 400),
    ],
)
def test_the_real_handshake_refuses(client, path, headers, status):
    with pytest.raises(HandshakeRefused) as refused:
        client.websocket(path, headers=headers)

    assert refused.value.status == status


def test_a_time_out_says_what_came_before(client):
    with client.websocket("/ws/chat/general") as ws:
        ws.send("one")
        ws.receive()

        with pytest.raises(
            ReceiveTimeout, match=r"no message on /ws/chat/general within 0.01 s; .*'one'"
        ):
            ws.receive(timeout=0.01)


def test_receiving_after_the_end_says_how_it_ended(client):
    with client.websocket("/ws/chat/general") as ws:
        ws.send("leave")

        with pytest.raises(ConnectionClosed, match="4000 as you like"):
            ws.receive()


def test_sending_after_the_end_says_how_it_ended(client):
    ws = client.websocket("/ws/chat/general")
    ws.close(4321, "enough")

    with pytest.raises(ConnectionClosed, match="4321 enough"):
        ws.send("hi")


def test_what_came_before_the_end_is_still_received(client):
    with client.websocket("/ws/chat/general") as ws:
        ws.send("one", wait=False)
        ws.send("leave")

        assert ws.receive() == "one"


def test_a_message_that_comes_later_is_waited_for(client):
    with client.websocket("/ws/chat/general") as ws:
        ws.send("later")

        assert ws.receive(timeout=5) == "later"


def test_broken_frames_meet_the_real_codec(client):
    with client.websocket("/ws/chat/general") as ws:
        ws.send_raw(b"\x81\x02hi")  # not masked

        assert ws.wait_closed()[0] == 1002


def test_what_a_server_may_not_send_is_an_error(client):
    with client.websocket("/ws/chat/general") as ws:
        ws.connection._lifecycle.transport.write(b"\x81\x82\x00\x00\x00\x00hi")  # masked

        with pytest.raises(ProtocolError, match="a server's frame is masked"):
            ws.receive()


def test_a_client_says_what_it_is_in_a_traceback(client):
    ws = client.websocket("/ws/chat/general")

    assert repr(ws) == "<WebSocket /ws/chat/general open>"
    ws.close()
    assert repr(ws) == "<WebSocket /ws/chat/general closed (1000, '')>"
