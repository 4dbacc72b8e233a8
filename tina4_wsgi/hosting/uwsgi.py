"""Taking a connection away from uWSGI, which has no socket object: it holds a descriptor, in C.

uWSGI goes on writing to its descriptor and closes it, whatever the application returns. So the
connection is moved: `dup` gives us a descriptor of our own, and `dup2` puts something else under
uWSGI's number. That is the null device, which takes all that is written; before that, where
middlewares around the app decide about the answer, one end of a socket pair, at whose other end we
read what uWSGI answers.

What uWSGI has read behind a handshake can't be had: its functions give the payloads of WebSocket
frames, without their kinds. But it can be told whether there is any, and a client that didn't wait
for the answer, as RFC 6455 §4.1 wants it, is refused.

Invariants: functions of the module `uwsgi` are called in the request's own thread and greenlet
only, since elsewhere they know of no request; `dup2` keeps uWSGI's descriptor open, so its number
isn't given to anybody else meanwhile.
"""

from __future__ import annotations

import _socket
import contextlib
import os
import secrets
import socket
import stat
import sys
from functools import cache
from typing import TYPE_CHECKING, Protocol

import gevent
from gevent import socket as gevent_socket
from gevent.event import Event
from greenlet import getcurrent

from ..errors import Refused
from ..hub.hub_thread import HubThread
from .place import NEEDS_ONE_CALL, Place
from .switching import HEAD_END, SWITCHING, head_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from ..hub.stream import Stream
    from .place import Switch
    from .switching import Fields

_IS_SWITCHING = b" 101 "
_MOST_HEAD_BYTES = 65_536
"""uWSGI's own buffer for an answer's head ends there."""

_READ_BYTES = 65_536

_MERCY_S = 60
"""uWSGI's default of `worker-reload-mercy`: after that its master kills a worker that stops."""

_AFTER_S = 1.5
"""For the last "close" callbacks, and until the worker is gone."""

_STARTS_THREADS = frozenset(
    {
        "enable-threads",
        "threads",
        "thread-stacksize",
        "threads-stacksize",
        "thread-stack-size",
        "threads-stack-size",
        "gevent",
    }
)
"""Options by which uWSGI lets go of the interpreter's lock while it waits."""

_HAS_TLS = frozenset({"https-socket", "ssl-socket", "suwsgi-socket"})

_NEEDS_THREADS = (
    "uWSGI runs no threads beside its own here; start it with --enable-threads, --threads or "
    "--gevent"
)
_NEEDS_PLAIN = (
    "a TLS connection can't be taken from uWSGI; let nginx or uWSGI's router (--https) do TLS"
)
_NEEDS_INPUT = (
    "a middleware around this app has replaced wsgi.input, by which uWSGI's connection is found; "
    "let it leave requests with an Upgrade field alone"
)
_NEEDS_PATIENCE = (
    "something was sent behind the handshake, which uWSGI keeps to itself; wait for the answer, as "
    "RFC 6455 section 4.1 has it"
)


class _Module(Protocol):
    """What we use of uWSGI's module."""

    opt: Mapping[str, bytes]
    atexit: Callable[[], None]

    def chunked_read_nb(self) -> bytes: ...


class UwsgiPlace(Place):
    """The connection of one request under uWSGI: a descriptor, and no socket object.

    Args:
        environ: the request's.
    """

    def __init__(self, environ: WSGIEnvironment) -> None:
        super().__init__(None, environ["wsgi.input"])
        self._has_tls = environ.get("wsgi.url_scheme") == "https"
        self._has_hub = _is_of_gevent()
        self._stream: Stream | None = None

    @property
    def is_native(self) -> bool:
        """Whether uWSGI runs this request without its gevent loop."""
        return not self._has_hub

    def check(self, software: str) -> None:
        """See whether the connection can be taken, and is at the end of the handshake.

        Raises:
            Refused: as under other servers.
            SystemError: uWSGI's own, in another thread or greenlet than the request's.
        """
        options = _here().opt
        if type(self._body).__module__ != "uwsgi":
            raise Refused(501, _NEEDS_INPUT, detail=repr(type(self._body)))
        if self.is_native and not _STARTS_THREADS.intersection(options):
            raise Refused(501, _NEEDS_THREADS)
        if self._has_tls and _HAS_TLS.intersection(options):
            raise Refused(501, _NEEDS_PLAIN)

        number = self._body.fileno()
        if not stat.S_ISSOCK(os.fstat(number).st_mode):
            raise Refused(500, NEEDS_ONE_CALL)
        if _has_read_ahead(number):
            raise Refused(400, _NEEDS_PATIENCE)

    def is_servers_own(self, start_response: StartResponse) -> bool:
        """Return whether this is uWSGI's, a function in C, of which only the name is known."""
        return getattr(start_response, "__name__", "") == "uwsgi_spit"

    def answer(self, start_response: StartResponse, fields: Fields) -> bytes:
        """Have uWSGI note the answer for its log; what it writes goes to the null device."""
        start_response(SWITCHING, fields)
        return head_of(fields)

    def place_door(self, on_switching: Switch, on_other: Switch) -> Callable[[], None]:
        """Wait for uWSGI's answer, which it writes when the application has returned.

        Args:
            on_switching: called in a greenlet of the hub that serves.
        """
        number = self._body.fileno()
        ours, theirs = _socket_pair()
        client = _exchange(number, theirs)
        os.close(theirs)

        def switch(head: bytes, stream: Stream) -> None:
            self._stream = stream
            on_switching(head)

        door = _Doorkeeper(ours.detach(), client, switch, on_other)

        def remove() -> None:
            os.dup2(client, number, inheritable=False)
            door.dismiss()

        door.start(self.is_native)
        return remove

    def read_ahead(self) -> bytes:
        """Return nothing: `check` has refused clients that sent anything."""
        return b""

    def _detach(self) -> Stream:
        """Take the connection, and leave uWSGI the null device."""
        if self._stream is not None:
            return self._stream
        return _prepared(_exchange(self._body.fileno(), _null()))


class _AtExit:
    """What uWSGI calls when it stops a process, once or twice.

    With gevent it comes from the last request's greenlet, and from the main one, whose return ends
    the process while the other may be waiting.

    Args:
        function: ours.
        before: what the application had put there.
    """

    def __init__(self, function: Callable[[], None], before: Callable[[], None] | None) -> None:
        self._function = function
        self._before = before
        self._has_begun = False
        self._is_over = Event()

    def run(self) -> None:
        """Do both, or wait for whoever does."""
        if self._has_begun:
            self._is_over.wait()
            return
        self._has_begun = True
        try:
            self._function()
            if self._before is not None:
                self._before()
        finally:
            self._is_over.set()


class _Doorkeeper:
    """Reads what uWSGI answers: a 101 hands the client over, anything else is passed on to it.

    Args:
        ours: the end of a socket pair at which the answer comes out; owned from now on.
        client: the client's connection, a descriptor; likewise.
    """

    def __init__(
        self,
        ours: int,
        client: int,
        on_switching: Callable[[bytes, Stream], None],
        on_other: Callable[[bytes], None],
    ) -> None:
        self._ours = ours
        self._client = client
        self._on_switching = on_switching
        self._on_other = on_other
        self._is_dismissed = False

    def start(self, is_native: bool) -> None:
        """Begin to read, in the hub that will serve the client."""
        if is_native:
            HubThread.here().mailbox.post(gevent.spawn, self._run)
        else:
            gevent.spawn(self._run)

    def dismiss(self) -> None:
        """Read no more: the client is uWSGI's again."""
        self._is_dismissed = True

    def _run(self) -> None:
        answer = gevent_socket.socket(fileno=self._ours)
        client = self._client
        try:
            head = _read_head(answer)
            end = head.find(HEAD_END)
            if self._is_dismissed:
                os.close(client)
            elif end >= 0 and _IS_SWITCHING in head[: head.find(b"\r\n")]:
                self._on_switching(head[:end], _prepared(client))
            else:
                self._on_other(head)
                _pass_on(answer, head, gevent_socket.socket(fileno=client))
        finally:
            answer.close()


def is_here() -> bool:
    """Return whether this is one of uWSGI's processes."""
    return _module() is not None


def is_host(environ: WSGIEnvironment) -> bool:
    """Return whether uWSGI serves this request."""
    return "uwsgi.version" in environ


def at_exit(function: Callable[[], None]) -> bool:
    """Have uWSGI call a function when it stops this process; return False under other servers.

    It doesn't where a request runs at that moment; then there is no farewell.
    """
    module = _module()
    if module is None:
        return False
    module.atexit = _AtExit(function, getattr(module, "atexit", None)).run
    return True


def time_to_stop_s(wanted_s: float) -> float:
    """Shorten what a drain wants to what uWSGI's master grants before it kills.

    Args:
        wanted_s: `drain_timeout_s`.
    """
    mercies = [_here().opt.get(name) for name in ("worker-reload-mercy", "reload-mercy")]
    granted_s = min((int(mercy) for mercy in mercies if mercy is not None), default=_MERCY_S)
    return min(wanted_s, max(granted_s / 4, granted_s - _AFTER_S))


def _module() -> _Module | None:
    """Return uWSGI's module, which exists in its processes only."""
    found = sys.modules.get("uwsgi")
    return found if hasattr(found, "connection_fd") else None


def _here() -> _Module:
    found = _module()
    assert found is not None
    return found


def _is_of_gevent() -> bool:
    return hasattr(getcurrent(), "uwsgi_wsgi_req")


def _has_read_ahead(number: int) -> bool:
    """Return whether uWSGI holds bytes that came behind the handshake.

    For a moment it gets a connection of ours, on which a chunk lies that no client can guess, and
    is asked for the next chunk of the body. If that is ours, there was nothing before. Its parser
    of frames would tell, too, but dies of a continuation frame without a beginning.
    """
    ours, theirs = _socket_pair()
    with contextlib.closing(ours):
        client = _exchange(number, theirs)
        os.close(theirs)
        try:
            mark = secrets.token_bytes(16)
            ours.send(b"%x\r\n%s\r\n" % (len(mark), mark))
            return _here().chunked_read_nb() != mark
        except OSError:
            return True  # no chunk at all
        finally:
            os.dup2(client, number, inheritable=False)
            os.close(client)


def _exchange(number: int, instead: int) -> int:
    """Put another file under uWSGI's descriptor; return a descriptor for what was there."""
    taken = os.dup(number)
    os.dup2(instead, number, inheritable=False)
    return taken


def _prepared(number: int) -> Stream:
    # The C class: gevent's patches replace that of `socket`.
    stream = _socket.socket(fileno=number)
    stream.setblocking(False)
    with contextlib.suppress(OSError):  # a UNIX socket has no such delay
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return stream


def _socket_pair() -> tuple[_socket.socket, int]:
    """Return our end, and the descriptor of uWSGI's."""
    ours, theirs = _socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    return ours, theirs.detach()


@cache
def _null() -> int:
    return os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)


def _read_head(answer: _socket.socket) -> bytes:
    head = b""
    while HEAD_END not in head and len(head) < _MOST_HEAD_BYTES:
        data = answer.recv(_READ_BYTES)
        if not data:
            break
        head += data
    return head


def _pass_on(answer: _socket.socket, head: bytes, client: _socket.socket) -> None:
    with contextlib.closing(client), contextlib.suppress(OSError):
        data = head
        while data:
            client.sendall(data)
            data = answer.recv(_READ_BYTES)
