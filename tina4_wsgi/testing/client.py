"""The client that a test talks to an app with, in memory: no port, no thread, no event loop to know
about.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from gevent import socket as gevent_socket
from werkzeug.datastructures import Headers
from werkzeug.test import Client, TestResponse

from ..backplane.isolation import isolation
from ..spy import KEY
from . import thread_hubs
from .errors import HandshakeRefused, NotSettled
from .settling import Settling
from .websocket import WebSocket

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

TIMEOUT_S = 5.0
"""Long enough for a loaded machine: only a test that fails waits for so long."""

_LOOPBACK = "127.0.0.1"


class TestClient(Client):
    """Talks to one application: `get`, `post` and the others, as Werkzeug's client, and
    `websocket`.

    Everything goes through the application itself, its routes, handshake, origin policy, `auth`,
    engine and limits. From the first client on this process reaches no other: what a test
    broadcasts or publishes reaches the apps of this process, and no server that runs beside it.
    Cookies are kept, and shared by requests and handshakes.

    Args:
        app: an `App`, or anything around one: middleware, what `tina4_wsgi.contrib` makes.
        timeout: seconds that anything may take for which no other time is named.
        raise_errors: whether an exception of a callback, a handler or an `auth` is raised in the
            test too, by the call that lets it happen or the next one. It is logged and answered as
            in production all the same.
        in_test_greenlet: run callbacks where the test runs, one after the other, so that under
            monkey-patching they share its thread-locals, the database connection of a Django
            `TestCase` for instance. A callback that waits for another one never returns then.
        kwargs: as for `werkzeug.test.Client`.

    Greenlets and threads: one client serves one thread; many may be used by turns there.
    """

    __test__ = False  # for pytest, which takes it for a test case

    def __init__(
        self,
        app: WSGIApplication,
        *,
        timeout: float = TIMEOUT_S,
        raise_errors: bool = True,
        in_test_greenlet: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(app, **kwargs)
        self._stage = Settling(timeout, raise_errors, in_test_greenlet)
        isolation.is_on = True
        thread_hubs.enter(self)

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
        """Make a request with any method; keywords as for `get`."""
        return self.open(path, method=method, **kwargs)

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        """Make a request, let the app do what is due before and after, and give the response.

        `query=` and Werkzeug's `query_string=` are the same.

        Raises:
            Exception: what a handler or a callback raised.
        """
        if "query" in kwargs:
            kwargs["query_string"] = kwargs.pop("query")
        self._stage.run_until_idle()
        response = super().open(*args, **kwargs)
        self._stage.run_until_idle()
        self._stage.raise_error()
        return response

    def run_wsgi_app(
        self, environ: WSGIEnvironment, buffered: bool = False
    ) -> tuple[Iterable[bytes], str, Headers]:
        """Call the application; the other methods come here."""
        environ.setdefault("REMOTE_ADDR", _LOOPBACK)
        environ[KEY] = self._stage.onlooker
        return super().run_wsgi_app(environ, buffered)

    # -- WebSockets

    def websocket(
        self,
        path: str,
        *,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
        subprotocols: Iterable[str] = (),
        query: Mapping[str, Any] | str | None = None,
        wait_for_open: bool = True,
        **kwargs: Any,
    ) -> WebSocket:
        """Connect, and give the open WebSocket when "open" has returned; best used as `with … as
        ws`.

        Args:
            path: with or without a query.
            headers: more header fields; a value of "" leaves out one that the client would send.
            subprotocols: those that are offered, the preferred one first.
            query: as for `get`; `query_string=` is the same.
            wait_for_open: False for a callback that stays in "open" by design.
            kwargs: as for `get`, `base_url` and `auth` for example.
        Raises:
            HandshakeRefused: it was answered with something else than 101.
            NotSettled: "open" takes too long.
            Exception: what a callback or an `auth` raised.
        """
        query = kwargs.pop("query_string", query)
        overrides = {
            **kwargs.pop("environ_overrides", {}),
            "tina4_wsgi.server": self,
        }  # which says goodbye itself
        ours, theirs = gevent_socket.socketpair()
        reader = overrides["wsgi.input"] = theirs.makefile(
            "rb"
        )  # where gevent's own server keeps the socket too
        try:
            response = super().open(
                path,
                method="GET",
                headers=_handshake(headers, subprotocols),
                query_string=query,
                environ_overrides=overrides,
                **kwargs,
            )
            observed = self._stage.onlooker.take()
            if observed is None:
                self._stage.raise_error()
                raise HandshakeRefused(path, response.status, response.headers, response.get_data())
        except BaseException:
            ours.close()
            raise
        finally:
            reader.close()
            theirs.close()  # a shell, if the app took what was inside
        websocket = WebSocket(
            ours, observed, self._stage, path, response.headers, not wait_for_open
        )
        self._await_open(websocket)
        return websocket

    def _await_open(self, websocket: WebSocket) -> None:
        try:
            self._stage.settle([websocket])
        except BaseException:
            websocket.abandon()
            raise

    # -- letting the app run

    def settle(self, timeout: float | None = None) -> None:
        """Run the app until it has done all that this client's WebSockets gave it to do.

        Then every message that was sent has been read, every callback has returned, what they sent
        or broadcast has arrived, and nothing else is ready to run. What waits for a timer or a
        native thread is not waited for, unless a callback does.

        Raises:
            NotSettled: that took too long; the message says which callback runs, and where it
                waits.
            Exception: what a callback raised.
        """
        self._stage.settle(self._stage.actors, timeout)

    def wait_until(self, condition: Callable[[], object], timeout: float | None = None) -> None:
        """Run the app until `condition()` gives something true: for what settling doesn't wait for.

        Raises:
            NotSettled: it didn't in time.
            Exception: what a callback raised.
        """
        stage = self._stage
        limit_s = stage.timeout_s if timeout is None else timeout
        is_met = stage.runner.until(lambda: stage.has_error or condition(), limit_s)
        stage.raise_error()
        if not is_met:
            raise NotSettled(f"after {limit_s:g} s the condition is not met")

    @property
    def errors(self) -> tuple[BaseException, ...]:
        """What callbacks and handlers raised and no call has raised in the test, oldest first."""
        return tuple(self._stage.onlooker.errors)

    # -- the end

    def close(self) -> None:
        """Close what is open, and give back all that the app holds of this thread; harmless when
        repeated.

        Raises:
            Exception: what a callback raised.
        """
        self._end()
        self._stage.raise_error()

    def _end(self) -> None:
        for actor in list(self._stage.actors):
            actor.abandon()
        for app in self._stage.onlooker.apps:
            app.release()
        self._stage.run_until_idle()
        thread_hubs.leave(self)


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
