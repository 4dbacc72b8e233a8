"""Which part answers a request: a route, a file, the legacy app, or an error page."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from werkzeug.exceptions import ImATeapot
from werkzeug.test import EnvironBuilder

from tina4_wsgi.app import App
from tina4_wsgi.config import Config
from tina4_wsgi.errors import Refused
from tina4_wsgi.http.handling import HttpHandling, decode_path
from tina4_wsgi.routing.router import Router

NOWHERE = Path("/nowhere")


def legacy(environ, start_response):
    """An app that shows where and how it was called."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-App", "legacy")])
    return [
        f"{environ['SCRIPT_NAME']}|{environ['PATH_INFO']}|".encode("latin-1"),
        environ["wsgi.input"].read(4),
    ]


# Routes


def test_a_handler_gets_its_params_decoded_and_cast(site):
    site.router.get("/rooms/{name}/{id:int}", lambda request, response: dict(request.params))

    assert site.ask("/rooms/K%C3%A4se%20%26%20Brot/007").json == {"name": "Käse & Brot", "id": 7}


def test_a_route_added_while_serving_is_found(site):
    assert site.ask("/late").status_code == 404

    site.router.get("/late", lambda request, response: "now")

    assert site.ask("/late").text == "now"


def test_the_prefix_that_an_app_is_mounted_at_is_no_part_of_its_paths(site):
    site.router.get("/", lambda request, response: request.path)

    assert site.ask("/", environ_overrides={"SCRIPT_NAME": "/app", "PATH_INFO": ""}).text == "/"


def test_the_handlers_request_reads_the_body(site):
    site.router.post("/echo", lambda request, response: request.json)

    assert site.ask("/echo", "POST", json={"a": "ä"}).json == {"a": "ä"}


@pytest.mark.parametrize("path", ["/\xff", "/a/\xc3", "/\xc3("])
def test_a_path_that_is_not_utf8_is_answered_400(site, path):
    answer = site.ask(environ_overrides={"PATH_INFO": path})

    assert (answer.status_code, answer.text) == (400, "400 Bad Request\nThe path is not UTF-8.\n")


def test_decode_path_gives_text_or_refuses():
    assert decode_path({"PATH_INFO": "/a"}) == "/a"
    assert decode_path({"PATH_INFO": ""}) == "/"
    assert decode_path({"PATH_INFO": "/K\xc3\xa4se"}) == "/Käse"
    with pytest.raises(Refused) as caught:
        decode_path({"PATH_INFO": "/\xff"})
    assert caught.value.status == 400


# Methods


def test_head_is_answered_by_get(site):
    site.router.get("/a", lambda request, response: request.method)

    answer = site.ask("/a", "HEAD")

    assert (answer.status_code, answer.data, answer.headers["Content-Length"]) == (200, b"", "4")


def test_a_wrong_method_is_answered_405_with_those_allowed(site):
    site.router.get("/a", lambda request, response: "a")
    site.router.post("/a", lambda request, response: "a")

    answer = site.ask("/a", "DELETE")

    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD, OPTIONS, POST")
    assert answer.text == "405 Method Not Allowed\nThis address takes GET, HEAD, OPTIONS, POST.\n"


def test_options_names_the_methods_of_a_path(site):
    site.router.put("/a/{x}", lambda request, response: "a")

    answer = site.ask("/a/1", "OPTIONS")

    assert (answer.status_code, answer.headers["Allow"], answer.data) == (204, "OPTIONS, PUT", b"")


def test_options_reaches_a_handler_of_any_method(site):
    site.router.any("/a", lambda request, response: request.method)

    assert site.ask("/a", "OPTIONS").text == "OPTIONS"


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS"])
def test_a_websocket_asked_for_by_http_is_answered_426(site, method):
    site.router.websocket("/ws/{room}", lambda connection, event, data: None)

    answer = site.ask("/ws/a", method, environ_overrides={"SERVER_SOFTWARE": "gunicorn/27.0.1"})

    assert (answer.status_code, answer.headers["Upgrade"]) == (426, "websocket")
    assert answer.text.count("\n") == (0 if method == "HEAD" else 1)
    assert "WebSocket" in answer.text or method == "HEAD"


@pytest.mark.parametrize(
    "software", ["WSGIServer/0.2 CPython/3.11.7", "waitress", "a server that nobody has tried"]
)
def test_a_server_that_may_take_no_upgrade_field_gets_none(site, software):
    site.router.websocket("/ws", lambda connection, event, data: None)

    answer = site.ask("/ws", environ_overrides={"SERVER_SOFTWARE": software})

    assert answer.status_code == 426
    assert "Upgrade" not in answer.headers


# Bodies over the limit


def test_a_body_over_the_limit_is_answered_413_before_the_handler_runs(site):
    ran = []
    site.settings["max_body_bytes"] = 10
    site.router.post("/a", lambda request, response: ran.append(True))

    answer = site.ask("/a", "POST", data=b"x" * 11)

    assert (answer.status_code, answer.text) == (
        413,
        "413 Request Entity Too Large\nThe body is over 10 bytes.\n",
    ) or (answer.text == "413 Content Too Large\nThe body is over 10 bytes.\n")
    assert ran == []


def test_a_chunked_body_over_the_limit_is_answered_413(site):
    site.settings["max_body_bytes"] = 10
    site.router.post("/a", lambda request, response: request.body)
    overrides = {"wsgi.input_terminated": True, "CONTENT_LENGTH": ""}

    answer = site.ask("/a", "POST", input_stream=io.BytesIO(b"x" * 11), environ_overrides=overrides)

    assert answer.status_code == 413


def test_bad_json_is_answered_400_with_the_reason(site):
    site.router.post("/a", lambda request, response: request.json)

    answer = site.ask("/a", "POST", data=b"{")

    assert answer.status_code == 400
    assert "The body is not JSON: Expecting property name" in answer.text


@pytest.mark.parametrize("is_stream", [False, True])
def test_uploaded_files_are_closed_when_the_answer_is_out(site, is_stream):
    files = []

    def handler(request, response):
        files.append(request.files["photo"])
        return response.stream(iter([request.files["photo"].read()])) if is_stream else "ok"

    site.router.post("/a", handler)
    answer = site.ask("/a", "POST", data={"photo": (io.BytesIO(b"pixels"), "a.png")})

    assert answer.text == ("pixels" if is_stream else "ok")
    assert files[0].stream.closed


def test_uploaded_files_are_closed_when_the_handler_fails(site):
    files = []

    def handler(request, response):
        files.append(request.files["photo"])
        raise RuntimeError

    site.router.post("/a", handler)
    answer = site.ask("/a", "POST", data={"photo": (io.BytesIO(b"pixels"), "a.png")})

    assert answer.status_code == 500
    assert files[0].stream.closed


# The legacy app


@pytest.mark.parametrize("path", ["/other", "/", "//double", "/a/b/", "/K%C3%A4se"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
def test_what_no_route_has_goes_to_the_legacy_app(site, path, method):
    site.fallback = legacy
    site.router.get("/mine", lambda request, response: "mine")

    answer = site.ask(path, method)

    assert (answer.status_code, answer.headers["X-App"]) == (200, "legacy")


def test_a_legacy_page_at_the_address_of_a_socket_is_still_served(site):
    site.fallback = legacy
    site.router.websocket("/live", lambda connection, event, data: None)

    assert site.ask("/live").headers["X-App"] == "legacy"


def test_the_legacy_app_gets_the_very_environ_and_start_response():
    seen = []

    def app(environ, start_response):
        seen.append((environ, dict(environ), start_response))
        return [b"legacy"]

    def start_response(status, fields, exc_info=None): ...

    side = HttpHandling(Router(), Config(), NOWHERE, app)
    environ = EnvironBuilder("/K%C3%A4se?q=1", method="POST", data=b"body").get_environ()
    before = dict(environ)

    body = side(environ, start_response)

    ((given, as_it_was, start),) = seen
    assert given is environ
    assert as_it_was == before
    assert start is start_response
    assert body == [b"legacy"]
    assert environ["wsgi.input"].read() == b"body"


def test_a_path_that_is_not_utf8_goes_to_the_legacy_app(site):
    site.fallback = legacy

    assert site.ask(environ_overrides={"PATH_INFO": "/caf\xe9"}).data == b"|/caf\xe9|"


def test_a_large_body_for_the_legacy_app_is_its_own_affair(site):
    site.fallback = legacy
    site.settings["max_body_bytes"] = 1

    assert site.ask("/upload", "POST", data=b"body").status_code == 200


def test_a_wrong_method_on_our_path_stays_ours(site):
    site.fallback = legacy
    site.router.get("/mine", lambda request, response: "mine")

    assert site.ask("/mine", "POST").status_code == 405


def test_a_public_file_goes_before_the_legacy_app(site):
    site.fallback = legacy
    site.write("src/public/app.css", "body {}")

    assert site.ask("/app.css").text == "body {}"
    assert site.ask("/other.css").headers["X-App"] == "legacy"


def test_an_exception_of_the_legacy_app_is_its_own_affair(site, caplog):
    def broken(environ, start_response):
        raise RuntimeError("legacy")

    site.fallback = broken

    with pytest.raises(RuntimeError, match="legacy"):
        site.ask("/x")
    assert caplog.records == []


@pytest.mark.parametrize("path", ["/x", "/live"])
def test_an_exception_of_the_legacy_app_names_none_of_ours_as_its_context(site, path):
    def broken(environ, start_response):
        raise RuntimeError("legacy")

    site.fallback = broken
    site.router.websocket("/live", lambda connection, event, data: None)

    with pytest.raises(RuntimeError, match="legacy") as raised:
        site.ask(path)
    assert raised.value.__context__ is None


def test_an_http_error_of_a_handler_is_its_answer(site):
    def handler(request, response):
        raise ImATeapot("Tea only.")

    site.fallback = legacy
    site.router.get("/coffee", handler)

    answer = site.ask("/coffee")

    assert (answer.status_code, answer.text) == (418, "418 I'm a Teapot\nTea only.\n")


# Apps that handlers return


def test_an_app_that_fails_before_it_begins_is_a_500(site, caplog):
    def app(environ, start_response):
        raise RuntimeError("early")

    assert site.answer(app).status_code == 500
    assert len(caplog.records) == 1


def test_an_app_that_fails_after_it_began_gets_its_beginning_replaced():
    begun = []

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        raise RuntimeError("late")

    def start_response(status, fields, exc_info=None):
        begun.append((status, exc_info))

    router = Router()
    router.get("/x", lambda request, response: app)
    environ = EnvironBuilder("/x").get_environ()
    body = HttpHandling(router, Config(), NOWHERE)(environ, start_response)

    assert b"".join(body) == b"500 Internal Server Error\n"
    assert [status for status, _ in begun] == ["200 OK", "500 Internal Server Error"]
    assert begun[0][1] is None
    assert begun[1][1][0] is RuntimeError


def test_an_exit_is_not_held_up(site):
    def leave(request, response):
        raise SystemExit(3)

    site.router.get("/x", leave)

    with pytest.raises(SystemExit):
        site.ask("/x")


def test_templates_of_the_app_may_be_extended(site):
    site.write("src/templates/a.html", "{{ 'x' | twice }}")
    site.side.templates.filters["twice"] = lambda text: text * 2
    site.router.get("/a", lambda request, response: response.html("a.html"))

    assert site.ask("/a").text == "xx"


def test_a_missing_template_is_a_logged_500_that_names_the_folder_in_the_log_only(site, caplog):
    site.router.get("/a", lambda request, response: response.html("none.html"))

    answer = site.ask("/a")

    assert answer.text == "500 Internal Server Error\n"
    assert f"{site.root}/src/templates" in str(caplog.records[0].exc_info[1])


@pytest.mark.parametrize("name", ["run", "listen", "serve_forever"])
def test_an_app_says_how_it_is_served_to_whoever_looks_for_a_method_that_does(name):
    app = App(router=Router())

    with pytest.raises(
        AttributeError, match=f"no attribute '{name}'; serve it with `tina4-wsgi serve"
    ):
        getattr(app, name)


def test_any_other_attribute_that_an_app_lacks_is_simply_missing():
    assert getattr(App(router=Router()), "wsgi_app", None) is None
