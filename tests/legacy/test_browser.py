"""What `make legacy` compares: a changed byte is a difference, a date or a secret is none."""

from __future__ import annotations

import http.server
import threading
from urllib.parse import unquote

import pytest

from legacy.browser import Answer, Browser, differences, mask

TOKEN = {"token": rb"token=(\w+)"}


def answer(body: bytes, *fields: bytes) -> Answer:
    lines = [b"HTTP/1.1 200 OK", *fields, b"Content-Length: %d" % len(body), b"", body]
    return Answer("GET /", b"\r\n".join(lines), 200, {}, body.decode())


def test_the_same_answers_have_no_differences():
    assert differences([answer(b"a page")], [answer(b"a page")], TOKEN) == []


@pytest.mark.parametrize(
    "other", [answer(b"a Page"), answer(b"a page", b"X-More: 1"), answer(b"a page ")]
)
def test_another_byte_is_a_difference(other):
    (found,) = differences([answer(b"a page")], [other], TOKEN)

    assert found.startswith("GET /: ")


def test_another_order_of_fields_is_a_difference():
    one, two = (answer(b"", *fields) for fields in ([b"A: 1", b"B: 2"], [b"B: 2", b"A: 1"]))

    assert len(differences([one], [two], TOKEN)) == 1


def test_what_is_volatile_may_differ_in_its_length_too():
    one, two = answer(b"<a href='?token=1'>"), answer(b"<a href='?token=123'>")

    assert differences([one], [two], TOKEN) == []


def chunked(*chunks: bytes) -> Answer:
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    return Answer("GET /", raw, 200, {}, "")


def test_what_is_volatile_may_change_the_length_of_its_chunk():
    one, two = chunked(b"token=1", b"end"), chunked(b"token=12345678901", b"end")

    assert differences([one], [two], TOKEN) == []


def test_other_chunks_are_a_difference():
    one, two = chunked(b"a page"), chunked(b"a ", b"page")

    assert len(differences([one], [two], TOKEN)) == 1


def test_what_is_volatile_is_named_where_it_was():
    assert mask(b"\r\n\r\ntoken=abc; token=d;", TOKEN) == b"\r\n\r\ntoken=<token>; token=<token>;"


def test_a_wrong_content_length_stays_wrong():
    right, wrong = answer(b"token=1"), answer(b"token=1")
    wrong = Answer("GET /", wrong.raw.replace(b"Length: 7", b"Length: 8"), 200, {}, "")

    assert len(differences([right], [wrong], TOKEN)) == 1


def test_an_answer_that_is_missing_is_an_error():
    with pytest.raises(ValueError, match="shorter"):
        differences([answer(b""), answer(b"")], [answer(b"")], TOKEN)


def test_inputs_of_a_page_are_those_that_a_browser_would_send():
    page = """<input type="hidden" name="token" value="abc"><input value='x' name='title'>
    <input type="checkbox" name="no" value="1"><input name=unquoted><input name="empty">"""

    found = answer(page.encode()).inputs()

    assert found == {"token": "abc", "title": "x", "empty": ""}


def test_a_missing_input_is_told_with_the_page():
    with pytest.raises(AssertionError, match="GET / has no input 'token': a page"):
        answer(b"a page").field("token")


@pytest.fixture
def server():
    """A server that sets the cookies which it finds in the query, and tells those it got."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            for cookie in unquote(self.path).partition("?")[2].split("&"):
                self.send_header("Set-Cookie", cookie)
            body = self.headers.get("Cookie", "none").encode()
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *about):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.05,))
        thread.start()
        yield serving.server_address
        serving.shutdown()
        thread.join()


def test_a_browser_keeps_cookies_until_they_are_deleted(server):
    browser = Browser(server)
    browser.get("/?a=1&b=2&c=3&d=4")
    browser.get("/?b=&c=3;Max-Age=0&d=4;Expires=Thu,%2001%20Jan%201970%2000:00:00%20GMT")

    assert browser.get("/").must_be(200).text == "a=1"


def test_another_status_than_expected_is_told_with_the_page(server):
    with pytest.raises(AssertionError, match="GET /x was answered 200, expected 404: none"):
        Browser(server).get("/x").must_be(404)
