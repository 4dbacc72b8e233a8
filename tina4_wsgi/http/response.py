"""The response that a handler fills: a builder, and the WSGI app that sends the answer."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Protocol, TypedDict

from werkzeug.exceptions import NotFound
from werkzeug.http import dump_cookie
from werkzeug.urls import iri_to_uri

from .. import jsontext
from ..errors import UsageError
from ..protocol.grammar import is_token
from . import files, headers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime, timedelta
    from pathlib import Path

    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from typing_extensions import Unpack

    from .request import Request

    class CookieAttributes(TypedDict, total=False):
        """The keywords of `Response.cookie`."""

        max_age: timedelta | int | None
        expires: str | datetime | int | float | None
        path: str | None
        domain: str | None
        secure: bool
        httponly: bool
        samesite: str | None
        partitioned: bool

    Sender = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]

logger = logging.getLogger("tina4_wsgi.http")

HTML = "text/html; charset=utf-8"
TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
BYTES = "application/octet-stream"
EVENTS = "text/event-stream"

_REDIRECTS = (301, 302, 303, 307, 308)
_OK = headers.status_line(200)


class Renderer(Protocol):
    """Fills templates."""

    def render(self, name: str, context: Mapping[str, object] | None = None) -> str:
        """Return the page that a template makes of a context."""


class Response:
    """An answer under construction, and a WSGI app that sends it.

    Each method changes the answer and returns it, so that calls may be chained:
    `response.status(201).header("Location", "/users/7").json(user)`. What may not go on the wire
    is refused with `UsageError`.
    """

    # Defaults of the class: every request makes a response, which sets only what differs.
    _status: int | None = None
    _body: bytes | None = None
    _sender: Sender | None = None
    _type = TEXT  # by the kind of body
    _own_type: str | None = None  # by `header`; goes before `_type`
    _fields: list[tuple[str, str]] | None = None

    def __init__(
        self,
        request: Request | None = None,
        templates: Renderer | None = None,
        root: Path | None = None,
    ) -> None:
        """Begin an answer; `templates` and `root` are where `html` and `file` look."""
        self._request = request
        self._templates = templates
        self._root = root

    @property
    def status_code(self) -> int:
        """The status as it is now; an answer with neither a status nor a body is a 204."""
        if self._status is not None:
            return self._status
        return 204 if self._body is None and self._sender is None else 200

    @property
    def is_untouched(self) -> bool:
        """Whether the answer has neither a status nor a body."""
        return self._status is None and self._body is None and self._sender is None

    def status(self, code: int) -> Response:
        """Set the status, 200-599."""
        headers.status_line(code)
        self._status = int(code)
        return self

    def header(self, name: str, value: object, *, add: bool = False) -> Response:
        """Set a header field, in place of others of its name; with `add`, beside them.

        A cookie always goes beside others.
        """
        name, text = headers.field(name, value)
        key = name.lower()
        if key == "content-type":
            self._own_type = text
            return self
        kept = self._fields or []
        if not add and key != "set-cookie":
            kept = [field for field in kept if field[0].lower() != key]
        self._fields = [*kept, (name, text)]
        return self

    def cookie(
        self, name: str, value: object = "", **attributes: Unpack[CookieAttributes]
    ) -> Response:
        """Set a cookie; `max_age=0` removes it.

        By default scripts can't read it (`httponly`), other sites' forms don't send it
        (`samesite="Lax"`), and one that is set over TLS is only sent over TLS (`secure`).

        Args:
            attributes: those of `werkzeug.http.dump_cookie`: `max_age` in seconds, `expires`,
                `path`, `domain`, `secure`, `httponly`, `samesite`, `partitioned`.
        """
        if not isinstance(name, str) or not is_token(name):
            raise UsageError(f"cookie name {name!r}, expected letters, digits and dashes")

        is_secure = self._request is not None and self._request.is_secure
        chosen: CookieAttributes = {
            "httponly": True,
            "samesite": "Lax",
            "secure": is_secure,
            **attributes,
        }
        try:
            text = dump_cookie(name, str(value), **chosen)
        except (TypeError, ValueError) as exc:
            raise UsageError(f"cookie {name!r}: {exc}") from exc
        return self.header("Set-Cookie", text)

    def json(self, data: object, status: int | None = None) -> Response:
        """Answer with JSON; dates become ISO 8601, `UUID` and `Decimal` text."""
        if status is not None:
            self.status(status)
        return self._set(jsontext.encode_bytes(data), JSON)

    def html(
        self, template_or_markup: str, context: Mapping[str, object] | None = None
    ) -> Response:
        """Answer with a page.

        Args:
            template_or_markup: the name of a template, if there is a context or the name ends with
                ".html"; else the page itself, sent as it is.
        """
        if context is None and not _is_template_name(template_or_markup):
            return self.markup(template_or_markup)
        if self._templates is None:
            raise UsageError(
                f"no templates for {template_or_markup!r}, expected the response that "
                "the handler was given"
            )
        return self.markup(self._templates.render(template_or_markup, context))

    def markup(self, text: str) -> Response:
        """Answer with a page, never taken for the name of a template."""
        return self._set(text.encode(), HTML)

    def text(self, text: str) -> Response:
        """Answer with plain text."""
        return self._set(text.encode(), TEXT)

    def data(self, body: bytes, content_type: str = BYTES) -> Response:
        """Answer with bytes."""
        return self._set(bytes(body), headers.field("Content-Type", content_type)[1])

    def redirect(self, url: str, status: int = 302) -> Response:
        """Redirect the client to a path of this host, or to an address with its scheme."""
        if status not in _REDIRECTS:
            raise UsageError(
                f"redirect with {status!r}, expected one of: {', '.join(map(str, _REDIRECTS))}"
            )
        if not headers.is_one_line(url):  # `iri_to_uri` would silently drop CR and LF
            raise UsageError(f"redirect to {url!r} with a control character, expected an address")
        self.status(status).header("Location", iri_to_uri(url))
        return self._set(b"", TEXT)

    def file(
        self,
        path: str | os.PathLike[str],
        as_attachment: bool = False,
        download_name: str | None = None,
    ) -> Response:
        """Answer with a file; the client may ask for a range, or whether it has changed.

        Never make `path` of a client's data, unless by `werkzeug.security.safe_join`.

        Args:
            path: absolute, or relative to the root of the app.
            as_attachment: whether the browser saves the file instead of showing it.
            download_name: the name to save the file under, instead of its own.
        Raises:
            NotFound: there is no such file; becomes a 404.
        """
        place = os.path.abspath(os.path.join(self._root or "", path))
        if not os.path.isfile(place):
            raise NotFound

        def send(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            answer = files.send(
                place, environ, as_attachment=as_attachment, download_name=download_name
            )

            if self._own_type is not None:
                answer.headers["Content-Type"] = self._own_type
            for name, _ in self._fields or ():
                answer.headers.remove(name)
            answer.headers.extend(self._fields or ())
            if self._status is not None and answer.status_code == 200:
                answer.status_code = self._status

            return answer(environ, start_response)

        return self._set_sender(send)

    def stream(self, generator: Iterable[str | bytes], content_type: str = EVENTS) -> Response:
        """Answer piece by piece, each sent as soon as the generator yields it.

        The generator is closed when it ends and when the client has left. The server notices that
        only at the next piece, so yield something now and then: `": \\n\\n"` among server-sent
        events.
        """
        if isinstance(generator, str | bytes):
            raise UsageError(
                "stream of one text, expected a generator of pieces; send a text with `text`"
            )

        media_type = headers.field("Content-Type", content_type)[1]
        pieces = _Pieces(generator, self._request)

        def send(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            fields = [("Content-Type", self._own_type or media_type), *(self._fields or ())]
            start_response(headers.status_line(self.status_code), fields)
            return pieces

        # Caches and proxies would gather the pieces; nginx does so unless this tells it not to.
        self.header("Cache-Control", "no-cache").header("X-Accel-Buffering", "no")
        return self._set_sender(send)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Send the answer (PEP 3333); to a HEAD, without its body."""
        body = self._body
        if body is None or self._status is not None:
            return self._answer(environ, start_response)

        # Nearly every answer goes this way; it stands apart from `_answer` to be fast.
        fields = [
            ("Content-Type", self._own_type or self._type),
            ("Content-Length", str(len(body))),
        ]
        if self._fields is not None:
            fields += _without_length(self._fields)

        start_response(_OK, fields)
        return () if environ["REQUEST_METHOD"] == "HEAD" else (body,)

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        code = self.status_code
        own = self._fields or []
        if headers.is_bodiless(code):
            start_response(headers.status_line(code), _without_length(own))
            return ()

        if self._sender is not None:
            pieces = self._sender(environ, start_response)
            return without_body(pieces) if environ["REQUEST_METHOD"] == "HEAD" else pieces

        body = self._body or b""
        fields = [
            ("Content-Type", self._own_type or self._type),
            ("Content-Length", str(len(body))),
        ]
        start_response(headers.status_line(code), fields + _without_length(own))
        return () if environ["REQUEST_METHOD"] == "HEAD" else (body,)

    def _set(self, body: bytes, media_type: str) -> Response:
        self._body = body
        self._type = media_type
        self._sender = None
        return self

    def _set_sender(self, sender: Sender) -> Response:
        self._body = None
        self._sender = sender
        return self


def without_body(pieces: Iterable[bytes]) -> Iterable[bytes]:
    """Close the body of an answer to HEAD, and return an empty one."""
    close = getattr(pieces, "close", None)
    if close is not None:
        close()
    return ()


class _Pieces:
    """A generator as WSGI wants it: bytes, closed with the answer, its failure logged.

    A failure goes on to the server, which then aborts the connection: if the answer ended normally,
    the client would take the part that it has for the whole.
    """

    def __init__(self, pieces: Iterable[str | bytes], request: Request | None) -> None:
        self._source = pieces
        self._pieces = iter(pieces)
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return _as_bytes(next(self._pieces))
        except StopIteration:
            raise
        except Exception:
            path = "" if self._request is None else self._request.path
            logger.exception("the stream of %.200r failed", path)
            raise

    def close(self) -> None:
        close = getattr(self._source, "close", None)
        if close is not None:
            close()


def _as_bytes(piece: str | bytes) -> bytes:
    if isinstance(piece, str):
        return piece.encode()
    if isinstance(piece, bytes):
        return piece
    raise UsageError(f"stream yielded {type(piece).__name__}, expected str or bytes")


def _is_template_name(text: str) -> bool:
    return text.endswith(".html") and "<" not in text and "\n" not in text


def _without_length(fields: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return fields without the handler's own length, which only a stream may set."""
    return [field for field in fields if field[0].lower() != "content-length"]
