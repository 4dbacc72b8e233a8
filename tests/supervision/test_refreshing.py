"""Which answers get the script that loads a page again, and that nothing else of them changes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from werkzeug.test import Client
from werkzeug.wrappers import Response

from tina4_wsgi.supervision.refreshing import SCRIPT_PATH, Refreshing, leave_own_lines_out

PAGE = "<!doctype html><p>hello</p>\n"
MARK = b'<script src="/__tina4/reload.js?version='
OPENED = {"Sec-Fetch-Dest": "document"}


def client_of(app: Callable[..., Any]) -> Client:
    return Client(Refreshing(app))


def body_of(response: Any) -> bytes:
    """The body, having seen that it is as long as the head says."""
    body: bytes = response.get_data()
    if "Content-Length" in response.headers:
        assert int(response.headers["Content-Length"]) == len(body)
    return body


@pytest.mark.parametrize(
    "headers",
    [OPENED, {"Sec-Fetch-Dest": "iframe"}, {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}],
)
def test_a_page_that_a_browser_opens_gets_the_script(headers):
    response = client_of(Response(PAGE, mimetype="text/html")).get("/", headers=headers)

    assert body_of(response).startswith(PAGE.encode() + MARK)
    assert response.headers["Cache-Control"] == "no-store"


def test_a_page_of_an_error_gets_it_too():
    response = client_of(Response(PAGE, 500, mimetype="text/html")).get("/", headers=OPENED)

    assert response.status_code == 500
    assert MARK in body_of(response)


@pytest.mark.parametrize(
    ("answer", "headers"),
    [
        (Response(PAGE, mimetype="text/html"), {"Sec-Fetch-Dest": "empty", "Accept": "text/html"}),
        (Response(PAGE, mimetype="text/html"), {"Accept": "*/*"}),
        (Response(PAGE, mimetype="text/html"), {}),
        (Response('"<p>"', mimetype="application/json"), OPENED),
        (Response(PAGE, mimetype="text/html", headers={"Content-Encoding": "br"}), OPENED),
        (
            Response(PAGE, mimetype="text/html", headers={"Content-Disposition": "attachment"}),
            OPENED,
        ),
    ],
    ids=["fetch", "anything", "no word", "json", "encoded", "download"],
)
def test_everything_else_is_left_as_it_is(answer, headers):
    response = client_of(answer).get("/", headers=headers)

    assert body_of(response) == answer.get_data()
    assert "no-store" not in response.headers.get("Cache-Control", "")


def test_head_is_left_as_it_is():
    response = client_of(Response(PAGE, mimetype="text/html")).head("/", headers=OPENED)

    assert response.headers["Content-Length"] == str(len(PAGE))


def test_a_page_is_never_said_to_be_unchanged():
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        response = Response(PAGE, mimetype="text/html")
        response.set_etag("same")
        return response.make_conditional(environ)(environ, start_response)

    response = client_of(app).get("/", headers={**OPENED, "If-None-Match": '"same"'})

    assert response.status_code == 200
    assert MARK in body_of(response)
    assert "ETag" not in response.headers


def test_a_page_in_pieces_gets_it_at_its_end_and_is_closed():
    closed = []

    class Pieces:
        def __iter__(self) -> Iterator[bytes]:
            yield b"<p>"
            yield b"hello"

        def close(self) -> None:
            closed.append(True)

    def app(environ: dict[str, Any], start_response: Any) -> Pieces:
        start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
        return Pieces()

    response = client_of(app).get("/", headers=OPENED)

    assert body_of(response).startswith(b"<p>hello" + MARK)
    response.close()
    assert closed == [True]


def test_a_generator_that_begins_late_gets_it_too():
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/html")])
        yield b"late"

    assert body_of(client_of(app).get("/", headers=OPENED)).startswith(b"late" + MARK)


def test_the_script_is_served():
    response = client_of(Response("not this")).get(SCRIPT_PATH)

    assert response.mimetype == "text/javascript"
    assert b"location.reload()" in body_of(response)
    response.close()


FAILED = "GET /__tina4/reload failed"


@pytest.mark.parametrize(
    ("level", "shown"),
    [("INFO", ["GET /", FAILED]), ("DEBUG", ["GET /", "GET /__tina4/reload", FAILED])],
)
def test_its_own_lines_are_logged_for_who_debugs_only(level, shown, caplog):
    log = logging.getLogger("tina4_wsgi.access")
    caplog.set_level(level, log.name)
    before = list(log.filters)
    try:
        leave_own_lines_out()
        log.info("GET %s", "/")
        log.info("GET %s", "/__tina4/reload")
        log.error("GET %s failed", "/__tina4/reload")
    finally:
        for name in ("tina4_wsgi.access", "tina4_wsgi.connection"):
            logging.getLogger(name).filters[:] = before

    assert caplog.messages == shown
