"""Taking a connection from waitress, whose main loop and task threads the tests run by hand."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import waitress
from waitress import wasyncore

from tests.support.raw import TEXT, RawClient, client_frame, request_head
from tina4_wsgi.hosting import native_places, native_shell

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HANDSHAKE = request_head("/ws", "localhost", KEY)
PAGE = b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n"
FRAMES = [client_frame(TEXT, word) for word in (b"one", b"two", b"three")]
ANSWER_S = 10.0


class ByHand:
    """Waitress's task threads: a task runs when the test says so."""

    def __init__(self):
        self.tasks = []

    def add_task(self, task):
        self.tasks.append(task)

    def set_thread_count(self, count):
        """Start no threads."""

    def run(self):
        self.tasks.pop(0).service()


class House:
    """A waitress with an app that takes every upgrade.

    Attributes:
        taken: for each connection that was taken, the head, the early bytes and the stream.
        others: what was answered in place of a 101.
        answer: what the app begins its answer to an upgrade with.
        before_answer: called before that.
    """

    def __init__(self, **options):
        self.map = {}
        self.taken, self.others = [], []
        self.answer = "101 Switching Protocols"
        self.before_answer = list
        self.tasks = ByHand()
        self.server = waitress.create_server(
            self.app,
            map=self.map,
            _dispatcher=self.tasks,
            host="127.0.0.1",
            port=0,
            clear_untrusted_proxy_headers=True,
            **options,
        )
        self.clients = []

    def app(self, environ, start_response):
        if "HTTP_UPGRADE" not in environ:
            start_response("200 OK", [("Content-Length", "6")])
            return [b"a page"]
        self.channel = native_places.waitress_channel(environ)
        self.channel.place_door(self.switch, self.others.append)
        self.before_answer()
        start_response(self.answer, [("Sec-WebSocket-Accept", "x")])
        return [b""]

    def switch(self, head):
        early = self.channel.read_ahead()
        self.channel.leave_loop()
        stream = native_shell.detach(self.channel.sock, is_prompt=True)
        self.taken.append(SimpleNamespace(head=head, early=early, stream=stream))

    def dial(self, *sent):
        client = RawClient.dial(("127.0.0.1", self.server.effective_port), ANSWER_S)
        self.clients.append(client)
        for data in sent:
            client.send_bytes(data)
        return client

    @property
    def channels(self):
        return list(self.server.active_channels.values())

    def turn(self):
        """Let the main loop look once at all of its channels."""
        wasyncore.poll(0.0, self.map)

    def turn_until(self, is_done):
        """Let it look until something has happened: until the deadline of the test."""
        while not is_done():
            wasyncore.poll(0.1, self.map)

    def close(self):
        for one in self.taken:
            one.stream.close()
        for client in self.clients:
            client.close()
        wasyncore.close_all(self.map, ignore_all=True)


@contextlib.contextmanager
def house(**options) -> Iterator[House]:
    made = House(**options)
    try:
        yield made
    finally:
        made.close()


def readable(sock):
    assert select.select([sock], [], [], ANSWER_S)[0]


def test_the_main_loop_gives_the_connection_away_and_forgets_it():
    with house() as waiting:
        client = waiting.dial(HANDSHAKE)
        waiting.turn_until(lambda: waiting.tasks.tasks)
        waiting.tasks.run()
        assert waiting.taken == []  # the task's thread takes nothing
        waiting.turn()

        (one,) = waiting.taken
        assert one.head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        assert waiting.channels == []
        one.stream.send(b"hello")
        assert client.read_exactly(5) == b"hello"  # and nothing before it


def test_what_came_with_the_handshake_is_recovered():
    with house() as waiting:
        waiting.dial(HANDSHAKE + FRAMES[0])
        waiting.turn_until(lambda: waiting.tasks.tasks)
        waiting.tasks.run()
        waiting.turn()

        assert waiting.taken[0].early == FRAMES[0]


def test_what_the_main_loop_reads_between_the_answer_and_the_taking_is_recovered_in_order():
    """With a lookahead it goes on reading while a task runs."""
    with house(channel_request_lookahead=3) as waiting:
        client = waiting.dial(HANDSHAKE + FRAMES[0])
        waiting.turn_until(lambda: waiting.tasks.tasks)
        (channel,) = waiting.channels
        client.send_bytes(FRAMES[1])
        readable(channel.socket)
        channel.handle_read()  # before the answer
        waiting.tasks.run()
        client.send_bytes(FRAMES[2])
        readable(channel.socket)
        channel.handle_read()  # behind it, and the task has ended
        waiting.turn()

        assert waiting.taken[0].early == b"".join(FRAMES)


def test_a_read_that_was_under_way_when_the_task_ended_loses_nothing():
    with house(channel_request_lookahead=3) as waiting:
        waiting.dial(HANDSHAKE)
        waiting.turn_until(lambda: waiting.tasks.tasks)
        (channel,) = waiting.channels
        received = channel.received  # the main loop has called this, and waits for its lock
        waiting.tasks.run()
        received(FRAMES[0])
        waiting.turn()

        assert waiting.taken[0].early == FRAMES[0]


def test_a_channel_that_is_closed_when_its_task_ends_is_taken_first():
    """With `asyncore_use_poll` the channel's turn may come before that of the trigger."""
    with house() as waiting:
        client = waiting.dial(HANDSHAKE)
        waiting.turn_until(lambda: waiting.tasks.tasks)
        (channel,) = waiting.channels
        waiting.tasks.run()
        channel.will_close = True  # as the server's maintenance does
        channel.handle_write()
        waiting.turn()

        (one,) = waiting.taken
        one.stream.send(b"hello")
        assert client.read_exactly(5) == b"hello"


def test_an_earlier_answer_leaves_before_the_connection_is_taken():
    with house() as waiting:
        waiting.server.adj.send_bytes = 18_000  # so that a short answer waits for the main loop
        client = waiting.dial(PAGE + HANDSHAKE)
        waiting.turn_until(lambda: waiting.tasks.tasks)
        waiting.tasks.run()  # the page, which no main loop sends yet
        (channel,) = waiting.channels
        assert channel.total_outbufs_len > 0
        waiting.tasks.run()
        waiting.turn_until(lambda: waiting.taken)
        waiting.taken[0].stream.send(b"hello")

        assert client.read_head().status == 200
        assert client.read_exactly(len(b"a pagehello")) == b"a pagehello"


@pytest.mark.parametrize("lookahead", [0, 3])
def test_a_request_behind_the_handshake_means_no_101(lookahead):
    """Waitress has parsed it: its bytes can't be had any more."""
    with house(channel_request_lookahead=lookahead) as waiting:
        client = waiting.dial(HANDSHAKE + PAGE)
        waiting.turn_until(lambda: waiting.tasks.tasks)
        waiting.tasks.run()
        waiting.turn_until(lambda: waiting.channels == [])

        assert waiting.taken == []
        assert waiting.others == [b""]
        assert client.read_to_end() == b""


def test_a_channel_knows_that_a_request_came_behind_the_handshake():
    with house() as waiting:
        waiting.dial(HANDSHAKE + PAGE)
        waiting.turn_until(lambda: waiting.tasks.tasks)
        (channel,) = waiting.channels
        environ = {"waitress.client_disconnected": channel.check_client_disconnected}

        assert native_places.waitress_channel(environ).has_lost_bytes


def test_another_answer_passes_and_the_channel_is_as_it_was():
    with house() as waiting:
        waiting.answer = "403 Forbidden"
        client = waiting.dial(HANDSHAKE)
        waiting.turn_until(lambda: waiting.tasks.tasks)
        (channel,) = waiting.channels
        kind = type(channel)
        waiting.tasks.run()
        waiting.turn()

        assert client.read_head().status == 403
        assert waiting.others[0].startswith(b"HTTP/1.1 403 Forbidden\r\n")
        assert type(channel) is kind
        assert waiting.taken == []


def test_a_client_that_leaves_before_the_answer_is_given_up():
    with house() as waiting:
        waiting.dial(HANDSHAKE)
        waiting.turn_until(lambda: waiting.tasks.tasks)
        (channel,) = waiting.channels
        waiting.before_answer = lambda: setattr(
            channel, "connected", False
        )  # as the main loop does
        waiting.tasks.run()
        channel.handle_write()

        assert waiting.others == [b""]
        assert waiting.taken == []


def test_a_server_that_ends_before_the_answer_gives_up():
    with house() as waiting:
        waiting.dial(HANDSHAKE)
        waiting.turn_until(lambda: waiting.tasks.tasks)
        (channel,) = waiting.channels
        waiting.channel = native_places.waitress_channel(
            {"waitress.client_disconnected": channel.check_client_disconnected}
        )
        waiting.channel.place_door(waiting.switch, waiting.others.append)
        wasyncore.close_all(waiting.map)

        assert waiting.others == [b""]
        assert waiting.taken == []


def test_what_is_written_behind_the_101_reaches_nobody():
    with house() as waiting:
        client = waiting.dial(HANDSHAKE)
        waiting.turn_until(lambda: waiting.tasks.tasks)
        (channel,) = waiting.channels
        waiting.tasks.run()
        assert channel.write_soon(b"body") == 4
        waiting.turn()
        assert channel.write_soon(b"more") == 4
        waiting.taken[0].stream.shutdown(socket.SHUT_WR)

        assert client.read_to_end() == b""
        assert waiting.channel.is_taken
