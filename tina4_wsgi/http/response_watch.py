"""Tells a function of each request that the legacy application has answered with success.

The function is called when the server closes the response: by then the client has it, and what the
application did for the request is done. So a push needs no change in the application.

Invariants: servers see the response that they would see without us: its pieces, its length where it
has one, and the `wsgi.file_wrapper` by which they send files; an error of the function changes
nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sized
from typing import TYPE_CHECKING

from ..errors import ConfigError, UsageError
from ..routing import callbacks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from _typeshed import OptExcInfo
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

logger = logging.getLogger("tina4_wsgi.http")

OnResponse = Callable[[str, str, int, "WSGIEnvironment"], object]
"""HeardOf of a request: method, path, status, environ."""


_ARGUMENTS = ("method", "path", "status", "environ")


def watched(app: WSGIApplication | None, tell: OnResponse | None) -> WSGIApplication | None:
    """Return `app`, with its good answers told where that is wanted.

    Raises:
        ConfigError: `tell` can't be called, or there is no `app`.
    """
    if tell is None:
        return app
    if app is None:
        raise ConfigError("on_response is given without a wrapped app, expected App(wsgi_app, …)")
    try:
        callbacks.check(tell, _ARGUMENTS, "on_response")
        callbacks.check_is_no_generator(tell, "on_response")
    except UsageError as exc:
        raise ConfigError(str(exc)) from exc
    return ResponseWatch(app, tell)


class ResponseWatch:
    """A WSGI application around another one, whose good answers it tells.

    Args:
        app: the application.
        tell: called with the method and the path of the request as the client sent them, the
            status, and the environ as the application left it.
    """

    def __init__(self, app: WSGIApplication, tell: OnResponse) -> None:
        self._app = app
        self._tell = tell

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        # Before the call: an application may shift the path.
        watched = _Watched(self._tell, environ, start_response)
        file_wrapper = environ.get("wsgi.file_wrapper")
        body = self._app(environ, watched.start_response)

        if isinstance(file_wrapper, type) and isinstance(body, file_wrapper):
            # The server knows it by its class, and sends the file itself.
            return watched.around_file(body)
        return _SizedBody(body, watched) if isinstance(body, Sized) else _WatchedBody(body, watched)


class _Watched:
    """One request on its way."""

    def __init__(
        self, tell: OnResponse, environ: WSGIEnvironment, start_response: StartResponse
    ) -> None:
        self._tell = tell
        self._environ = environ
        self._start_response = start_response
        self._method: str = environ["REQUEST_METHOD"]
        self._path = (
            (environ.get("PATH_INFO") or "/").encode("latin-1", "replace").decode(errors="replace")
        )
        self._status = 0
        self.has_failed = False

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: OptExcInfo | None = None, /
    ) -> Callable[[bytes], object]:
        """Note the status; the last one counts, since an error may replace an answer."""
        write = (
            self._start_response(status, headers)
            if exc_info is None
            else self._start_response(status, headers, exc_info)
        )
        self._status = int(status[:3])
        return write

    def around_file(self, body: Iterable[bytes]) -> Iterable[bytes]:
        """Tell when the file is closed, and leave the wrapper what it is, where it lets us."""
        close = getattr(body, "close", None)

        def close_and_tell() -> None:
            try:
                if close is not None:
                    close()
            finally:
                self.end()

        try:
            body.close = close_and_tell  # type: ignore[attr-defined]
        except AttributeError:  # a server's own, in C
            return _WatchedBody(body, self)
        return body

    def end(self) -> None:
        """Tell, once, if the application answered with success."""
        status, self._status = self._status, 0  # a server may close twice
        if self.has_failed or not 200 <= status < 400:
            return
        try:
            self._tell(self._method, self._path, status, self._environ)
        except (Exception, SystemExit):  # as of a callback, this ends no worker
            logger.exception(
                "on_response of %s %.200r raised; the request was answered",
                self._method,
                self._path,
            )


class _WatchedBody:
    """The body of a response, which tells of its end."""

    def __init__(self, body: Iterable[bytes], watched: _Watched) -> None:
        self._body = body
        self._watched = watched

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._body
        except GeneratorExit:
            raise  # the client has left, which is no failure of the application
        except BaseException:
            self._watched.has_failed = True
            raise

    def close(self) -> None:
        """Close the application's own body, then tell."""
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        except BaseException:
            self._watched.has_failed = True
            raise
        self._watched.end()


class _SizedBody(_WatchedBody):
    """A body that says how many pieces it has, from which servers tell the length."""

    def __len__(self) -> int:
        body = self._body
        assert isinstance(body, Sized)
        return len(body)
