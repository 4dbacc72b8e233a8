"""What a handler answers with: by its response object, and by what it returns."""

from __future__ import annotations

import datetime
import decimal
import re
import uuid
from typing import Any

import pytest
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as WerkzeugResponse

from tina4_wsgi.errors import UsageError
from tina4_wsgi.http.response import Response


def through(site, build, **options):
    """Give the answer of a handler that does `build` to its response."""
    site.router.any("/built", lambda request, response: build(response))
    return site.ask("/built", **options)


def begin(response: Response) -> Any:
    """Give the body that the server would get."""
    return response(
        {"REQUEST_METHOD": "GET"}, lambda status, fields, exc_info=None, /: lambda data: None
    )


# Results


@pytest.mark.parametrize(
    ("result", "body"),
    [
        ({"name": "Käse"}, '{"name":"Käse"}'),
        ([1, 2], "[1,2]"),
        ([], "[]"),
        ({}, "{}"),
        (
            {
                "day": datetime.date(2024, 2, 29),
                "id": uuid.UUID(int=0),
                "price": decimal.Decimal("1.10"),
            },
            '{"day":"2024-02-29","id":"00000000-0000-0000-0000-000000000000","price":"1.10"}',
        ),
    ],
)
def test_a_dict_or_list_becomes_json(site, result, body):
    answer = site.answer(result)

    assert (answer.status_code, answer.content_type) == (200, "application/json")
    assert answer.data == body.encode()
    assert answer.headers["Content-Length"] == str(len(body.encode()))


def test_a_str_becomes_a_page_and_is_never_a_template(site):
    answer = site.answer("room.html")

    assert (answer.status_code, answer.content_type, answer.data) == (
        200,
        "text/html; charset=utf-8",
        b"room.html",
    )


@pytest.mark.parametrize("result", [b"\x00\x01", bytearray(b"\x00\x01"), memoryview(b"\x00\x01")])
def test_bytes_are_sent_as_they_are(site, result):
    answer = site.answer(result)

    assert (answer.content_type, answer.data) == ("application/octet-stream", b"\x00\x01")


def test_none_becomes_204_without_a_body(site):
    answer = site.answer(None)

    assert (answer.status_code, answer.data) == (204, b"")
    assert "Content-Type" not in answer.headers
    assert "Content-Length" not in answer.headers


def test_none_becomes_what_the_response_holds(site):
    def build(response):
        response.json({"a": 1}, status=201)

    answer = through(site, build)

    assert (answer.status_code, answer.json) == (201, {"a": 1})


def test_none_with_a_status_alone_is_that_status_without_a_body(site):
    answer = through(site, lambda response: response.status(404) and None)

    assert (answer.status_code, answer.data, answer.headers["Content-Length"]) == (404, b"", "0")


@pytest.mark.parametrize(
    ("result", "status", "body"),
    [
        (({"a": 1}, 201), 201, b'{"a":1}'),
        (("<b>gone</b>", 410), 410, b"<b>gone</b>"),
        ((b"x", 404), 404, b"x"),
        ((None, 404), 404, b""),
        (("x", 204), 204, b""),
        (([1], 304), 304, b""),
    ],
)
def test_a_tuple_is_a_body_and_its_status(site, result, status, body):
    answer = site.answer(result)

    assert (answer.status_code, answer.data) == (status, body)


@pytest.mark.parametrize("headers", [{"X-Number": 7}, [("X-Number", "7")], (("X-Number", 7),)])
def test_a_tuple_may_have_headers(site, headers):
    answer = site.answer(({"a": 1}, 201, headers))

    assert (answer.status_code, answer.headers["X-Number"]) == (201, "7")


def test_a_tuple_may_carry_the_response(site):
    answer = through(site, lambda response: (response.text("made"), 201, {"Location": "/1"}))

    assert (answer.status_code, answer.text, answer.headers["Location"]) == (201, "made", "/1")


def test_a_result_keeps_the_status_headers_and_cookies_of_the_response(site):
    def build(response):
        response.status(202).header("X-Job", "9").cookie("seen", "1")
        return {"a": 1}

    answer = through(site, build)

    assert (answer.status_code, answer.headers["X-Job"], answer.json) == (202, "9", {"a": 1})
    assert answer.headers["Set-Cookie"].startswith("seen=1;")


def test_a_response_made_by_hand_is_an_answer(site):
    answer = site.answer(Response().text("by hand"))

    assert answer.text == "by hand"


def test_a_werkzeug_response_is_an_answer(site):
    answer = site.answer(WerkzeugResponse("made elsewhere", status=418))

    assert (answer.status_code, answer.text) == (418, "made elsewhere")


def test_any_wsgi_app_is_an_answer(site):
    def app(environ, start_response):
        start_response("203 Non-Authoritative Information", [("Content-Type", "text/plain")])
        return [environ["PATH_INFO"].encode()]

    answer = site.answer(app)

    assert (answer.status_code, answer.text) == (203, "/result")


def test_an_http_error_may_be_returned_too(site):
    assert site.answer(NotFound()).status_code == 404


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (5, "handler returned int, expected dict, list, str"),
        (True, "handler returned bool"),
        ({1, 2}, "handler returned set"),
        ((1, 2, 3, 4), "handler returned a tuple of 4"),
        (("a",), "handler returned a tuple of 1"),
        ((("a", 200), 200), "expected \\(body, status\\)"),
        ((WerkzeugResponse(), 200), "handler returned a tuple with Response"),
        (("a", {"X": 1}), "handler returned {'X': 1} as status"),
        (("a", 99), "status 99, expected a number from 200 to 599"),
        (("a", 200, 5), "handler returned 5 as headers"),
        (("a", 200, "X: 1"), "as headers, expected a dict or a list of pairs"),
        (("a", 200, ["X"]), "as headers, expected a dict or a list of pairs"),
        (("a", 200, {"X": "1\r\nY: 2"}), "control character"),
        ({"a": object()}, "object has no form in JSON"),
        ({"a": float("nan")}, ""),
    ],
)
def test_a_result_that_is_no_answer_is_a_logged_500(site, caplog, result, reason):
    answer = site.answer(result)

    assert answer.status_code == 500
    (record,) = caplog.records
    assert re.search(reason, str(record.exc_info[1]))


# HEAD


@pytest.mark.parametrize(
    "result", [{"a": 1}, "page", b"bytes", ({"a": 1}, 404), WerkzeugResponse("werkzeug")]
)
def test_head_has_the_headers_of_get_and_no_body(site, result):
    get, head = site.answer(result), site.ask("/result", method="HEAD")

    assert head.data == b""
    assert head.status_code == get.status_code
    assert sorted(head.headers) == sorted(get.headers)


def test_head_of_an_app_that_sends_a_body_all_the_same_has_none(site):
    closed = []

    class Body(list[bytes]):
        def close(self) -> None:
            closed.append(True)

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return Body([b"body"])

    assert site.answer(app, method="HEAD").data == b""
    assert closed == [True]


# The builder


def test_calls_may_be_chained(site):
    answer = through(
        site,
        lambda response: response.status(201).header("X-A", "1").cookie("c", "d").json({"a": 1}),
    )

    assert (answer.status_code, answer.headers["X-A"], answer.json) == (201, "1", {"a": 1})


def test_text_is_plain_and_utf8(site):
    answer = through(site, lambda response: response.text("Käse <b>"))

    assert (answer.content_type, answer.text) == ("text/plain; charset=utf-8", "Käse <b>")


def test_html_sends_markup_as_it_is(site):
    answer = through(site, lambda response: response.html("<h1>Hi</h1>"))

    assert (answer.content_type, answer.text) == ("text/html; charset=utf-8", "<h1>Hi</h1>")


@pytest.mark.parametrize("markup", ["<a>see page.html", "two\nlines.html", "", "plain words"])
def test_markup_is_not_mistaken_for_a_template(site, markup):
    assert through(site, lambda response: response.html(markup)).text == markup


def test_html_renders_a_template_by_its_name(site):
    site.write("src/templates/room.html", "<h1>{{ room }}</h1>")
    site.write("src/templates/plain.txt", "{{ room }}")

    site.router.get(
        "/page", lambda request, response: response.html("room.html", {"room": "<Käse>"})
    )
    site.router.get(
        "/text", lambda request, response: response.html("plain.txt", {"room": "<Käse>"})
    )
    site.router.get("/bare", lambda request, response: response.html("room.html"))

    assert site.ask("/page").text == "<h1>&lt;Käse&gt;</h1>"
    assert site.ask("/text").text == "&lt;Käse&gt;"
    assert site.ask("/bare").text == "<h1></h1>"


def test_a_response_made_by_hand_has_no_templates():
    with pytest.raises(UsageError, match="expected the response that the handler was given"):
        Response().html("room.html")


def test_the_last_body_counts(site):
    answer = through(site, lambda response: response.json({"a": 1}).text("b"))

    assert (answer.content_type, answer.text) == ("text/plain; charset=utf-8", "b")


def test_a_content_type_of_ones_own_goes_before_that_of_the_body(site):
    def build(response):
        return response.header("content-type", "application/problem+json").json(
            {"a": 1}, status=400
        )

    assert through(site, build).content_type == "application/problem+json"


def test_a_header_replaces_its_namesake_unless_added(site):
    def build(response):
        response.header("X-A", 1).header("x-a", 2).header("Link", "<a>").header(
            "Link", "<b>", add=True
        )

    answer = through(site, build)

    assert answer.headers.getlist("X-A") == ["2"]
    assert answer.headers.getlist("Link") == ["<a>", "<b>"]


def test_a_cookie_set_as_a_header_stands_beside_others(site):
    answer = through(
        site, lambda response: response.cookie("a", "1").header("Set-Cookie", "b=2").text("")
    )

    assert [cookie[:3] for cookie in answer.headers.getlist("Set-Cookie")] == ["a=1", "b=2"]


def test_a_length_of_ones_own_cannot_contradict_the_body(site):
    answer = through(site, lambda response: response.header("Content-Length", "1").text("four"))

    assert answer.headers.getlist("Content-Length") == ["4"]


@pytest.mark.parametrize(
    "build",
    [
        lambda response: response.header("X-A", "1\r\nSet-Cookie: admin=1"),
        lambda response: response.header("X-A\r\n", "1"),
        lambda response: response.cookie("a", "b", domain="x\r\ny"),
        lambda response: response.cookie("a\r\nb", "c"),
        lambda response: response.cookie("a", "b", samesite="x\r\ny"),
        lambda response: response.redirect("/a\r\nSet-Cookie: b"),
        lambda response: response.redirect("/a\x00"),
        lambda response: response.data(b"", "text/x\r\nX: 1"),
        lambda response: response.stream([], content_type="a\nb"),
        lambda response: response.header("X-A", "日本"),
        lambda response: response.header("Transfer-Encoding", "chunked"),
        lambda response: response.status(700),
        lambda response: response.redirect("/", status=200),
        lambda response: response.stream("text"),
    ],
)
def test_what_may_not_go_on_the_wire_is_refused(build):
    with pytest.raises(UsageError):
        build(Response())


def test_a_refused_header_is_a_500_and_nothing_of_it_is_sent(site):
    answer = through(site, lambda response: response.header("X-A", "1\r\nSet-Cookie: admin=1"))

    assert answer.status_code == 500
    assert "Set-Cookie" not in answer.headers
    assert "admin" not in answer.text


def test_a_cookie_value_cannot_begin_another_cookie_or_header(site):
    answer = through(
        site, lambda response: response.cookie("a", 'x; Domain=evil\r\nX: "y"').text("")
    )

    assert answer.headers["Set-Cookie"].startswith('a="x\\073 Domain=evil\\015\\012X: \\"y\\""; ')


@pytest.mark.parametrize(
    ("base_url", "is_secure"), [("http://localhost/", False), ("https://localhost/", True)]
)
def test_a_cookie_is_careful_by_default(site, base_url, is_secure):
    answer = through(site, lambda response: response.cookie("id", "7").text(""), base_url=base_url)

    parts = set(answer.headers["Set-Cookie"].split("; "))
    assert parts == {"id=7", "HttpOnly", "Path=/", "SameSite=Lax"} | (
        {"Secure"} if is_secure else set()
    )


def test_a_cookie_may_be_told_otherwise(site):
    def build(response):
        response.cookie("a", 1, httponly=False, samesite=None, path="/x", max_age=60)
        return response.cookie("b", max_age=0).text("")

    first, second = through(site, build).headers.getlist("Set-Cookie")

    assert first.startswith("a=1; Expires=")
    assert first.endswith("Max-Age=60; Path=/x")
    assert "b=; Expires=" in second
    assert "Max-Age=0" in second


def test_an_unknown_attribute_of_a_cookie_is_refused():
    with pytest.raises(UsageError, match=r"cookie 'a': .*http_only"):
        Response().cookie("a", "b", http_only=True)


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("/rooms/1?x=1#y", "/rooms/1?x=1#y"),
        ("/rooms/Käse und Brot", "/rooms/K%C3%A4se%20und%20Brot"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("../up", "../up"),
    ],
)
def test_a_redirect_names_its_target_in_ascii(site, url, location):
    answer = through(site, lambda response: response.redirect(url))

    assert (answer.status_code, answer.headers["Location"], answer.data) == (302, location, b"")


def test_a_redirect_may_have_another_status(site):
    assert through(site, lambda response: response.redirect("/", status=303)).status_code == 303


# Files


def test_a_file_is_sent_from_the_root_of_the_app(site):
    site.write("data/report.csv", b"a,b\n")

    answer = through(site, lambda response: response.file("data/report.csv"))

    assert (answer.status_code, answer.data, answer.content_type) == (
        200,
        b"a,b\n",
        "text/csv; charset=utf-8",
    )
    assert answer.headers["Content-Disposition"] == "inline; filename=report.csv"


def test_a_file_may_be_an_attachment_with_another_name_headers_and_status(site):
    path = site.write("data/1.pdf", b"%PDF")

    def build(response):
        response.status(203).header("Cache-Control", "max-age=60").header("X-A", "1")
        return response.file(path, as_attachment=True, download_name="Rechnung Käse.pdf")

    answer = through(site, build)

    assert answer.status_code == 203
    assert answer.content_type == "application/pdf"
    assert answer.headers["Content-Disposition"].startswith("attachment; ")
    assert "filename*=UTF-8''Rechnung%20K%C3%A4se.pdf" in answer.headers["Content-Disposition"]
    assert answer.headers.getlist("Cache-Control") == ["max-age=60"]
    assert answer.headers["X-A"] == "1"


def test_a_file_may_have_a_type_of_ones_own(site):
    site.write("data/notes", b"# Hi")

    answer = through(
        site, lambda response: response.header("Content-Type", "text/markdown").file("data/notes")
    )

    assert answer.content_type == "text/markdown"


def test_a_file_is_sent_in_part_and_only_when_it_has_changed(site):
    site.write("data/a.bin", b"0123456789")
    site.router.get("/built", lambda request, response: response.file("data/a.bin"))

    part = site.ask("/built", headers={"Range": "bytes=2-4"})
    etag = site.ask("/built").headers["ETag"]
    unchanged = site.ask("/built", headers={"If-None-Match": etag})
    behind = site.ask("/built", headers={"Range": "bytes=20-"})

    assert (part.status_code, part.data, part.headers["Content-Range"]) == (
        206,
        b"234",
        "bytes 2-4/10",
    )
    assert (unchanged.status_code, unchanged.data) == (304, b"")
    assert (behind.status_code, behind.headers["Content-Range"]) == (416, "bytes */10")


def test_several_ranges_at_once_are_answered_with_the_whole_file(site):
    site.write("data/a.bin", b"0123456789")

    answer = through(
        site, lambda response: response.file("data/a.bin"), headers={"Range": "bytes=0-1,4-5"}
    )

    assert (answer.status_code, answer.data) == (200, b"0123456789")


@pytest.mark.parametrize("path", ["data/none.txt", "data"])
def test_a_file_that_is_not_there_is_a_404(site, path):
    site.write("data/a.txt")

    assert through(site, lambda response: response.file(path)).status_code == 404


def test_head_of_a_file_has_its_length_and_no_body(site):
    site.write("a.txt", b"0123456789")

    answer = through(site, lambda response: response.file("a.txt"), method="HEAD")

    assert (answer.data, answer.headers["Content-Length"]) == (b"", "10")


# Streams


def test_a_stream_sends_each_piece_and_closes_its_generator(site):
    closed = []

    def events():
        try:
            yield "data: Käse\n\n"
            yield b"data: 2\n\n"
        finally:
            closed.append(True)

    answer = through(site, lambda response: response.stream(events()))

    assert (answer.status_code, answer.data) == (200, "data: Käse\n\ndata: 2\n\n".encode())
    assert answer.content_type == "text/event-stream"
    assert (answer.headers["Cache-Control"], answer.headers["X-Accel-Buffering"]) == (
        "no-cache",
        "no",
    )
    assert "Content-Length" not in answer.headers
    assert closed == [True]


def test_a_stream_may_be_anything_iterable_of_any_type_and_known_length(site):
    def build(response):
        return (
            response.header("Content-Length", 2)
            .status(201)
            .stream(["a", "b"], content_type="text/csv")
        )

    answer = through(site, build)

    assert (answer.status_code, answer.content_type, answer.data) == (201, "text/csv", b"ab")
    assert answer.headers["Content-Length"] == "2"


def test_a_stream_asks_for_a_piece_only_when_one_is_wanted(site):
    asked = []

    def pieces():
        for number in range(3):
            asked.append(number)
            yield str(number)

    body = begin(Response().stream(pieces()))

    assert asked == []
    assert next(iter(body)) == b"0"
    assert asked == [0]
    body.close()


def test_closing_a_stream_closes_its_generator():
    closed = []

    def endless():
        try:
            while True:
                yield "x"
        finally:
            closed.append(True)

    body = begin(Response().stream(endless()))
    next(iter(body))
    body.close()

    assert closed == [True]


def test_head_of_a_stream_runs_nothing_of_it(site):
    ran = []

    def pieces():
        ran.append(True)
        yield "x"

    assert through(site, lambda response: response.stream(pieces()), method="HEAD").data == b""
    assert ran == []


@pytest.mark.parametrize("bad", [5, {"a": 1}, None])
def test_a_stream_that_fails_is_logged_and_broken_off(site, caplog, bad):
    def pieces():
        yield "first"
        yield bad

    site.router.get("/x/{name}", lambda request, response: response.stream(pieces()))

    with pytest.raises(UsageError, match="expected str or bytes"):
        site.ask("/x/a")

    (record,) = caplog.records
    assert (record.name, record.getMessage()) == ("tina4_wsgi.http", "the stream of '/x/a' failed")
    assert record.exc_info is not None


def test_json_of_a_response_is_compact_and_utf8():
    body = b"".join(begin(Response().json({"ä": [1, 2]})))

    assert body == '{"ä":[1,2]}'.encode()
