"""The client by which a test talks to an app in memory: without port, thread or event loop."""

from __future__ import annotations

import base64
import os
import weakref
from typing import TYPE_CHECKING, Any

from gevent import socket as gevent_socket
from werkzeug.datastructures import Headers
from werkzeug.test import Client, TestResponse

from ..backplane.isolation import isolation
from ..spy import KEY
from .errors import HandshakeRefused, NotSettled
from .memory import Memory
from .settling import Settling
from .websocket import WebSocket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

TIMEOUT_S = 5.0
"""Long enough for a loaded machine: only tests that fail wait this long."""

_LOOPBACK = "127.0.0.1"
_CLAIM = "tina4_wsgi.claim"

_open: weakref.WeakSet[TestClient] = weakref.WeakSet()
"""The clients that are in use: they share what the apps of this process keep."""


class TestClient(Client):
    """Talks to one application: `get`, `post` and so on, as Werkzeug's client, and `websocket`.

    Everything goes through the application itself: its routes, handshake, origin policy, `auth`,
    engine and limits. From the first client on, this process is isolated: what a test broadcasts or
    publishes reaches the apps of this process, but no server that runs beside it. Requests and
    handshakes share the client's cookies. Where routes keep history, it is kept in memory, and a
    client that is alone in this process begins with none.

    Args:
        app: an `App`, or anything around one: middleware, or what `tina4_wsgi.contrib` makes.
        timeout: longest time in seconds for calls that name no other.
        raise_errors: whether an exception of a callback, a handler or an `auth` is also raised in
            the test, by the call that caused it or the next one. It is logged and answered as in
            production all the same.
        in_test_greenlet: whether callbacks run in the test's greenlet, one after the other. Under
            monkey-patching they then share its thread-locals, such as the database connection of a
            Django `TestCase`. A callback that waits for another one never returns then.
        kwargs: as for `werkzeug.test.Client`.

    Greenlets and threads: a client belongs to one thread; a thread may have several clients.
    """

    __test__ = False  # for pytest, which takes it for a test case

    def __init__(
        self,
        app: WSGIApplication,
        *,
        timeout: float = TIMEOUT_S,
        raise_errors: bool = True,
        in_test_greenlet: bool = False,
        **kwargs: Any,  # Werkzeug's
    ) -> None:
        super().__init__(app, **kwargs)

        self._settling = Settling(timeout, raise_errors, in_test_greenlet)
        isolation.is_on = True
        if not _open:
            isolation.forget_history()
        _open.add(self)

    def __enter__(self) -> TestClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self._end()

    # -- HTTP

    def request(self, method: str, path: str, **kwargs: Any) -> TestResponse:
        """Make a request with any method, with the keywords of `get`."""
        return self.open(path, method=method, **kwargs)

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        """Make a request and return the response; the app runs until idle before and after.

        `query=` means the same as Werkzeug's `query_string=`.

        Raises:
            Exception: raised by a handler or a callback.
        """
        if "query" in kwargs:
            kwargs["query_string"] = kwargs.pop("query")

        self._settling.run_until_idle()
        response = super().open(*args, **kwargs)
        self._settling.run_until_idle()
        self._settling.raise_error()
        return response

    def run_wsgi_app(
        self, environ: WSGIEnvironment, buffered: bool = False
    ) -> tuple[Iterable[bytes], str, Headers]:
        """Call the application; all other methods end up here."""
        environ.setdefault("REMOTE_ADDR", _LOOPBACK)
        environ[KEY] = self._settling.spy
        if claim := environ.pop(_CLAIM, ""):
            fields = (environ.get("QUERY_STRING", ""), claim)
            environ["QUERY_STRING"] = "&".join(filter(None, fields))
        return super().run_wsgi_app(environ, buffered)

    # -- WebSockets

    def websocket(
        self,
        path: str,
        *,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
        subprotocols: Iterable[str] = (),
        query: Mapping[str, Any] | str | None = None,
        since: str | None = None,
        wait_for_open: bool = True,
        **kwargs: Any,
    ) -> WebSocket:
        """Connect, and return the WebSocket once "open" has returned; use it as `with … as ws`.

        Args:
            path: with or without a query.
            headers: more header fields; the value "" omits one that the client would send.
            subprotocols: the offered ones, the preferred one first.
            query: as for `get`; `query_string=` means the same.
            since: for a client like `tina4.connect`, which comes back: `ws.position` of an earlier
                WebSocket, or what `position(path)` returned; "" for a newcomer. None for any other
                client, to which routes with history look as those without.
            wait_for_open: False for a callback that stays in "open" by design.
            kwargs: as for `get`, for example `base_url` and `auth`.
        Raises:
            HandshakeRefused: the response was not 101.
            NotSettled: "open" took too long.
            Exception: raised by a callback or an `auth`.
        """
        query = kwargs.pop("query_string", query)
        overrides = {**kwargs.pop("environ_overrides", {})}
        overrides["tina4_wsgi.server"] = self  # so that the app leaves closing to this client
        memory = None if since is None else Memory(since)
        if memory is not None:
            overrides[_CLAIM] = memory.claim()
        ours, theirs = gevent_socket.socketpair()
        # The app takes the socket out of wsgi.input, as it does under gevent's own server.
        reader = overrides["wsgi.input"] = theirs.makefile("rb")

        try:
            response = super().open(
                path,
                method="GET",
                headers=_handshake(headers, subprotocols),
                query_string=query,
                environ_overrides=overrides,
                **kwargs,
            )
            route = self._settling.spy.take()
            if route is None:
                self._settling.raise_error()
                raise HandshakeRefused(path, response.status, response.headers, response.get_data())
        except BaseException:
            ours.close()
            raise
        finally:
            reader.close()
            theirs.close()  # an empty shell if the app has taken the socket

        websocket = WebSocket(
            ours, route, self._settling, path, response.headers, not wait_for_open, memory
        )
        self._await_open(websocket)
        return websocket

    def _await_open(self, websocket: WebSocket) -> None:
        try:
            self._settling.settle([websocket])
        except BaseException:
            websocket.abandon()
            raise

    # -- letting the app run

    def settle(self, timeout: float | None = None) -> None:
        """Run the app until it has done all that this client's WebSockets gave it to do.

        Then every message has been read, every callback has returned, everything sent or broadcast
        has arrived, and nothing else is ready to run. It waits for timers and native threads only
        while a callback does.

        Raises:
            NotSettled: that took too long; the message says which callback runs, and where it
                waits.
            Exception: raised by a callback.
        """
        self._settling.settle(self._settling.websockets, timeout)

    def wait_until(self, condition: Callable[[], object], timeout: float | None = None) -> None:
        """Run the app until `condition()` is true, for events that `settle` doesn't wait for.

        Raises:
            NotSettled: the condition wasn't met in time.
            Exception: raised by a callback.
        """
        settling = self._settling
        limit_s = settling.timeout_s if timeout is None else timeout
        is_met = settling.runner.until(lambda: settling.has_error or condition(), limit_s)
        settling.raise_error()
        if not is_met:
            raise NotSettled(f"after {limit_s:g} s the condition is not met")

    @property
    def errors(self) -> tuple[BaseException, ...]:
        """Exceptions of callbacks and handlers that no call has raised yet, oldest first."""
        return tuple(self._settling.spy.errors)

    # -- the end

    def close(self) -> None:
        """Close all WebSockets and release what the app holds of this thread; harmless if repeated.

        Raises:
            Exception: raised by a callback.
        """
        self._end()
        self._settling.raise_error()

    def _end(self) -> None:
        _open.discard(self)
        for websocket in list(self._settling.websockets):
            websocket.abandon()
        for app in self._settling.spy.apps:
            app.release()
        self._settling.run_until_idle()
        self._settling.runner.leave()


def _handshake(
    headers: Mapping[str, str] | Iterable[tuple[str, str]] | None, subprotocols: Iterable[str]
) -> Headers:
    """Lay out the header fields of a handshake (RFC 6455 §4.1)."""
    fields = Headers(
        {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        }
    )
    names = [subprotocols] if isinstance(subprotocols, str) else list(subprotocols)
    if names:
        fields["Sec-WebSocket-Protocol"] = ", ".join(names)

    own = Headers(headers)
    for name, _ in own:
        fields.remove(name)
    fields.extend([(name, value) for name, value in own.items() if value])
    return fields
