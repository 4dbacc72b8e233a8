"""Requests over real sockets to our own server: what the application sees, what the client gets."""

from __future__ import annotations

import logging
import socket as native_socket
import struct

import gevent
import pytest

from tests.support.own_server import ANSWER_S, dial, exchange, hello, read_answer, running

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LAST_GET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
PLAIN = [("Content-Type", "text/plain")]


def echo(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [*PLAIN, ("Content-Length", str(len(body)))])
    return [body]


def generated(environ, start_response):
    start_response("200 OK", PLAIN)
    return iter([b"ab", b"", b"cde"])


def broken(environ, start_response):
    raise KeyError("secret")


def test_a_connection_carries_one_request_after_the_other():
    with running(hello) as server, dial(server) as client:
        for _ in range(3):
            client.send_bytes(GET)
            head, body = read_answer(client)

            assert (head.status, body) == (200, b"hello")
            assert "connection" not in head.headers


def test_requests_sent_at_once_are_answered_in_order():
    def path_of(environ, start_response):
        start_response("200 OK", [*PLAIN, ("Content-Length", "2")])
        return [environ["PATH_INFO"].encode()]

    with running(path_of) as server, dial(server) as client:
        client.send_bytes(
            b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(5))
        )

        assert [read_answer(client)[1] for _ in range(5)] == [b"/0", b"/1", b"/2", b"/3", b"/4"]


def test_a_client_that_sends_without_pause_leaves_others_their_turn():
    seen = []

    def keeps_paths(environ, start_response):
        seen.append(environ["PATH_INFO"])
        return hello(environ, start_response)

    with running(keeps_paths) as server:
        # Plain sockets: all is in the kernel before the server gets to see any of it.
        flood, other = (
            native_socket.create_connection(("127.0.0.1", server.port)) for _ in range(2)
        )
        with flood, other:
            flood.sendall(b"GET /flood HTTP/1.1\r\nHost: a\r\n\r\n" * 1_000)
            other.sendall(b"GET /other HTTP/1.1\r\nHost: a\r\n\r\n")
            with gevent.Timeout(ANSWER_S):
                while len(seen) < 1_001:
                    gevent.sleep(0)

    assert seen.index("/other") < 500


def test_a_request_may_come_byte_by_byte():
    with running(echo) as server, dial(server) as client:
        for byte in (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
        ):
            client.send_bytes(bytes([byte]))

        assert read_answer(client)[1] == b"hi"


def test_a_client_that_wants_to_close_is_told_so_and_gets_its_end():
    with running(hello) as server:
        answer = exchange(server, LAST_GET)

    assert b"\r\nConnection: close\r\n" in answer
    assert answer.endswith(b"\r\n\r\nhello")


def test_http_1_0_closes_after_the_answer():
    with running(hello) as server:
        answer = exchange(server, b"GET / HTTP/1.0\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"hello")


def test_http_1_0_may_keep_the_connection():
    with running(hello) as server, dial(server) as client:
        for _ in range(2):
            client.send_bytes(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")

            assert read_answer(client)[0].headers["connection"] == "keep-alive"


def test_an_answer_of_unknown_length_is_chunked():
    with running(generated) as server:
        answer = exchange(server, LAST_GET)

    assert answer.endswith(b"\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n")


def test_an_answer_of_unknown_length_ends_with_the_connection_under_http_1_0():
    with running(generated) as server:
        answer = exchange(server, b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")

    assert b"keep-alive" not in answer
    assert answer.endswith(b"\r\nConnection: close\r\n\r\nabcde")


@pytest.mark.parametrize("app", [hello, generated])
def test_the_answer_to_head_has_no_body_whatever_the_application_gives(app):
    with running(app) as server, dial(server) as client:
        client.send_bytes(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + LAST_GET)

        assert client.read_head().status == 200
        assert client.read_head().status == 200  # the next thing on the wire is the next answer


def test_a_body_reaches_the_application():
    with running(echo) as server, dial(server) as client:
        client.send_bytes(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")

        assert read_answer(client)[1] == b"hello"


def test_a_large_body_and_a_large_answer_arrive_whole():
    data = bytes(range(256)) * 8_192

    with running(echo) as server, dial(server) as client:
        client.send_bytes(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(data) + data
        )

        assert read_answer(client)[1] == data


def test_a_body_that_nobody_read_is_not_taken_for_the_next_request():
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(smuggled) + smuggled
    seen = []

    def keeps_paths(environ, start_response):
        seen.append(environ["PATH_INFO"])
        return hello(environ, start_response)

    with running(keeps_paths) as server:
        answer = exchange(server, request + LAST_GET)

    assert seen == ["/", "/"]
    assert answer.count(b"HTTP/1.1 200 OK") == 2


def test_after_a_large_body_that_nobody_read_the_connection_is_closed_but_the_answer_arrives():
    def too_large(environ, start_response):
        start_response("413 Content Too Large", [*PLAIN, ("Content-Length", "2")])
        return [b"no"]

    with running(too_large) as server:
        answer = exchange(
            server,
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + bytes(700_000),
        )

    assert b"\r\nConnection: close\r\n" in answer
    assert answer.endswith(b"\r\n\r\nno")


def test_the_client_is_told_to_continue_when_the_body_is_read():
    with running(echo) as server, dial(server) as client:
        client.send_bytes(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        )
        assert client.read_exactly(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send_bytes(b"hi")

        assert read_answer(client)[1] == b"hi"


def test_a_client_whose_body_is_not_wanted_is_answered_without_continue_and_closed():
    with running(hello) as server:
        answer = exchange(
            server,
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
        )

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nConnection: close\r\n" in answer


def test_a_badly_chunked_body_is_a_400_and_the_end(caplog):
    with running(echo) as server:
        answer = exchange(
            server,
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + LAST_GET,
        )

    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert answer.endswith(b"\r\n\r\nchunk of the request body has no valid size\n")
    assert [(one.levelname, one.exc_info) for one in caplog.records] == [("WARNING", None)]


def test_a_body_that_is_read_amid_the_answer_is_not_asked_for_any_more():
    def answers_first(environ, start_response):
        start_response("200 OK", PLAIN)
        yield b"answer "
        yield environ["wsgi.input"].read()

    with running(answers_first) as server, dial(server) as client:
        client.send_bytes(
            b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\nExpect: "
            b"100-continue\r\n\r\nhi"
        )
        answer = client.read_to_end()

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\n7\r\nanswer \r\n2\r\nhi\r\n0\r\n\r\n")


def test_a_bad_body_that_is_read_amid_the_answer_ends_it_without_another(caplog):
    def answers_first(environ, start_response):
        start_response("200 OK", PLAIN)
        yield b"answer"
        yield environ["wsgi.input"].read()

    with running(answers_first) as server:
        answer = exchange(
            server,
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + LAST_GET,
        )

    assert answer.endswith(b"\r\n\r\n6\r\nanswer\r\n")
    assert answer.count(b"HTTP/1.1") == 1
    assert [one.getMessage() for one in caplog.records] == [
        "refused 400 from 127.0.0.1: chunk of the request body has no valid size"
    ]


def test_a_client_that_has_gone_before_its_refusal_is_no_error(caplog):
    with running(hello) as server:
        with native_socket.create_connection(("127.0.0.1", server.port), ANSWER_S) as sock:
            sock.sendall(
                b"GET / HTTP/1.1\r\n bad\r\n\r\n"
            )  # the server looks at it when the reset is there, too
            sock.setsockopt(
                native_socket.SOL_SOCKET, native_socket.SO_LINGER, struct.pack("ii", 1, 0)
            )

        assert exchange(server, LAST_GET).endswith(b"hello")
    assert [one for one in caplog.records if one.exc_info] == []


def test_an_application_that_swallows_a_bad_body_still_does_not_get_the_rest_as_a_request():
    seen = []

    def swallows(environ, start_response):
        seen.append(environ["PATH_INFO"])
        with pytest.raises(OSError):
            environ["wsgi.input"].read()
        return hello(environ, start_response)

    with running(swallows) as server:
        answer = exchange(
            server,
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nGET /x "
            b"HTTP/1.1\r\nHost: a\r\n\r\n",
        )

    assert seen == ["/"]
    assert b"\r\nConnection: close\r\n" in answer


def test_the_environ_is_what_wsgi_asks_for():
    seen = {}

    def keep(environ, start_response):
        seen.update(environ)
        return hello(environ, start_response)

    with running(keep) as server:
        exchange(
            server,
            b"GET /a%2Fb%C3%A9?q=%20 HTTP/1.1\r\nHost: example.org\r\nX-A: 1\r\nX_B: "
            b"2\r\nConnection: close\r\n\r\n",
        )
        port = server.port

    assert seen["REQUEST_METHOD"] == "GET"
    assert (seen["SCRIPT_NAME"], seen["PATH_INFO"], seen["QUERY_STRING"]) == ("", "/a/bÃ©", "q=%20")
    assert seen["RAW_URI"] == "/a%2Fb%C3%A9?q=%20"
    assert (seen["SERVER_NAME"], seen["SERVER_PORT"]) == ("127.0.0.1", str(port))
    assert (seen["SERVER_PROTOCOL"], seen["wsgi.url_scheme"]) == ("HTTP/1.1", "http")
    assert (seen["REMOTE_ADDR"], seen["HTTP_HOST"], seen["HTTP_X_A"]) == (
        "127.0.0.1",
        "example.org",
        "1",
    )
    assert "HTTP_X_B" not in seen
    assert seen["wsgi.input_terminated"] is True
    assert seen["wsgi.multithread"] is True


def test_an_application_that_fails_is_a_500_with_one_traceback_in_the_log(caplog):
    with running(broken) as server:
        answer = exchange(server, b"GET /x?token=1 HTTP/1.1\r\nHost: a\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert b"\r\nConnection: close\r\n" in answer
    assert b"secret" not in answer
    (record,) = caplog.records
    assert (record.levelname, record.getMessage()) == ("ERROR", "GET /x failed")
    assert record.exc_info is not None


def test_an_application_that_fails_within_its_answer_ends_the_connection_without_the_last_chunk(
    caplog,
):
    def breaks_off(environ, start_response):
        start_response("200 OK", PLAIN)
        yield b"ab"
        raise KeyError

    with running(breaks_off) as server:
        answer = exchange(server, GET)

    assert answer.endswith(b"\r\n\r\n2\r\nab\r\n")
    assert len(caplog.records) == 1


@pytest.mark.parametrize("error", [SystemExit, ConnectionResetError, TimeoutError])
def test_whatever_an_application_raises_the_server_goes_on(error, caplog):
    def app(environ, start_response):
        if environ["PATH_INFO"] == "/bad":
            raise error
        return hello(environ, start_response)

    with running(app) as server:
        assert exchange(server, b"GET /bad HTTP/1.1\r\nHost: a\r\n\r\n").startswith(
            b"HTTP/1.1 500 "
        )
        assert exchange(server, LAST_GET).endswith(b"hello")


def test_an_application_that_does_not_answer_is_a_500(caplog):
    with running(lambda environ, start_response: []) as server:
        assert exchange(server, GET).startswith(b"HTTP/1.1 500 ")


@pytest.mark.parametrize("length", ["4", "6"])
def test_an_answer_that_is_not_as_long_as_announced_ends_the_connection(length, caplog):
    def wrong(environ, start_response):
        start_response("200 OK", [("Content-Length", length)])
        return [b"hello"]

    with running(wrong) as server:
        answer = exchange(server, GET + GET)

    assert answer.count(b"HTTP/1.1") == 1
    assert [one.levelname for one in caplog.records] == ["ERROR"]


@pytest.mark.parametrize("value", ["a\0b", "a\rb", "a\nb"])
def test_a_header_that_would_break_the_answer_is_a_500(value, caplog):
    def injects(environ, start_response):
        start_response("200 OK", [("X-A", value)])
        return [b"hello"]

    with running(injects) as server:
        answer = exchange(server, GET)

    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"X-A" not in answer


def test_every_accepted_socket_has_nodelay():
    with running(hello) as server, dial(server) as client:
        client.send_bytes(GET)
        read_answer(client)
        (handler,) = server.handlers

        assert handler.socket.getsockopt(native_socket.IPPROTO_TCP, native_socket.TCP_NODELAY)


def test_the_access_log_has_a_line_for_each_request_without_its_query(caplog):
    caplog.set_level(logging.INFO, "tina4_wsgi.access")

    with running(hello) as server:
        exchange(server, b"GET /a?token=secret HTTP/1.1\r\nHost: a\r\n\r\n" + LAST_GET)

    lines = [one.getMessage() for one in caplog.records if one.name == "tina4_wsgi.access"]
    assert len(lines) == 2
    assert lines[0].startswith('127.0.0.1 "GET /a HTTP/1.1" 200 5 ')
    assert "secret" not in caplog.text


def test_a_client_that_resets_is_no_error(caplog):
    with running(hello) as server:
        for data in (b"", b"GET / HT", GET + b"GET"):
            with dial(server) as client:
                client.send_bytes(data)
                client.reset()

        assert exchange(server, LAST_GET).endswith(b"hello")

    assert [one for one in caplog.records if one.levelno >= logging.ERROR] == []


def test_an_idle_connection_holds_no_environ():
    with running(hello) as server, dial(server) as client:
        client.send_bytes(GET)
        read_answer(client)
        (handler,) = server.handlers

        assert handler.environ is None
