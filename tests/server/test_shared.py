"""Our own server on a socket that other processes listen on, too."""

from __future__ import annotations

import gevent
from gevent import socket

from tests.support.deadline import NEVER_S
from tests.support.own_server import ANSWER_S, hello, read_answer
from tests.support.raw import RawClient
from tina4_wsgi.config import Config
from tina4_wsgi.server.listening import ListenAddress
from tina4_wsgi.server.server import Server

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def dial(port: int) -> RawClient:
    return RawClient(socket.create_connection(("127.0.0.1", port), ANSWER_S))


def test_who_was_accepted_just_before_the_stop_is_answered_and_later_ones_are_left_to_others():
    with ListenAddress(port=0).listen() as listener:
        server = Server(hello, listener=listener.dup(), config=Config())
        server.start()
        with dial(server.port) as early:
            while not server.handlers:
                gevent.sleep(0)
            stopping = gevent.spawn(server.stop)
            gevent.sleep(0.02)
            with dial(server.port) as late:
                early.send_bytes(REQUEST)

                assert read_answer(early)[1] == b"hello"
                stopping.get(timeout=ANSWER_S)
                with listener.accept()[0] as theirs:
                    assert theirs.getpeername() == late.socket.getsockname()


def test_who_says_nothing_holds_the_stop_up_for_half_a_second_only():
    with ListenAddress(port=0).listen() as listener:
        server = Server(hello, listener=listener.dup(), config=Config(drain_timeout_s=NEVER_S))
        server.start()
        with dial(server.port) as silent:
            while not server.handlers:
                gevent.sleep(0)

            gevent.spawn(server.stop).get(timeout=ANSWER_S)

            assert silent.read_to_end() == b""


def test_an_application_is_told_whether_there_are_other_processes():
    seen = []

    def app(environ, start_response):
        seen.append(environ["wsgi.multiprocess"])
        return hello(environ, start_response)

    for is_one_of_many in (False, True):
        with ListenAddress(port=0).listen() as listener:
            server = Server(app, listener=listener, config=Config(), is_one_of_many=is_one_of_many)
            server.start()
            with dial(server.port) as client:
                client.send_bytes(REQUEST)
                read_answer(client)
                server.stop()

    assert seen == [False, True]
