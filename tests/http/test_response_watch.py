"""`on_response` is told of what the wrapped application answered, and the answer stays as it was."""

from __future__ import annotations

import io
from typing import Any
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import pytest
from werkzeug.test import create_environ, run_wsgi_app

from tina4_wsgi import App, ConfigError, Router
from tina4_wsgi.http.response_watch import ResponseWatch

TEXT = [("Content-Type", "text/plain")]


class Body:
    """A body that notes its end."""

    def __init__(self, told: list[Any], error: Exception | None = None) -> None:
        self.told = told
        self.error = error

    def __iter__(self) -> Any:
        yield b"one"
        if self.error is not None:
            raise self.error
        yield b"two"

    def close(self) -> None:
        self.told.append("closed")


@pytest.fixture
def told() -> list[Any]:
    return []


def answering(status: str, body: Any = (b"hello",)) -> Any:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response(status, TEXT)
        return body

    return app


def note(told: list[Any]) -> Any:
    return lambda method, path, status, environ: told.append((method, path, status))


def get(app: Any, path: str = "/orders", **environ: Any) -> tuple[bytes, str]:
    pieces, status, _ = run_wsgi_app(app, {**create_environ(path), **environ}, buffered=True)
    return b"".join(pieces), status


def test_a_request_that_succeeded_is_told_once_its_response_is_closed(told):
    app = ResponseWatch(answering("201 Created", Body(told)), note(told))
    body = app({**create_environ("/orders", method="POST")}, lambda *_: lambda data: None)
    assert (list(body), told) == ([b"one", b"two"], [])

    body.close()  # type: ignore[attr-defined]
    body.close()  # type: ignore[attr-defined]

    assert told == ["closed", ("POST", "/orders", 201), "closed"]


@pytest.mark.parametrize(
    ("status", "is_told"),
    [
        ("101 Switching Protocols", False),
        ("204 No Content", True),
        ("302 Found", True),
        ("400 Bad Request", False),
        ("500 Oops", False),
    ],
)
def test_success_is_a_status_from_200_to_399(told, status, is_told):
    get(ResponseWatch(answering(status), note(told)))

    assert bool(told) == is_told


def test_what_fails_amid_its_answer_is_not_told(told):
    app = ResponseWatch(answering("200 OK", Body(told, ValueError("broken"))), note(told))
    body = app(create_environ("/"), lambda *_: lambda data: None)
    with pytest.raises(ValueError, match="broken"):
        list(body)
    body.close()  # type: ignore[attr-defined]

    assert told == ["closed"]


def test_what_raises_at_once_is_not_told(told):
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", TEXT)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        get(ResponseWatch(app, note(told)))

    assert told == []


def test_an_error_that_replaces_an_answer_counts(told):
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", TEXT)
        try:
            raise ValueError("broken")
        except ValueError as exc:
            start_response("500 Oops", TEXT, (ValueError, exc, None))
        return [b"sorry"]

    body = ResponseWatch(app, note(told))(create_environ("/"), lambda *_: lambda data: None)
    body.close()  # type: ignore[attr-defined]

    assert told == []


def test_a_client_that_leaves_early_is_no_failure_of_the_application(told):
    app = ResponseWatch(answering("200 OK", Body(told)), note(told))
    body = app(create_environ("/"), lambda *_: lambda data: None)
    pieces = iter(body)
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    body.close()  # type: ignore[attr-defined]

    assert told == ["closed", ("GET", "/", 200)]


def test_the_path_is_that_of_the_client_and_the_environ_that_of_the_application(told):
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        environ["PATH_INFO"], environ["shop.user"] = "/elsewhere", "ada"
        start_response("200 OK", TEXT)
        return [b""]

    get(
        ResponseWatch(
            app, lambda method, path, status, environ: told.append((path, environ["shop.user"]))
        ),
        "/k%C3%A4se",
    )

    assert told == [("/käse", "ada")]


@pytest.mark.parametrize("error", [ValueError("broken"), SystemExit(1)])
def test_its_own_error_is_logged_and_harms_nothing(caplog, error):
    def tell(*arguments: Any) -> None:
        raise error

    assert get(ResponseWatch(answering("200 OK"), tell)) == (b"hello", "200 OK")
    assert "on_response of GET '/orders' raised" in caplog.text


def test_servers_see_the_length_of_a_body_that_has_one(told):
    sized = ResponseWatch(answering("200 OK", [b"hello"]), note(told))
    stream = ResponseWatch(answering("200 OK", Body(told)), note(told))

    assert len(sized(create_environ("/"), lambda *_: None)) == 1  # type: ignore[arg-type,return-value]
    assert not hasattr(stream(create_environ("/"), lambda *_: None), "__len__")  # type: ignore[arg-type,return-value]


def test_servers_send_files_themselves_as_before(told):
    file = io.BytesIO(b"file")
    wrapper = FileWrapper(file)
    app = ResponseWatch(answering("200 OK", wrapper), note(told))
    body = app({**create_environ("/"), "wsgi.file_wrapper": FileWrapper}, lambda *_: None)  # type: ignore[arg-type,return-value]

    assert body is wrapper
    assert (list(body), told) == ([b"file"], [])

    body.close()  # type: ignore[attr-defined]
    assert (file.closed, told) == (True, [("GET", "/", 200)])


def test_a_file_wrapper_that_takes_no_attribute_is_told_too(told):
    class Closed:
        __slots__ = ()

        def __iter__(self) -> Any:
            return iter((b"file",))

    app = ResponseWatch(answering("200 OK", Closed()), note(told))

    assert get(app, "/", **{"wsgi.file_wrapper": Closed}) == (b"file", "200 OK")
    assert told == [("GET", "/", 200)]


def test_it_is_itself_an_application_as_pep_3333_has_it(told):
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", TEXT)
        return [b"hello"]

    get(validator(ResponseWatch(validator(app), note(told))))

    assert told == [("GET", "/orders", 200)]


# -- in an App


def test_an_app_tells_of_what_it_passes_on_and_of_nothing_of_its_own(told):
    router = Router()
    router.get("/own")(lambda request, response: {"own": True})
    app = App(answering("200 OK"), router=router, on_response=note(told))

    get(app, "/own")
    get(app, "/orders")

    assert told == [("GET", "/orders", 200)]


def test_without_it_nothing_stands_between():
    legacy = answering("200 OK", body := [b"hello"])

    assert App(legacy, router=Router())(create_environ("/"), lambda *_: None) is body  # type: ignore[arg-type,return-value]


@pytest.mark.parametrize(
    ("wsgi_app", "on_response", "why"),
    [
        (None, print, "on_response is given without a wrapped app"),
        (print, lambda environ: None, r"on_response takes \(environ\), expected"),
        (print, "broadcast", "on_response 'broadcast', expected a function of"),
    ],
)
def test_what_cannot_be_told_is_refused_at_start(wsgi_app, on_response, why):
    with pytest.raises(ConfigError, match=why):
        App(wsgi_app, router=Router(), on_response=on_response)
