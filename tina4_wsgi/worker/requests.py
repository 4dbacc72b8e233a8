"""Requests as gunicorn has them: counted, logged by its logger, shown to its hooks."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import Refused
from ..server.handler import Handler
from ..server.plain_handler import PlainHandler
from .seen import SeenRequest, SeenResponse

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import OptExcInfo
    from _typeshed.wsgi import WSGIEnvironment

    from ..server.request_head import RequestHead


class Ledger(Protocol):
    """What requests need to know of gunicorn's worker and its settings.

    Attributes:
        worker: gunicorn's.
        request_log: gunicorn's logger, None where it does nothing with requests.
        pre_request, post_request: gunicorn's hooks, None where they do nothing.
        scheme: of connections, "https" with TLS.
        is_on_unix: whether the server listens on a UNIX socket.
    """

    worker: Any
    request_log: Any
    pre_request: Callable[..., object] | None
    post_request: Callable[..., object] | None
    scheme: str
    is_on_unix: bool

    def scheme_of(self, head: RequestHead, address: object, /) -> str:
        """Return what scheme a proxy says the client speaks.

        Raises:
            Refused: 400, it says two things.
        """


class SocketOnDemand:
    """`gunicorn.socket`, which becomes one of gevent's sockets when it is first used."""

    __slots__ = ("_handler",)

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    def __getattr__(self, name: str) -> Any:  # whatever a socket has
        return getattr(self._handler.socket, name)


class _Counted(Handler):
    """A handler whose requests are gunicorn's too."""

    _seen: SeenRequest | None = None
    _scheme = "http"
    _body_bytes = 0
    _headers: list[tuple[str, str]] = []  # noqa: RUF012  # replaced, never changed

    @property
    def _ledger(self) -> Ledger:
        return self.server.ledger  # type: ignore[attr-defined, no-any-return]  # FleetServer's

    def begin(self) -> None:
        """Forget the last request, too."""
        super().begin()
        self._seen, self._body_bytes, self._headers = None, 0, []

    def is_welcome(self, head: RequestHead) -> bool:
        """Return whether the application is to be called; refuse the request if it isn't."""
        ledger = self._ledger
        try:
            self._scheme = ledger.scheme_of(head, self.client_address)
        except Refused as refusal:
            self.refuse(refusal.status, refusal.message)
            return False
        return self._is_let_in(head) and super().is_welcome(head)

    def _is_let_in(self, head: RequestHead) -> bool:
        """Call `pre_request`; return whether the request goes on."""
        ledger = self._ledger
        if ledger.pre_request is None:
            return True
        before = SeenRequest(head, self._scheme, self.client_address)
        seen = self._seen = SeenRequest(head, self._scheme, self.client_address)
        try:
            ledger.pre_request(ledger.worker, seen)
            seen.give_back(head, before)
        except (Exception, SystemExit):  # whatever user code raises
            ledger.worker.log.exception("Error handling request %s", seen.uri)
            self.refuse(500, HTTPStatus(500).phrase)
            self._tell_after({})
            return False
        self.command, self.path, self._scheme = seen.method, seen.uri, seen.scheme
        return True

    def get_environ(self) -> WSGIEnvironment:
        """Return the environ, with what gunicorn has in it besides."""
        environ = super().get_environ()
        environ["wsgi.url_scheme"] = self._scheme
        if not self.head.wants_websocket:
            # An upgrade's socket is found through `wsgi.input`, as under pywsgi.
            environ["gunicorn.socket"] = self._socket_for_the_app()
        if self._ledger.is_on_unix:
            host, _, port = environ.get("HTTP_HOST", "").partition(":")
            environ["SERVER_NAME"] = host
            default = {"http": "80", "https": "443"}.get(self._scheme, "") if host else ""
            environ["SERVER_PORT"] = port or default
        return environ

    def _socket_for_the_app(self) -> object:
        return self.socket

    def start_response(
        self,
        status: str,
        headers: list[tuple[str, str]],
        exc_info: OptExcInfo | None = None,
    ) -> Callable[[bytes], None]:
        """Note status and headers; see `Handler.start_response`."""
        write = super().start_response(status, headers, exc_info)
        self._headers = headers
        return write

    def handle_one_response(self) -> None:
        """Answer a request, and count it."""
        self._ledger.worker.count_request()
        try:
            super().handle_one_response()
        finally:
            self._tell_after(self.environ)

    def _tell_after(self, environ: WSGIEnvironment) -> None:
        ledger = self._ledger
        if ledger.post_request is None:
            return
        try:
            ledger.post_request(ledger.worker, self._as_seen(), environ, self._response())
        except Exception:
            ledger.worker.log.exception("Exception in post_request hook")

    def _as_seen(self) -> SeenRequest:
        if self._seen is None:
            self._seen = SeenRequest(self.head, self._scheme, self.client_address)
        return self._seen

    def log_request(self) -> None:
        """Have gunicorn's logger write a line of the access log."""
        log = self._ledger.request_log
        if log is not None:
            took = timedelta(seconds=max(0.0, self.time_finish - self.time_start))
            log.access(self._response(), self._as_seen(), self.environ, took)

    def _response(self) -> SeenResponse:
        status = self.status
        code = self.code or 500
        if status is None or not status.startswith(b"%d" % code):
            line = f"{code} {HTTPStatus(code).phrase}"
        else:
            line = status.decode("latin-1")
        return SeenResponse(
            line, self._headers, self._body_bytes, self.headers_sent, self.close_connection
        )

    def _decide_connection(self) -> None:
        if not self._ledger.worker.alive:
            self.close_connection = True
        super()._decide_connection()

    def _framed(self, data: bytes) -> bytes:
        if self.command != "HEAD":
            self._body_bytes += len(data)
        return super()._framed(data)

    def refuse(self, status: int, message: str) -> None:
        """Answer with one constant line; see `Handler.refuse`."""
        if not self.headers_sent:
            self._headers, self._body_bytes = [], len(message) + 1
        super().refuse(status, message)


class CountedHandler(_Counted):
    """A connection over TLS."""


class CountedPlainHandler(_Counted, PlainHandler):
    """The requests of one connection without TLS."""

    def _socket_for_the_app(self) -> object:
        return SocketOnDemand(self)
