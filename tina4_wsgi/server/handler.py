"""One HTTP connection of our own server: its requests in turn, each answered by the application.

`Handler` is the whole life of a connection over TLS, in one greenlet. Connections without TLS have
a `PlainHandler` for their requests, and need no greenlet between them.

It is a gevent-websocket handler, for applications that are written for gevent-websocket. It leaves
upgrades that the application claims (`claims_upgrade`) to the application, and reads everything on
the wire by `request_head` and `request_body`, which are strict where pywsgi is lax.

`wire` bounds every wait for the client. After a refusal or half a body the connection is closed,
since nobody knows where its next request would begin.
"""

from __future__ import annotations

import io
import logging
import re
import sys
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

import gevent
from gevent.exceptions import ConcurrentObjectUseError
from gevent.pywsgi import format_date_time
from geventwebsocket.handler import WebSocketHandler

from ..errors import Refused
from ..logs import IS_STATIC
from ..protocol import handshake
from .request_body import BodyError, RequestBody
from .request_head import HeadLimits, RequestHead, read_head
from .wire import PeerGone, RequestReader, ip_of, say_goodbye, send

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from _typeshed import OptExcInfo
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

    from ..config import Config
    from ..hosting.own_input import OwnInput
    from .listening import SocketAddress
    from .wire import Wire

log = logging.getLogger("tina4_wsgi.server")
access_log = logging.getLogger("tina4_wsgi.access")

WRITE_PATIENCE_S = 60.0
"""As in nginx: a video player that has buffered enough pauses reading."""

REQUESTS_PER_TURN = 16
"""Requests served in a row of a client that sends them faster than they are answered."""

JOIN_BYTES = 16_384
"""Up to here, copying the body behind the head costs less than a second system call."""

TOO_SLOW = "request head came too slowly"

_KEEP_ALIVE = re.compile(rb"(?<=\n)[^\r\n:]+: keep-alive\r\n", re.IGNORECASE)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_GOING_AWAY = b"\x88\x02\x03\xe9"  # close frame 1001


class Served(Protocol):
    """A connection as the stopping server sees it."""

    @property
    def is_new(self) -> bool:
        """Whether the connection still waits for its first request."""

    def cut_waiting(self) -> None:
        """Stop waiting for a request; one that has arrived is still served."""

    def end_legacy_websocket(self) -> None:
        """Close a WebSocket that gevent-websocket drives with 1001, and end its `receive`."""


class HandlerServer(Protocol):
    """What a handler needs of its server.

    Attributes:
        handlers: the connections being served; each adds and discards itself.
        is_stopping: whether no connection reads a further request.
        write_patience_s: longest time in which a client may take none of a response.
        script_name: the path below which the application is served, as WSGI has it; "" for the
            whole host.
        limits: of request heads.
    """

    config: Config
    limits: HeadLimits
    application: WSGIApplication
    handlers: set[Served]
    is_stopping: bool
    write_patience_s: float
    script_name: str

    def claims_upgrade(self, environ: WSGIEnvironment, /) -> bool:
        """Return whether this upgrade is left to the application."""

    def get_environ(self) -> WSGIEnvironment:
        """Return a new environ with what every request has in common."""


class Handler(WebSocketHandler):  # type: ignore[misc]  # gevent-websocket ships no types
    """Serves one accepted connection until it ends, or the application takes it over.

    Greenlets: one per connection, spawned by the server. All methods run in it, except for
    `cut_waiting` and `end_legacy_websocket`, which the stopping server calls.

    Attributes:
        is_waiting: whether it waits for a request, or for the rest of its head.
    """

    server: HandlerServer
    head: RequestHead
    is_waiting = False
    # These are pywsgi's, which ships no types.
    environ: Any  # WSGIEnvironment, and None between two requests
    result: Iterable[bytes] | None
    status: Any  # bytes, and None before `start_response`
    code: int | None
    _response_head: bytes
    _connection: str | None = None
    wsgi_input: RequestBody | None
    _lingers = False
    _served = 0
    _head_bytes = 0

    def __init__(self, sock: Wire, address: SocketAddress, server: HandlerServer) -> None:
        reader = RequestReader(sock)
        # gevent-websocket keys clients by address, and all clients of a UNIX socket have "".
        super().__init__(
            sock, address or f"unix:{sock.fileno()}", server, io.BufferedReader(reader)
        )
        self.reader = reader

    @property
    def peer(self) -> str:
        """The client's IP address, or "unix:" and a number."""
        return ip_of(self.client_address)

    @property
    def target(self) -> str:
        """The request target as sent, for logs: without the query, which may hold tokens."""
        return str(self.path.partition("?")[0])

    @property
    def is_new(self) -> bool:
        """Whether the connection still waits for its first request."""
        return self.is_waiting and not self._served

    def handle(self) -> None:
        """Serve the connection's requests one after the other, then close it."""
        self.server.handlers.add(self)
        was_killed = True

        try:
            while self.handle_one_request():
                self._served += 1
                if not self._served % REQUESTS_PER_TURN:
                    gevent.sleep(0)
            was_killed = False
        finally:
            self.server.handlers.discard(self)
            self.hang_up(was_killed)

    def handle_one_request(self) -> bool:
        """Read one request and answer it; return False if the connection is to be closed."""
        head = self._read_head()
        return head is not None and self.answer(head)

    def answer(self, head: RequestHead) -> bool:
        """Answer one request; return False if the connection is to be closed."""
        self.head = head
        self.command, self.path, self.request_version = head.method, head.target, head.version
        self.content_length = head.content_length
        self.close_connection = not head.keeps_alive
        if not self.is_welcome(head):
            return False

        self.environ = self.get_environ()
        self.application = self.server.application
        self.handle_one_response()

        # An idle connection needs neither, and they take some KiB.
        self.environ = None
        del self.head
        return not self.close_connection and not self.server.is_stopping

    def cut_waiting(self) -> None:
        """Stop waiting for a request; one that has arrived is still served."""
        if self.is_waiting:
            self.reader.cut()

    def end_legacy_websocket(self) -> None:
        """Close a WebSocket that gevent-websocket drives with 1001, and end its `receive`."""
        websocket = getattr(self, "websocket", None)
        if websocket is None or websocket.closed:
            return

        # A close frame of gevent-websocket's own could not carry a code.
        websocket.closed = True
        self._lingers = True
        try:
            self.socket.sendall(_GOING_AWAY)
        except (OSError, ConcurrentObjectUseError):
            pass  # the client has gone, or the application is stuck sending to it
        self.reader.cut()

    # Reading

    def begin(self) -> None:
        """Forget the last response."""
        self.time_start, self.response_length, self.headers_sent = time.time(), 0, False

    def _read_head(self) -> RequestHead | None:
        config, reader = self.server.config, self.reader
        head_s = config.handshake_timeout_s
        reader.await_request(config.keepalive_timeout_s if self._served else head_s, head_s)
        self.begin()
        if self.server.is_stopping:
            # It begins too late for `cut_waiting`: serve what has arrived, and wait for nothing.
            self.reader.cut()

        self.is_waiting = True
        try:
            limits = self.server.limits
            return read_head(
                self.rfile.readline,
                limits.line_bytes,
                limits.fields,
                limits.head_bytes,
                limits.request_line_bytes,
            )
        except Refused as refusal:
            if not self.server.is_stopping:
                self.refuse(refusal.status, refusal.message)
        except TimeoutError:
            # Without a request there is no 408: browsers open connections ahead of need, and would
            # take it for the response to the request that they are about to send.
            if reader.has_begun:
                self.refuse(408, TOO_SLOW)
        except OSError:
            pass  # the client went away
        finally:
            self.is_waiting = False

        return None

    def get_environ(self) -> WSGIEnvironment:
        """Return the WSGI environ of the current request."""
        head = self.head
        environ = self.server.get_environ()
        environ["REQUEST_METHOD"] = head.method
        root = self.server.script_name
        environ["SCRIPT_NAME"] = root
        environ["PATH_INFO"] = head.path[len(root) :] if head.path != "*" else head.path
        environ["QUERY_STRING"] = head.query
        environ["REQUEST_URI"] = environ["RAW_URI"] = head.target
        environ["SERVER_PROTOCOL"] = head.version

        address = self.client_address
        if isinstance(address, tuple):
            environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = ip_of(address), str(address[1])
        else:
            environ["REMOTE_ADDR"] = ""

        environ.update(head.variables)
        environ["wsgi.input_terminated"] = not head.wants_websocket
        environ["wsgi.input"] = self._make_input(head)
        return environ

    def is_welcome(self, head: RequestHead) -> bool:
        """Return whether the application is to be called; refuse the request if it isn't."""
        return self._is_below_root(head)

    def _is_below_root(self, head: RequestHead) -> bool:
        """Refuse a path that a proxy must not send here, with the status that gunicorn uses."""
        root = self.server.script_name
        if not root or f"{head.path}/".startswith(f"{root}/") or head.path == "*":
            return True
        self.refuse(500, "the path is not below the root path; let the proxy pass on whole paths")
        return False

    def _make_input(self, head: RequestHead) -> RequestBody | io.BufferedReader | OwnInput:
        """Return the request's body, or for an upgrade the connection's reader."""
        if head.wants_websocket:
            self.wsgi_input = None
            return self.rfile  # type: ignore[no-any-return]  # pywsgi's, without types
        ask = self._ask_for_body if head.expects_continue else None
        self.wsgi_input = RequestBody(self.rfile, head.content_length, head.is_chunked, ask)
        if head.is_chunked or head.content_length:
            config = self.server.config
            self.reader.await_body(config.handshake_timeout_s, config.body_timeout_s)
        return self.wsgi_input

    def _ask_for_body(self) -> None:
        if not self.headers_sent:
            self._send(_CONTINUE)

    # The application

    def run_application(self) -> None:
        """Call the application and send what it returns.

        gevent-websocket's own way stays for the upgrades that it makes.
        """
        if self.head.wants_websocket and not self._is_claimed():
            super().run_application()
            return

        result = self.result = self.application(self.environ, self.start_response)
        try:
            self.process_result()
        finally:
            self.result = None
            if hasattr(result, "close"):
                result.close()

    def _is_claimed(self) -> bool:
        """Return whether the application answers the upgrade that is asked for itself."""
        is_claimed = self.server.claims_upgrade(self.environ)
        if is_claimed:
            self._lift_deadline()
        return is_claimed

    def upgrade_websocket(self) -> list[bytes] | None:
        """Upgrade as gevent-websocket does.

        Returns:
            The body of a refusal, or None.
        """
        try:
            handshake.check(self.environ)  # gevent-websocket answers a bad key with a traceback
        except Refused as refusal:
            status = f"{refusal.status} {HTTPStatus(refusal.status).phrase}"
            self.start_response(
                status, [("Content-Type", "text/plain; charset=utf-8"), *refusal.headers]
            )
            return [refusal.message.encode() + b"\n"]

        super().upgrade_websocket()
        self.reader.await_anything()
        self.socket.settimeout(None)
        return None

    def _lift_deadline(self) -> None:
        """Drop the deadline of the head: whatever takes the socket over has its own."""
        self.socket.settimeout(None)

    def handle_one_response(self) -> None:
        """Call the application and send its response; errors are logged and answered 500."""
        self.time_start = time.time()
        self.status = self.code = self.result = None
        self.response_use_chunked = self.connection_upgraded = False

        try:
            self.run_application()
            self._settle()
        except PeerGone:
            self.close_connection = True
        except BodyError as exc:
            self.refuse(exc.status, exc.message)
        except (Exception, SystemExit, gevent.Timeout):  # noqa: BLE001  # whatever user code raises
            self.handle_error(*sys.exc_info())
        finally:
            self.time_finish = time.time()
            self.log_request()

    def _settle(self) -> None:
        """Bring the connection to where the next request begins, or make it close."""
        if not self.headers_sent:
            if not self._was_taken():
                raise RuntimeError("the application did not call start_response")
            self.code, self.close_connection = 101, True
            return

        if not self._has_declared_length():
            log.error(
                "%s %s: the response is not as long as its Content-Length",
                self.command,
                self.target,
            )
            self.close_connection = True

        body = self.wsgi_input
        if body is not None and not self.close_connection and not body.discard():
            self.close_connection = True

    def _was_taken(self) -> bool:
        """Return whether the application served an upgrade's socket itself, as flask-sock does.

        Such an application calls no `start_response`; it has read from the socket and written to
        it on its own.
        """
        return self.head.wants_websocket and self.status is None and not self.result

    def _has_declared_length(self) -> bool:
        declared = self.provided_content_length
        if not declared or self.command == "HEAD" or self.code in (101, 204, 304):
            return True
        return str(self.response_length - self._head_bytes) == str(declared).strip()

    def _log_error(
        self,
        kind: type[BaseException],
        value: BaseException,
        traceback: TracebackType | None,
    ) -> None:
        log.error("%s %s failed", self.command, self.target, exc_info=(kind, value, traceback))

    def log_request(self) -> None:
        """Write a line of the access log."""
        # Static files would bury the lines that somebody looks for.
        level = logging.DEBUG if self.environ.get(IS_STATIC) else logging.INFO

        if access_log.isEnabledFor(level):
            length = max(0, self.response_length - self._head_bytes)
            took_ms = (self.time_finish - self.time_start) * 1000
            request = f"{self.command} {self.target} {self.request_version}"
            access_log.log(
                level,
                '%s "%s" %s %d %.1f ms',
                self.peer,
                request,
                self.code or "-",
                length,
                took_ms,
            )

    # Writing

    def start_response(
        self,
        status: str,
        headers: list[tuple[str, str]],
        exc_info: OptExcInfo | None = None,
    ) -> Callable[[bytes], None]:
        """Note status and headers of the response; see PEP 3333.

        Raises:
            TypeError, ValueError: they can't be sent.
        """
        if exc_info is not None and self.headers_sent and exc_info[1] is not None:
            try:
                raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # it refers to this frame

        head = _lay_out(status, headers)
        code = int(status.partition(" ")[0])
        date = length = connection = None
        for name, value in headers:
            key = name.lower()
            if key == "content-length":
                length = value
            elif key == "date":
                date = value
            elif key == "connection":
                connection = value
        if length is not None and length != "0" and code in (204, 304):
            raise ValueError(f"a response {code} has no body, but a Content-Length of {length!r}")

        self.status, self.code, self._response_head = status.encode("latin-1"), code, head
        self.provided_date, self.provided_content_length = date, length
        if connection == "close":
            self.close_connection = True
        self._connection = connection
        if self.environ.get("wsgi.websocket") is not None:
            self._prepare_response()  # of gevent-websocket, which answers its own way
        return self.write  # type: ignore[no-any-return]  # pywsgi's, without types

    def _write_with_headers(self, data: bytes) -> None:
        self.response_use_chunked = False
        head = self._response_head
        if self.provided_date is None:
            head += _date_field()
        if self.provided_content_length is None and self.code not in (204, 304):
            head += self._frame()
        self._decide_connection()

        if self.close_connection and self.code != 101:
            if self._connection is not None:
                head = _KEEP_ALIVE.sub(b"", head)
            if self._connection != "close":
                head += b"Connection: close\r\n"
        elif self.request_version == "HTTP/1.0" and self._connection is None:
            head += b"Connection: keep-alive\r\n"
        head += b"\r\n"

        self.headers_sent = True
        self._head_bytes = len(head)
        payload = self._framed(data)
        if len(payload) <= JOIN_BYTES:
            self._sendall(head + payload)
        else:
            self._sendall(head)
            self._sendall(payload)

    def _frame(self) -> bytes:
        """Decide how the client finds the end of the body, and return the field that says so."""
        if self.code == 101:
            return b""
        result = self.result
        if result is not None and hasattr(result, "__len__"):
            return b"Content-Length: %d\r\n" % sum(len(part) for part in result)
        if self.request_version == "HTTP/1.0":
            return b""  # the end of the connection
        # Not even the empty last chunk in the answer to HEAD.
        self.response_use_chunked = self.command != "HEAD"
        return b"Transfer-Encoding: chunked\r\n"

    def _write(self, data: bytes) -> None:
        payload = self._framed(data)
        if payload:
            self._sendall(payload)

    def _framed(self, data: bytes) -> bytes:
        if not data or self.command == "HEAD":
            return b""
        return b"%x\r\n%b\r\n" % (len(data), data) if self.response_use_chunked else data

    def _decide_connection(self) -> None:
        """Decide whether another request may follow."""
        if self.code == 101:
            self.close_connection = True  # HTTP is over
            return

        body, config = self.wsgi_input, self.server.config
        has_no_end = (
            self.request_version == "HTTP/1.0"
            and self.provided_content_length is None
            and not hasattr(self.result, "__len__")
        )
        if (
            has_no_end
            # Bytes that follow a handshake must not be read as a request.
            or body is None
            or not body.is_worth_discarding
            or self.server.is_stopping
            or not config.keepalive_timeout_s
        ):
            self.close_connection = True

    def _sendall(self, data: bytes) -> None:
        self._send(data)
        self.response_length += len(data)

    def _send(self, data: bytes) -> None:
        try:
            send(self.socket, data, self.server.write_patience_s)
        except TimeoutError as exc:
            log.warning("cut %s: it takes too little of the response", self.peer)
            raise PeerGone(str(exc)) from exc

    def refuse(self, status: int, message: str) -> None:
        """Answer with one constant line, unless a response has begun, and close the connection."""
        log.warning("refused %d from %s: %s", status, self.peer, message)
        self.close_connection = self._lingers = True
        self.code = status
        if self.headers_sent:
            return

        self.headers_sent = True
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
            f"{_date_field().decode()}"
            "Content-Type: text/plain; charset=utf-8\r\n"
            f"Content-Length: {len(message) + 1}\r\n"
            "Connection: close\r\n\r\n"
        )

        try:
            self._sendall(f"{head}{message}\n".encode())
        except PeerGone:
            pass

    def hang_up(self, was_killed: bool) -> None:
        """Close the connection, unless the application has taken it over.

        Args:
            was_killed: whether to close it at once, whatever the client still has to read.
        """
        # Without a descriptor, the application has taken the connection over.
        if not was_killed and self.socket.fileno() >= 0:
            say_goodbye(self.socket, self._has_to_linger)
        self.rfile.close()
        self.socket.close()

    @property
    def _has_to_linger(self) -> bool:
        """Whether the client may send what nobody reads, and closing at once would reset it."""
        body = self.wsgi_input
        return self._lingers or (body is not None and not body.is_at_end)


def _lay_out(status: str, headers: list[tuple[str, str]]) -> bytes:
    """Lay out the head of a response, without its empty line.

    Raises:
        TypeError: something in it is no string.
        ValueError: it would break the response.
    """
    lines = ["HTTP/1.1 " + status, *[name + ": " + value for name, value in headers]]
    text = "\n".join(lines)
    if text.count("\n") >= len(lines) or "\r" in text or "\0" in text:
        raise ValueError("line feed, carriage return or NUL in the head of a response")
    return text.replace("\n", "\r\n").encode("latin-1") + b"\r\n"


class _LastDate:
    """The field Date, laid out once a second."""

    second = 0
    field = b""


def _date_field() -> bytes:
    now = int(time.time())
    if now != _LastDate.second:
        _LastDate.field = b"Date: %b\r\n" % format_date_time(now)
        _LastDate.second = now
    return _LastDate.field
