"""Error pages: plain to the world, a traceback only in debug, for a browser that has followed the
link.
"""

from __future__ import annotations

import logging

import pytest
from werkzeug.exceptions import (
    Conflict,
    HTTPException,
    NotFound,
    ServiceUnavailable,
    TooManyRequests,
    Unauthorized,
    abort,
)
from werkzeug.wrappers import Response as WerkzeugResponse

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
SECRET = "a secret of the inside"


def fail(request, response):
    raise RuntimeError(f"<script>{SECRET}")


def raising(site, exc: Exception, **options):
    def handler(request, response):
        raise exc

    site.router.get("/raise", handler)
    return site.ask("/raise", **options)


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (BROWSER, "text/html; charset=utf-8"),
        ("text/html", "text/html; charset=utf-8"),
        ("application/json", "application/json"),
        ("application/json, text/plain, */*", "application/json"),
        ("application/json;q=0.5, text/html", "text/html; charset=utf-8"),
        ("text/html;q=0.5, application/json", "application/json"),
        ("*/*", "text/plain; charset=utf-8"),
        ("", "text/plain; charset=utf-8"),
        (None, "text/plain; charset=utf-8"),
        ("image/png", "text/plain; charset=utf-8"),
        (";;;,,q=", "text/plain; charset=utf-8"),
    ],
)
def test_the_page_is_of_the_kind_that_the_client_likes_best(site, accept, content_type):
    answer = site.ask("/none", headers={} if accept is None else {"Accept": accept})

    assert (answer.status_code, answer.content_type) == (404, content_type)
    assert answer.headers["Vary"] == "Accept"


def test_the_texts_of_the_three_kinds(site):
    kinds = {
        kind: site.ask("/none", headers={"Accept": kind}).text
        for kind in ("text/plain", "application/json")
    }

    assert kinds["text/plain"] == "404 Not Found\nThere is nothing at this address.\n"
    assert kinds["application/json"] == (
        '{"status":404,"error":"Not Found","message":"There is nothing at this address."}'
    )


def test_everything_on_a_page_is_escaped(site):
    answer = raising(
        site, NotFound("<script>alert(1)</script> & more"), headers={"Accept": BROWSER}
    )

    assert "<p>&lt;script&gt;alert(1)&lt;/script&gt; &amp; more</p>" in answer.text


# HTTP errors that handlers raise


def test_an_http_error_becomes_its_answer_with_the_handlers_words(site, caplog):
    answer = raising(site, Conflict("This name is taken."))

    assert (answer.status_code, answer.text) == (409, "409 Conflict\nThis name is taken.\n")
    assert caplog.records == []


def test_an_http_error_without_words_is_its_status_alone(site):
    assert raising(site, NotFound()).text == "404 Not Found\n"


@pytest.mark.parametrize(
    ("exc", "name", "value"),
    [
        (TooManyRequests(retry_after=30), "Retry-After", "30"),
        (ServiceUnavailable(retry_after=5), "Retry-After", "5"),
    ],
)
def test_an_http_error_keeps_its_headers(site, exc, name, value):
    assert raising(site, exc).headers[name] == value


def test_a_login_may_be_asked_for(site):
    from werkzeug.datastructures import WWWAuthenticate

    answer = raising(
        site, Unauthorized(www_authenticate=WWWAuthenticate("basic", {"realm": "app"}))
    )

    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Basic realm=app")


def test_an_error_may_bring_a_response_of_its_own(site):
    def handler(request, response):
        abort(WerkzeugResponse("own", status=418))

    site.router.get("/x", handler)

    assert (site.ask("/x").status_code, site.ask("/x").text) == (418, "own")


def test_an_error_whose_headers_may_not_go_on_the_wire_is_a_logged_500(site, caplog):
    class Split(HTTPException):
        code = 400

        def get_headers(self, *args, **options):
            return [("X-Reason", "a\r\nSet-Cookie: b")]

    answer = raising(site, Split())

    assert answer.status_code == 500
    assert "Set-Cookie" not in answer.headers
    assert len(caplog.records) == 1


def test_an_error_of_an_unknown_status_is_a_page_too(site):
    class Odd(HTTPException):
        code = 499
        description = None

    assert raising(site, Odd()).text == "499 Unknown\n"


# Failures


@pytest.mark.parametrize("accept", [BROWSER, "application/json", "*/*"])
@pytest.mark.parametrize("debug", [False, True])
def test_a_failure_says_nothing_of_the_inside(site, debug, accept):
    site.settings["debug"] = debug
    site.router.get("/fail", fail)

    answer = site.ask(
        "/fail", headers={"Accept": accept}, environ_overrides={"REMOTE_ADDR": "192.168.0.9"}
    )

    assert answer.status_code == 500
    assert "Internal Server Error" in answer.text
    for word in ("Traceback", "RuntimeError", SECRET, ".py", str(site.root)):
        assert word not in answer.text


def test_a_failure_is_plain_on_loopback_too_without_debug(site):
    site.router.get("/fail", fail)

    assert site.ask("/fail").text == "500 Internal Server Error\n"


def test_a_failure_is_logged_once_with_its_traceback_and_route(site, caplog):
    site.router.get("/fail/{name}", fail)

    with caplog.at_level(logging.DEBUG):
        site.ask("/fail/a%0ab")

    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert record.name == "tina4_wsgi.http"
    assert record.getMessage().startswith(
        f"GET '/fail/a\\nb' failed in /fail/{{name}} at {__file__}:"
    )
    assert isinstance(record.exc_info[1], RuntimeError)


def test_debug_shows_the_debugger_page_to_a_browser_that_has_followed_the_link(site):
    followed = site.debug()
    site.router.get("/fail", fail)

    answer = site.ask("/fail", headers={"Accept": BROWSER}, environ_overrides=followed)

    assert answer.status_code == 500
    assert answer.content_type == "text/html; charset=utf-8"
    assert "Werkzeug Debugger" in answer.text
    assert "raise RuntimeError" in answer.text
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_debugger_page_escapes_and_has_no_console(site):
    followed = site.debug()
    site.router.get("/fail", fail)

    text = site.ask("/fail", headers={"Accept": BROWSER}, environ_overrides=followed).text

    assert f"<script>{SECRET}" not in text.replace("<!--", "").split("</body>")[0]
    assert "EVALEX = false" in text
    assert 'SECRET = ""' in text


def test_the_debugger_page_begins_with_the_handler_and_not_with_us(site):
    followed = site.debug()
    site.router.get("/fail", fail)

    text = site.ask("/fail", headers={"Accept": "*/*"}, environ_overrides=followed).text

    assert text.startswith("Traceback (most recent call last):")
    assert f"RuntimeError: <script>{SECRET}" in text


@pytest.mark.parametrize(
    "overrides",
    [
        {},  # a stranger whom a proxy on this machine lets through looks like this
        {"HTTP_HOST": "localhost", "REMOTE_ADDR": "::1"},
        {"HTTP_COOKIE": "tina4_debug="},
        {"HTTP_COOKIE": "tina4_debug=a-token-of-this-test"},
        {"HTTP_COOKIE": "tina4_debug=\xff"},
        {"HTTP_COOKIE": "tina4_live=" + "0" * 64},
        {"QUERY_STRING": "token=a-token-of-this-test"},
        {"HTTP_X_FORWARDED_FOR": "127.0.0.1"},
    ],
)
def test_debug_shows_nothing_to_others_but_says_how_to_see_it(site, overrides):
    site.debug()
    site.router.get("/fail", fail)

    answer = site.ask("/fail", headers={"Accept": BROWSER}, environ_overrides=overrides)

    assert "RuntimeError" not in answer.text
    assert "open the link with a token" in answer.text


def test_the_cookie_for_the_live_page_opens_no_traceback(site):
    live = site.debug()["HTTP_COOKIE"].partition("tina4_live=")[2].partition(";")[0]
    site.router.get("/fail", fail)

    assert live
    answer = site.ask(
        "/fail", environ_overrides={"HTTP_COOKIE": f"tina4_live={live}; tina4_debug={live}"}
    )
    assert "RuntimeError" not in answer.text


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("style.css", "text/css"),
        ("debugger.js", "text/javascript"),
        ("console.png", "image/png"),
    ],
)
def test_the_debugger_page_finds_its_files(site, name, content_type):
    followed = site.debug()

    answer = site.ask(
        f"/any/path?__debugger__=yes&cmd=resource&f={name}", environ_overrides=followed
    )

    assert (answer.status_code, answer.content_type) == (200, content_type)
    assert len(answer.data) > 100


@pytest.mark.parametrize(
    ("debug", "query", "has_followed"),
    [
        (False, "__debugger__=yes&cmd=resource&f=style.css", True),
        (True, "__debugger__=yes&cmd=resource&f=style.css", False),
        (True, "__debugger__=yes&cmd=resource&f=../__init__.py", True),
        (True, "__debugger__=yes&cmd=resource&f=/etc/passwd", True),
        (True, "__debugger__=no&cmd=resource&f=style.css", True),
    ],
)
def test_the_debugger_gives_out_nothing_else(site, debug, query, has_followed):
    followed = site.debug()
    site.settings["debug"] = debug

    overrides = followed if has_followed else {}
    assert site.ask(f"/any?{query}", environ_overrides=overrides).status_code == 404
