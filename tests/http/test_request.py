"""What a handler can read of a request."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator

import pytest
from werkzeug.exceptions import ClientDisconnected, HTTPException, LengthRequired
from werkzeug.test import EnvironBuilder

from tina4_wsgi.config import Config
from tina4_wsgi.errors import UsageError
from tina4_wsgi.http.request import Request
from tina4_wsgi.routing.params import Params

Environ = dict[str, object]


@pytest.fixture
def request_of() -> Iterator[Callable[..., Request]]:
    """Make requests of what `EnvironBuilder` takes; `overrides` go into the environ."""
    with contextlib.ExitStack() as stack:

        def make(
            path: str = "/",
            config: Config | None = None,
            overrides: Environ | None = None,
            **options,
        ) -> Request:
            environ = EnvironBuilder(path, environ_overrides=overrides, **options).get_environ()
            stack.callback(environ["wsgi.input"].close)
            request = Request(environ, Params(room="a"), config or Config())
            stack.callback(request.close)
            return request

        yield make


@pytest.fixture
def chunked(request_of) -> Callable[..., tuple[Request, Source]]:
    """Make a request whose body comes without a length, and its source."""

    def make(data: bytes, config: Config | None = None) -> tuple[Request, Source]:
        source = Source(data)
        overrides = {"wsgi.input": source, "wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
        return request_of(config=config, overrides=overrides), source

    return make


class Source(io.RawIOBase):
    """A `wsgi.input` that gives a few bytes at a time and counts them."""

    def __init__(self, data: bytes, most: int = 7) -> None:
        self._data = io.BytesIO(data)
        self._most = most
        self.given = 0

    def read(self, size: int = -1) -> bytes:
        assert size > 0, "a read without a limit waits for ever on some servers"
        data = self._data.read(min(size, self._most))
        self.given += len(data)
        return data


class Broken(io.RawIOBase):
    """A `wsgi.input` whose client has gone."""

    def read(self, size: int = -1) -> bytes:
        raise ConnectionResetError


def test_the_parts_of_a_request(request_of):
    request = request_of(
        "/rooms/K%C3%A4se?tag=a&tag=b&empty=",
        method="POST",
        headers={"X-Token": "t", "Cookie": "id=7; theme=dark"},
        base_url="https://example.org:8443/",
    )

    assert (request.method, request.path, request.host, request.scheme) == (
        "POST",
        "/rooms/Käse",
        "example.org:8443",
        "https",
    )
    assert request.query.getlist("tag") == ["a", "b"]
    assert request.query["empty"] == ""
    assert request.query.get("page", 1, type=int) == 1
    assert request.headers["x-token"] == "t"
    assert request.cookies.to_dict() == {"id": "7", "theme": "dark"}
    assert request.params.room == "a"
    assert request.is_secure


def test_a_query_that_is_not_utf8_is_no_error(request_of):
    assert request_of(overrides={"QUERY_STRING": "a=%FF&b=\xff"}).query.to_dict() == {
        "a": "\ufffd",
        "b": "\ufffd",
    }


def test_a_missing_query_field_is_the_clients_fault(request_of):
    with pytest.raises(HTTPException) as caught:
        request_of("/").query["page"]

    assert caught.value.code == 400


def test_ip_host_and_scheme_come_from_a_trusted_proxy(request_of):
    config = Config(trusted_proxies=("10.0.0.0/8",))
    headers = {
        "X-Forwarded-For": "6.6.6.6, 1.1.1.1",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "example.org",
    }

    request = request_of(config=config, headers=headers, overrides={"REMOTE_ADDR": "10.1.2.3"})
    other = request_of(config=config, headers=headers, overrides={"REMOTE_ADDR": "8.8.8.8"})

    assert (request.ip, request.scheme, request.host, request.is_secure) == (
        "1.1.1.1",
        "https",
        "example.org",
        True,
    )
    assert (other.ip, other.scheme, other.host, other.is_secure) == (
        "8.8.8.8",
        "http",
        "localhost",
        False,
    )


def test_werkzeugs_request_is_there_for_everything_else(request_of):
    request = request_of(headers={"Accept-Language": "de"}, method="POST", data=b"abc")

    assert request.werkzeug.accept_languages.best == "de"
    assert request.werkzeug.get_data() == b"abc"
    assert "werkzeug.request" not in request.environ


# Bodies


def test_a_body_is_read_to_its_length_and_not_further(request_of):
    source = Source(b"hello, and the next request")
    request = request_of(overrides={"wsgi.input": source, "CONTENT_LENGTH": "5"})

    assert request.body == b"hello"
    assert request.body == b"hello"
    assert source.given == 5


def test_a_body_without_length_is_not_waited_for(request_of):
    source = Source(b"bytes of whatever comes next")
    request = request_of(overrides={"wsgi.input": source, "CONTENT_LENGTH": ""})

    assert request.body == b""
    assert source.given == 0


def test_a_chunked_body_is_read_to_its_end(chunked):
    request, _ = chunked(b"x" * 100)

    assert request.body == b"x" * 100


def test_a_chunked_body_that_the_server_does_not_end_is_answered_411(request_of):
    request = request_of(overrides={"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""})

    with pytest.raises(LengthRequired):
        request.body  # noqa: B018


@pytest.mark.parametrize("length", ["-1", "+1", "1_0", "0x1", "1.5", "abc", "１"])
def test_a_length_that_is_no_number_is_answered_400(request_of, length):
    with pytest.raises(HTTPException) as caught:
        request_of(overrides={"CONTENT_LENGTH": length}).body  # noqa: B018

    assert caught.value.code == 400


@pytest.mark.parametrize("length", ["11", "99999999999999999999", "9" * 5000])
def test_a_body_said_to_be_over_the_limit_is_answered_413_and_not_read(request_of, length):
    source = Source(b"x" * 11)
    request = request_of(
        config=Config(max_body_bytes=10), overrides={"wsgi.input": source, "CONTENT_LENGTH": length}
    )

    with pytest.raises(HTTPException) as caught:
        request.body  # noqa: B018

    assert caught.value.code == 413
    assert source.given == 0


def test_a_chunked_body_over_the_limit_is_answered_413_and_read_to_one_byte_over(chunked):
    request, source = chunked(b"x" * 1000, Config(max_body_bytes=10))

    with pytest.raises(HTTPException) as caught:
        request.body  # noqa: B018

    assert caught.value.code == 413
    assert source.given == 11


def test_a_body_of_just_the_limit_passes(chunked):
    request, _ = chunked(b"x" * 10, Config(max_body_bytes=10))

    assert request.body == b"x" * 10


def test_an_empty_body_passes_a_limit_of_zero(request_of):
    assert request_of(config=Config(max_body_bytes=0)).body == b""


def test_a_body_that_ends_too_early_is_the_clients_fault(request_of):
    with pytest.raises(ClientDisconnected):
        request_of(overrides={"wsgi.input": Source(b"abc"), "CONTENT_LENGTH": "5"}).body  # noqa: B018


def test_a_client_that_goes_while_it_sends_is_the_clients_fault(request_of):
    with pytest.raises(ClientDisconnected):
        request_of(overrides={"wsgi.input": Broken(), "CONTENT_LENGTH": "5"}).body  # noqa: B018


# JSON


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", ""])
def test_json_is_read_whatever_type_it_claims(request_of, content_type):
    request = request_of(data=b'{"a": ["\xc3\xa9"]}', content_type=content_type, method="POST")

    assert request.json == {"a": ["é"]}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"a": }', "The body is not JSON: Expecting value at line 1 column 7."),
        (b"", "The body is not JSON: empty, expected JSON."),
        (b"\xff", "The body is not JSON: not UTF-8 at byte 0."),
        (b"[" * 100_000, "The body is not JSON: nested too deeply."),
    ],
)
def test_bad_json_is_answered_400_with_one_line_of_reason(request_of, body, reason):
    with pytest.raises(HTTPException) as caught:
        request_of(data=body, method="POST").json  # noqa: B018

    assert caught.value.code == 400
    assert caught.value.description == reason


# Forms


def test_an_urlencoded_form_leaves_the_body_readable(request_of):
    request = request_of(data={"name": "Käse", "tag": ["a", "b"]}, method="POST")

    assert request.form["name"] == "Käse"
    assert request.form.getlist("tag") == ["a", "b"]
    assert request.body == b"name=K%C3%A4se&tag=a&tag=b"
    assert request.files == {}


def test_an_upload_has_fields_and_files(request_of):
    data = {"title": "cat", "photo": (io.BytesIO(b"\x89PNG" * 1000), "cat.png", "image/png")}
    request = request_of(data=data, method="POST")

    assert request.form["title"] == "cat"
    photo = request.files["photo"]
    assert (photo.filename, photo.content_type, photo.read()) == (
        "cat.png",
        "image/png",
        b"\x89PNG" * 1000,
    )
    request.close()
    assert photo.stream.closed


def test_a_large_upload_lies_in_a_temporary_file_that_close_closes(request_of):
    request = request_of(data={"photo": (io.BytesIO(b"x" * 2_000_000), "cat.png")}, method="POST")

    photo = request.files["photo"]

    assert photo.seek(0, io.SEEK_END) == 2_000_000
    request.close()
    assert photo.stream.closed


def test_an_upload_is_not_there_a_second_time_as_body(request_of):
    request = request_of(data={"photo": (io.BytesIO(b"x"), "cat.png")}, method="POST")
    assert request.files

    with pytest.raises(UsageError, match="read `body` before them"):
        request.body  # noqa: B018


def test_an_upload_may_be_read_as_body_first(request_of):
    request = request_of(data={"photo": (io.BytesIO(b"pixels"), "cat.png")}, method="POST")

    assert b"pixels" in request.body
    assert request.files["photo"].read() == b"pixels"


def test_a_large_field_of_a_form_is_bound_by_the_body_limit_alone(request_of):
    request = request_of(
        data={"text": "x" * 1_000_000, "photo": (io.BytesIO(b""), "a")}, method="POST"
    )

    assert len(request.form["text"]) == 1_000_000


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"no boundary"),
        ("multipart/form-data; boundary=x", b"no parts"),
        ("application/x-www-form-urlencoded", b"\xff=1"),
    ],
)
def test_a_form_that_cannot_be_read_is_answered_400(request_of, content_type, body):
    with pytest.raises(HTTPException) as caught:
        request_of(data=body, content_type=content_type, method="POST").form  # noqa: B018

    assert caught.value.code == 400


def test_a_chunked_upload_over_the_limit_is_answered_413_and_its_file_closed(request_of):
    request = request_of(
        config=Config(max_body_bytes=1_000_000),
        method="POST",
        data={"photo": (io.BytesIO(b"x" * 2_000_000), "a")},
        overrides={"CONTENT_LENGTH": "", "wsgi.input_terminated": True},
    )

    with pytest.raises(HTTPException) as caught:
        request.files  # noqa: B018

    assert caught.value.code == 413
    assert request.holds_files


def test_other_bodies_are_no_form(request_of):
    request = request_of(data=b'{"a": 1}', content_type="application/json", method="POST")

    assert request.form == {}
    assert request.json == {"a": 1}


def test_json_of_an_upload_that_was_read_already_is_the_handlers_mistake(request_of):
    request = request_of(data={"photo": (io.BytesIO(b"x"), "cat.png")}, method="POST")
    assert request.files

    with pytest.raises(UsageError, match="read `body` before them"):
        request.json  # noqa: B018
