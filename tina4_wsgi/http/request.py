"""The request that a handler reads."""

from __future__ import annotations

import io
import itertools
import tempfile
from typing import IO, TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl

from werkzeug.datastructures import EnvironHeaders, FileStorage, ImmutableMultiDict, MultiDict
from werkzeug.exceptions import (
    BadRequest,
    ClientDisconnected,
    LengthRequired,
    RequestEntityTooLarge,
)
from werkzeug.formparser import FormDataParser, default_stream_factory
from werkzeug.http import parse_cookie, parse_options_header
from werkzeug.utils import cached_property
from werkzeug.wrappers import Request as WerkzeugRequest

from .. import jsontext
from ..addresses import forwarded
from ..errors import UsageError
from .headers import cookie_text, first_elements

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from _typeshed.wsgi import InputStream, WSGIEnvironment

    from ..config import Config
    from ..routing.params import Params

_MOST_KEPT_BYTES = 524_288
"""How much of a body stays in memory while it arrives; the rest goes to disk.

Otherwise many slow uploads would fill the memory.
"""

_BLOCK_BYTES = 65_536
_LEAST_MEMORY_BYTES = 262_144  # the parser counts what it has read ahead of a file, too


class Request:
    """One HTTP request, or the request that asks for a WebSocket.

    Making one is nearly free: each value is read from the environ once, when it is asked for.

    Attributes:
        environ: the server's own, unchanged, but that a WebSocket's path has lost superfluous
            slashes at its end.
        params: the parameters of the path.
    """

    holds_files = False
    """Whether files of an upload are open, which `close` closes."""

    def __init__(self, environ: WSGIEnvironment, params: Params, config: Config) -> None:
        self.environ = environ
        self.params = params
        self._config = config

    @property
    def method(self) -> str:
        """The method, in capitals."""
        method: str = self.environ["REQUEST_METHOD"]
        return method

    @cached_property
    def path(self) -> str:
        """The path below the app, percent-decoded."""
        raw: str = self.environ.get("PATH_INFO", "")
        return raw.encode("latin-1").decode(errors="replace") or "/"

    @cached_property
    def query(self) -> MultiDict[str, str]:
        """The parameters after the "?": `request.query.get("page", 1, type=int)`."""
        raw = self.environ.get("QUERY_STRING", "").encode("latin-1").decode(errors="replace")
        return ImmutableMultiDict(parse_qsl(raw, keep_blank_values=True))

    @cached_property
    def headers(self) -> EnvironHeaders:
        """The header fields, by name in any case."""
        return EnvironHeaders(self.environ)

    @cached_property
    def cookies(self) -> MultiDict[str, str]:
        """The cookies, by name; of far too many only the first."""
        text = ";".join(first_elements(cookie_text(self.environ), ";"))
        return parse_cookie(text, cls=ImmutableMultiDict)

    @cached_property
    def ip(self) -> str:
        """The address of the client; behind `trusted_proxies`, the one that these report."""
        return forwarded.client_ip(self.environ, self._config.trusted_proxies)

    @property
    def host(self) -> str:
        """The host that was asked for, with its port where one was given."""
        return forwarded.host(self.environ, self._config.trusted_proxies)

    @property
    def scheme(self) -> str:
        """`"http"` or `"https"`, as the client sees it."""
        return forwarded.scheme(self.environ, self._config.trusted_proxies)

    @property
    def root_path(self) -> str:
        """The path below which the app lies, "" for the whole host; put it before paths in links.

        It is `SCRIPT_NAME`, after the prefix that one of the `trusted_proxies` has removed from the
        path and reports as `X-Forwarded-Prefix`.
        """
        return (
            forwarded.root(self.environ, self._config.trusted_proxies)
            .encode("latin-1")
            .decode(errors="replace")
        )

    @property
    def is_secure(self) -> bool:
        """Whether the client came over TLS."""
        return self.scheme == "https"

    @cached_property
    def body(self) -> bytes:
        """All bytes of the body.

        Raises:
            RequestEntityTooLarge: more than `Config.max_body_bytes`; becomes a 413.
            ClientDisconnected: it ends too early; becomes a 400.
            UsageError: it is an upload that `form` and `files` have read already.
        """
        if self.holds_files:
            raise UsageError("the upload was read into `form` and `files`, read `body` before them")

        with tempfile.SpooledTemporaryFile(_MOST_KEPT_BYTES) as whole:
            while block := self._stream.read(_BLOCK_BYTES):
                whole.write(block)
            whole.seek(0)
            return whole.read()

    @cached_property
    def json(self) -> Any:  # Any: whatever the JSON holds
        """The body as JSON, whatever its Content-Type.

        Raises:
            BadRequest: it isn't JSON; becomes a 400 that says where.
            RequestEntityTooLarge: more than `Config.max_form_bytes`; becomes a 413.
        """
        try:
            return jsontext.decode(self._small_body("JSON"))
        except UsageError:
            raise
        except ValueError as exc:
            raise BadRequest(f"The body is not JSON: {exc}.") from exc

    @property
    def form(self) -> MultiDict[str, str]:
        """The fields of a form, urlencoded or multipart; empty for other bodies.

        Raises:
            BadRequest: the body doesn't fit its Content-Type; becomes a 400.
            RequestEntityTooLarge: more than `Config.max_body_bytes`, `max_form_bytes` without the
                files, or `max_form_fields`; becomes a 413.
        """
        return self._parsed_form[0]

    @property
    def files(self) -> MultiDict[str, FileStorage]:
        """The uploaded files, by field; closed once the answer is sent. Raises as `form` does."""
        return self._parsed_form[1]

    @cached_property
    def werkzeug(self) -> WerkzeugRequest:
        """Werkzeug's request, for what isn't here: `accept_mimetypes`, `authorization`, `range`."""
        request = WerkzeugRequest(self.environ, populate_request=False)
        request.stream = self._stream
        return request

    def close(self) -> None:
        """Close the uploaded files."""
        if self.holds_files:
            for file in self._open_files:
                file.close()

    def _small_body(self, what: str) -> bytes:
        """Return a body whose parsed form takes many times its size, if it is within its limit."""
        limit_bytes = self._config.max_form_bytes
        text = f"The {what} is over {limit_bytes} bytes, which is the setting max_form_bytes."

        length = content_length(self.environ, self._config.max_body_bytes)
        if length is not None and length > limit_bytes:
            raise RequestEntityTooLarge(text)
        if length is None and "body" not in self.__dict__:
            self.__dict__["_stream"] = body_stream(
                self.environ, min(limit_bytes, self._config.max_body_bytes)
            )

        body = self.body
        if len(body) > limit_bytes:
            raise RequestEntityTooLarge(text)
        return body

    @cached_property
    def _stream(self) -> IO[bytes]:
        return body_stream(self.environ, self._config.max_body_bytes)

    @cached_property
    def _parsed_form(self) -> tuple[MultiDict[str, str], MultiDict[str, FileStorage]]:
        config = self._config
        media_type, options = parse_options_header(self.environ.get("CONTENT_TYPE"))
        is_upload = media_type == "multipart/form-data"

        stream: IO[bytes]
        if is_upload:
            stream = io.BytesIO(self.body) if "body" in self.__dict__ else self._stream
        elif media_type == "application/x-www-form-urlencoded":
            body = self._small_body("form")
            if body.count(b"&") >= config.max_form_fields:
                raise RequestEntityTooLarge(f"The form has over {config.max_form_fields} fields.")
            stream = io.BytesIO(body)
        else:
            return ImmutableMultiDict(), ImmutableMultiDict()

        parser = FormDataParser(
            self._open_file,
            cls=ImmutableMultiDict,
            silent=False,
            max_form_memory_size=max(config.max_form_bytes, _LEAST_MEMORY_BYTES),
            max_form_parts=config.max_form_fields,
        )

        self.holds_files = is_upload
        try:
            _, form, files = parser.parse(stream, media_type, None, options)
        except ValueError as exc:
            raise BadRequest("The form can't be read.") from exc

        if sum(map(len, itertools.chain.from_iterable(form.listvalues()))) > config.max_form_bytes:
            raise _too_large(config.max_form_bytes)
        return form, files

    @cached_property
    def _open_files(self) -> list[IO[bytes]]:
        return []

    def _open_file(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        """Open a file for one part of an upload, and remember it.

        A refused upload is in no `files`, and its file has to be closed, too.
        """
        file = default_stream_factory(total_content_length, content_type, filename, content_length)
        self._open_files.append(file)
        return file


def content_length(environ: WSGIEnvironment, limit_bytes: int) -> int | None:
    """Return the Content-Length of a request, None if it has none.

    Raises:
        RequestEntityTooLarge: it is over the limit.
        BadRequest: it isn't a number.
    """
    text = environ.get("CONTENT_LENGTH")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal()):
        raise BadRequest("Content-Length is not a number.")
    # No limit has so many digits, and Python refuses to read thousands of them.
    if len(text) > _LENGTH_DIGITS or int(text) > limit_bytes:
        raise _too_large(limit_bytes)
    return int(text)


_LENGTH_DIGITS = 19


def body_stream(environ: WSGIEnvironment, limit_bytes: int) -> IO[bytes]:
    """Return the body of a request, as a stream that ends with it and never exceeds the limit.

    Raises:
        RequestEntityTooLarge: the body's length exceeds the limit; nothing was read.
        LengthRequired: the body comes in chunks, and the server doesn't mark its end.
    """
    length = content_length(environ, limit_bytes)
    source = environ["wsgi.input"]

    if length is not None:
        return _guarded(source, length, limit_bytes)
    if environ.get("wsgi.input_terminated"):
        return _guarded(source, None, limit_bytes)
    if environ.get("HTTP_TRANSFER_ENCODING"):
        raise LengthRequired("This server takes no chunked bodies.")
    return _guarded(source, 0, limit_bytes)


def _guarded(source: InputStream, length: int | None, limit_bytes: int) -> IO[bytes]:
    # A RawIOBase is an IO[bytes] in all but its type.
    return cast("IO[bytes]", _Body(source, length, limit_bytes))


class _Body(io.RawIOBase):
    """A body that is read to its length, or without a length to its end, up to the limit.

    Werkzeug's `LimitedStream` silently cuts off a chunked body at the limit.
    """

    def __init__(self, source: InputStream, length: int | None, limit_bytes: int) -> None:
        self._source = source
        self._length = length
        self._limit_bytes = limit_bytes
        self._taken_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)

        # Without a length ask for one byte more than is allowed, to notice a body that is too long.
        end = self._limit_bytes + 1 if self._length is None else self._length
        wanted = min(len(view), end - self._taken_bytes)
        if wanted <= 0:
            return 0

        data = self._read(wanted)
        if not data and self._length is not None:
            raise ClientDisconnected

        self._taken_bytes += len(data)
        if self._taken_bytes > self._limit_bytes:
            raise _too_large(self._limit_bytes)

        view[: len(data)] = data
        return len(data)

    def _read(self, wanted: int) -> bytes:
        try:
            return self._source.read(wanted)
        except OSError as exc:
            raise ClientDisconnected from exc


def _too_large(limit_bytes: int) -> RequestEntityTooLarge:
    return RequestEntityTooLarge(f"The body is over {limit_bytes} bytes.")
