"""Asks the wrapped application who connects: an `auth` for apps of which nothing else is known.

A handshake carries the browser's cookies, and the application has an address that tells who they
belong to. So it is asked there, by a GET of ours through its own WSGI callable: sessions, tokens
and whatever middleware it has decide as they do for a page. The GET goes to the wrapped application
and never to `App`, so no route of ours can answer it.
"""

from __future__ import annotations

import io
import re
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote_to_bytes

from .. import jsontext
from ..addresses import forwarded
from ..errors import Refused, UsageError
from ..http.headers import HOP_BY_HOP, told
from ..routing.paths import has_control_character

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from _typeshed import OptExcInfo
    from _typeshed.wsgi import WSGIApplication

    from ..http.request import Request
    from .bridge import Environ

    UserOf = Callable[[Any], object]  # Any: whatever the JSON holds

WRAPPED = "tina4_wsgi.wrapped"
"""The key under which the environ of an `auth` holds the wrapped application and, where a framework
may have changed the environ meanwhile, that of the handshake as it came; absent where nothing is
wrapped.
"""

MOST_ANSWER_BYTES = 65_536
"""An answer that tells who somebody is has some hundred bytes; a longer one is a page."""

_PARAMETER = re.compile(r"\{(\w+)\}")

_OF_ANOTHER_REQUEST = frozenset(
    {
        # What the handshake says of itself, of its body, and of an answer that would be empty.
        "CONTENT_LENGTH",
        "CONTENT_TYPE",
        "HTTP_CONTENT_LENGTH",
        "HTTP_CONTENT_TYPE",
        "HTTP_EXPECT",
        "HTTP_IF_MATCH",
        "HTTP_IF_MODIFIED_SINCE",
        "HTTP_IF_NONE_MATCH",
        "HTTP_IF_RANGE",
        "HTTP_IF_UNMODIFIED_SINCE",
        "HTTP_PROXY_CONNECTION",
        "HTTP_RANGE",
        "HTTP_TINA4_PROBE",
        # What servers add: the address as it was sent, and means to reach the socket.
        "RAW_URI",
        "REQUEST_URI",
        "gunicorn.socket",
        "waitress.client_disconnected",
        "werkzeug.request",
        "werkzeug.socket",
        "wsgi.file_wrapper",
        "wsgi.input_terminated",
        "wsgi.websocket",
        *(f"HTTP_{name.upper().replace('-', '_')}" for name in HOP_BY_HOP),
    }
)
_PREFIXES = ("HTTP_SEC_WEBSOCKET_", "tina4_wsgi.")

_REFUSING = "the site does not let you in here"
_NOT_FOUND_OUT = "the server could not find out who you are"
_RETRY_LATER = (("Retry-After", "5"),)


class AppQuestion:
    """What `ask` returns: an `auth`, which functions of the app may call, too."""

    def __init__(self, path: str, user: UserOf | None) -> None:
        self._path = path
        self._user = user

    def __repr__(self) -> str:
        return f"ask({self._path!r})"

    def __call__(self, request: Request) -> object:
        """Ask the wrapped application, and return the user whom it names; raises as `ask` tells."""
        app, environ = request.environ.get(WRAPPED, (None, None))
        return self.put(app, environ or request.environ, request.params)

    def put(
        self, app: WSGIApplication | None, environ: Environ, params: Mapping[str, object]
    ) -> object:
        """Ask the application, and return the user whom it names.

        Args:
            app: the wrapped one; None where nothing is wrapped.
            environ: of the handshake, as it came to us.
            params: of the route.
        Raises:
            Refused: as `ask` tells.
            UsageError: nothing is wrapped, or the answer can't be what was meant.
            Exception: what leaves the application.
        """
        if app is None:
            raise UsageError(f"{self!r} has nobody to ask, expected App(wsgi_app)")
        answer = _AppAnswer()
        answer.read(app, _request(environ, self._filled(params)))

        found = self._judge(answer)
        return found if self._user is None else self._user(found)

    def _filled(self, params: Mapping[str, object]) -> str:
        """Return the path with the parameters of the route in it."""

        def value(found: re.Match[str]) -> str:
            name = found[1]
            if name not in params:
                raise UsageError(f"{self!r} names {{{name}}}, expected a parameter of the route")
            text = str(params[name])
            if "/" in text or text in (".", ".."):  # it would lead to another address
                raise Refused(404, "no WebSocket route has this path", detail=repr(text[:200]))
            return quote(text, safe="")

        return _PARAMETER.sub(value, self._path)

    def _judge(self, answer: _AppAnswer) -> object:
        status = answer.status
        if status == 204:
            return True
        if 200 <= status < 300:
            return self._user_in(answer)

        detail = f"{self._path} answered {status}"
        if 300 <= status < 400:
            where = answer.header("location")[:200]
            raise Refused(401, _REFUSING, detail=f"{detail} to {where!r}" if where else detail)
        if status in (401, 403):
            raise Refused(status, _REFUSING, told(answer.headers))
        if status == 429 or status >= 500:
            # No statement about the user: one who is connected stays.
            raise Refused(503, _NOT_FOUND_OUT, told(answer.headers) or _RETRY_LATER, detail=detail)
        raise UsageError(
            f"{detail}, expected 2xx with the user, or 401 or 403, or a redirect to a login"
        )

    def _user_in(self, answer: _AppAnswer) -> object:
        """Return the user in the body of a good answer."""
        kind = answer.header("content-type").partition(";")[0].strip().lower()
        is_json = kind == "application/json" or kind.endswith("+json")
        if not is_json and kind != "text/plain":
            raise Refused(
                401,
                _REFUSING,
                detail=f"{self._path} answered {answer.status} with {kind[:100]!r}, which may be "
                "a page to log in; expected application/json or text/plain",
            )

        if answer.is_too_long:
            raise UsageError(
                f"{self._path} answered over {MOST_ANSWER_BYTES} bytes, expected at most that many"
            )
        try:
            return jsontext.decode(answer.body) if is_json else answer.body.decode().strip()
        except ValueError as exc:
            raise UsageError(f"{self._path} answered what is no {kind}: {exc}") from exc


def ask(path: str, user: UserOf | None = None) -> AppQuestion:
    """Return an `auth` that asks the wrapped application who connects: `auth=ask("/api/me")`.

    The application gets a GET of this path with the cookies and header fields of the handshake, and
    its answer decides:

    - 2xx with JSON or plain text: what it holds is the user; if that is empty, null or false, 401.
      204 lets in, and the user is True.
    - 401 and 403 refuse with their status; a redirect, or a page in HTML, is 401.
    - 429 and 5xx: 503, and a client that is connected stays. Any other answer is logged as a
      mistake, and answered 500.

    An `auth` of your own may call what this returns: `me = ask("/api/me")`, then `me(request)`.

    Args:
        path: of the wrapped application, below its root, with or without a query; `{name}` stands
            for a parameter of the route, as in `ask("/api/boards/{board}/access")`.
        user: makes the user of what the answer holds, where the application answers strangers with
            200, too: `ask("/api/session", lambda found: found["user"])`. What isn't true refuses
            with 401.
    Raises:
        UsageError: the path begins with no slash, or with two, or can't be sent.
    """
    if (
        not isinstance(path, str)
        or not path.startswith("/")
        or path.startswith("//")
        or "#" in path
        or has_control_character(path)
    ):
        raise UsageError(f"ask({path!r:.100}), expected a path of the wrapped app, as in /api/me")
    if user is not None and not callable(user):
        raise UsageError(f"ask(…, user={user!r:.100}), expected a function of the answer")
    return AppQuestion(path, user)


class _AppAnswer:
    """What an application answers to one request, up to `MOST_ANSWER_BYTES`."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: Sequence[tuple[str, str]] = ()
        self.is_too_long = False
        self._pieces: list[bytes] = []
        self._length = 0

    @property
    def body(self) -> bytes:
        return b"".join(self._pieces)

    def read(self, app: WSGIApplication, environ: Environ) -> None:
        """Send a request, and read its answer; raises what leaves the application."""
        pieces: Iterable[bytes] = app(environ, self._start_response)

        try:
            for piece in pieces:
                self._take(piece)
                # Only a good answer has something to read.
                if self.is_too_long or (self.status and not 200 <= self.status < 300):
                    break
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()

    def header(self, name: str) -> str:
        return next((value for field, value in self.headers if field.lower() == name), "")

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: OptExcInfo | None = None
    ) -> Callable[[bytes], object]:
        self.status = int(status[:3])
        self.headers = headers
        return self._take

    def _take(self, piece: bytes) -> None:
        self._length += len(piece)
        if self._length > MOST_ANSWER_BYTES:
            self.is_too_long = True
        else:
            self._pieces.append(piece)


def _request(handshake: Environ, path: str) -> Environ:
    """Return the environ of a GET of `path`, made from that of a handshake."""
    path, _, query = path.partition("?")
    dropped = _OF_ANOTHER_REQUEST | {
        f"HTTP_{name.strip().upper().replace('-', '_')}"
        for name in handshake.get("HTTP_CONNECTION", "").split(",")
    }
    kept = {
        name: value
        for name, value in forwarded.with_page_schemes(handshake).items()
        if name not in dropped and not name.startswith(_PREFIXES)
    }

    return {
        "SCRIPT_NAME": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        # Where nothing is said, many applications answer a stranger by a page to log in.
        "HTTP_ACCEPT": "application/json, text/plain;q=0.9",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        **kept,
        "REQUEST_METHOD": "GET",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "wsgi.input": io.BytesIO(),
    }
