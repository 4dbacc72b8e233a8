"""What one request may cost: forms, JSON, and the lists in its head; bounded by counts and
sizes.
"""

from __future__ import annotations

import io

import pytest
from werkzeug.exceptions import HTTPException

from tests.http.test_request import chunked, request_of  # noqa: F401  # fixtures
from tina4_wsgi import App, Router
from tina4_wsgi.addresses import forwarded
from tina4_wsgi.config import Config
from tina4_wsgi.errors import Refused
from tina4_wsgi.http import error_pages, files
from tina4_wsgi.http.headers import first_elements, is_short_list
from tina4_wsgi.protocol.deflate import parse_offers
from tina4_wsgi.protocol.grammar import MOST_ELEMENTS, has_token, split_tokens
from tina4_wsgi.protocol.handshake import choose_subprotocol
from tina4_wsgi.testing import HandshakeRefused, TestClient

FORM = "application/x-www-form-urlencoded"
SMALL = Config(max_form_bytes=1_024, max_form_fields=10)


def status_of(read):
    with pytest.raises(HTTPException) as raised:
        read()
    return raised.value.code, raised.value.description


@pytest.mark.parametrize("body", [b"a&" * 10 + b"a", b"&" * 1_000, b"a=1&" * 200, b"=&" * 11])
def test_a_form_of_too_many_fields_is_answered_413(request_of, body):  # noqa: F811
    request = request_of(method="POST", data=body, content_type=FORM, config=SMALL)

    assert status_of(lambda: request.form) == (413, "The form has over 10 fields.")


@pytest.mark.parametrize(
    ("read", "content_type", "body"),
    [
        (lambda request: request.form, FORM, b"a=" + b"x" * 1_023),
        (lambda request: request.json, "", b"[" + b"1," * 600),
        (lambda request: request.json, "application/json", b'"' + b"x" * 1_100 + b'"'),
    ],
)
def test_what_costs_many_times_its_size_is_answered_413_before_it_is_read(
    request_of,  # noqa: F811
    read,
    content_type,
    body,
):
    source = io.BytesIO(body)
    overrides = {"wsgi.input": source}
    request = request_of(
        method="POST", data=body, content_type=content_type, config=SMALL, overrides=overrides
    )

    status, text = status_of(lambda: read(request))

    assert status == 413
    assert "max_form_bytes" in text
    assert source.tell() == 0


@pytest.mark.parametrize("name", ["json", "body then json"])
def test_it_is_so_without_a_length_and_behind_a_look_at_the_body(chunked, name):  # noqa: F811
    request, source = chunked(b"[" + b"1," * 2_000, config=SMALL)
    if name != "json":
        assert len(request.body) == 4_001

    assert status_of(lambda: request.json)[0] == 413
    assert source.given == (1_025 if name == "json" else 4_001)


def test_what_is_no_form_is_not_read_for_one(request_of):  # noqa: F811
    source = io.BytesIO(b"x" * 5_000)
    request = request_of(
        method="POST",
        data=b"x" * 5_000,
        content_type="text/plain",
        config=SMALL,
        overrides={"wsgi.input": source},
    )

    assert (len(request.form), len(request.files), source.tell()) == (0, 0, 0)


def test_an_upload_may_be_larger_than_a_form_but_not_its_fields(request_of):  # noqa: F811
    large = {"file": (io.BytesIO(b"x" * 5_000), "a.txt"), "name": "ada"}
    assert request_of(method="POST", data=large, config=SMALL).form["name"] == "ada"

    fields = {"name": "x" * 2_000}
    request = request_of(
        method="POST", data=fields, content_type="multipart/form-data", config=SMALL
    )
    assert status_of(lambda: request.form)[0] == 413


def test_a_large_body_is_given_whole(request_of):  # noqa: F811
    body = bytes(range(256)) * 8_192  # 2 MiB: more than is kept in memory while it comes

    assert request_of(method="POST", data=body).body == body


# -- lists in the head

MANY = 50_000


def test_of_a_list_that_nobody_has_meant_only_the_first_elements_are_looked_at():
    assert len(first_elements("a," * MANY)) == MOST_ELEMENTS
    assert len(first_elements(";" * MANY, ";")) == MOST_ELEMENTS
    assert sum(map(len, first_elements("x" * MANY))) < MANY
    assert len(split_tokens("a," * MANY)) == MOST_ELEMENTS
    assert not is_short_list('"a",' * MANY)
    assert not is_short_list('"' * MANY)


@pytest.mark.parametrize(
    "header", ["a;b," * MANY, "a," * 101, "a;x=1," * 101, ("permessage-deflate," * 101)]
)
def test_extensions_that_nobody_offers_are_refused(header):
    with pytest.raises(Refused, match="400"):
        parse_offers(header)


@pytest.mark.parametrize("header", [",".join(f"p{n}" for n in range(101)), "a," * MANY, "," * MANY])
def test_subprotocols_that_nobody_offers_are_refused(header):
    with pytest.raises(Refused, match="400"):
        choose_subprotocol(header, ["a"])


def test_a_token_far_behind_is_none():
    assert has_token("a, " * 50 + "upgrade", "upgrade")
    assert not has_token("a, " * MANY + "upgrade", "upgrade")


@pytest.mark.parametrize(
    "accept", ["a/b;q=.1," * MANY + "application/json", "a;b=" + '\\"' * MANY, "," * MANY]
)
def test_a_page_of_an_error_is_plain_text_for_whoever_accepts_everything(accept):
    started = []
    environ = {"HTTP_ACCEPT": accept, "REQUEST_METHOD": "GET"}
    body = error_pages.error(environ, 404)(environ, lambda *head: started.append(head))

    assert b"".join(body).startswith(b"404 Not Found")


@pytest.mark.parametrize("name", ["HTTP_IF_NONE_MATCH", "HTTP_IF_MATCH", "HTTP_IF_RANGE"])
@pytest.mark.parametrize("value", ['"a",' * MANY, "a" + " " * MANY, '"' * MANY, "," * 101])
def test_a_file_is_sent_whole_to_whoever_has_had_all_versions(tmp_path, name, value):
    (tmp_path / "a.txt").write_text("hello")

    response = files.send(str(tmp_path / "a.txt"), {"REQUEST_METHOD": "GET", name: value})

    assert response.status_code == 200
    response.close()


def test_addresses_that_the_client_wrote_far_left_are_not_looked_at():
    environ = {
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_X_FORWARDED_FOR": "9.9.9.9," + "127.0.0.1," * MANY + "10.0.0.7",
    }
    assert forwarded.client_ip(environ, ("127.0.0.1",)) == "10.0.0.7"

    environ["HTTP_X_FORWARDED_FOR"] = "9.9.9.9," + "127.0.0.1," * MANY
    assert forwarded.client_ip(environ, ("127.0.0.1",)) == "127.0.0.1"


def test_of_far_too_many_cookies_the_first_are_read(request_of):  # noqa: F811
    request = request_of(headers={"Cookie": "session=abc; " + ";" * MANY + "; late=1"})

    assert dict(request.cookies) == {"session": "abc"}


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Large": "x" * 40_000},
        {f"X-{n}": "y" * 4_000 for n in range(9)},
        {"X-Many": "a=b; " * 8_000},
    ],
)
def test_a_handshake_with_a_head_that_would_be_kept_for_long_is_refused_on_every_host(headers):
    router = Router()
    router.websocket("/ws/x")(lambda connection, event, data: None)

    with TestClient(App(router=router, backplane="none")) as client:
        with pytest.raises(HandshakeRefused) as refused, client.websocket("/ws/x", headers=headers):
            pass
        assert refused.value.status == 431
        with client.websocket("/ws/x", headers={"X-Large": "x" * 30_000}) as ws:
            assert ws.connection.headers["X-Large"] == "x" * 30_000
