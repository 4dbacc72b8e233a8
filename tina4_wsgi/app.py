"""The application: a WSGI callable that answers HTTP and takes WebSocket upgrades."""

from __future__ import annotations

import os
import weakref
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from . import jsontext, logs
from .accepting.acceptor import Acceptor
from .backplane.contract import Facts, Status
from .backplane.journal_files import journal_path
from .backplane.outside import check_settings
from .config import Config
from .engine import presence
from .engine.histories import Histories, keeps_nothing
from .engine.lost_broadcasts import LostBroadcasts
from .engine.runtime import Runtime, fork_count
from .errors import JournalError, Refused, UsageError
from .hosting import allowed_hosts, checks, gunicorn
from .hosting.claims import claims_upgrade
from .http import error_pages
from .http.handling import HttpHandling
from .http.response_watch import watched
from .hub.native import allocate_lock
from .journal.positions import VOID
from .monitoring.endpoints import Endpoints
from .monitoring.live_page import live_page_of
from .monitoring.monitor import Monitor
from .monitoring.start_link import StartLink
from .protocol import handshake
from .protocol.frames import CloseCode, encode_message
from .routing.discovery import discover
from .routing.names import GroupKind, check_name, check_path
from .routing.paths import normal_path
from .routing.registrations import registrations
from .routing.router import Router
from .websocket.bridge import encoder_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from typing_extensions import Unpack

    from .engine.presence import Member
    from .engine.reading import Reading
    from .http.response_watch import OnResponse
    from .journal.contract import Declared, Topic
    from .journal.past import KeptMessage
    from .routing.callbacks import Auth
    from .routing.matching import Route
    from .settings import AppSettings
    from .websocket.bridge import Bridge
    from .websocket.connection import Connection

    Answering = Callable[[Facts], Facts]


_SERVING_ELSEWHERE = frozenset({"listen", "run", "run_server", "serve", "serve_forever", "start"})
_HOW_TO_SERVE = "`tina4-wsgi serve module:app`, or `gunicorn module:app`"

_apps: weakref.WeakSet[App] = weakref.WeakSet()  # for the module's broadcast(), which names no app


class App:
    """One application, for any WSGI server.

    Args:
        wsgi_app: an application that gets every request that matches none of our routes, untouched.
        router: where its routes are; by default the shared `Router`, and then the modules of
            `src/routes` below `root` are imported, which register there.
        root: the project folder, with `src/routes`, `src/templates` and `src/public`; by default
            the current one.
        bridge: where a framework has a say in the WebSocket routes, see `tina4_wsgi.contrib`.
        on_response: called as `on_response(method, path, status, environ)` behind each HTTP request
            that `wsgi_app` has answered with a status below 400, once the response is sent: so a
            push needs no change in that app. What it raises is logged, and harms nothing.
        live: decides who may see the live page, as a route's `auth` does. By default only `debug`
            has a live page, for anyone with the link that each start prints; False means none.
        settings: fields of `Config` by name.
    Raises:
        ConfigError: a setting is unknown or out of its range, or `on_response` can't be called so
            or has no `wsgi_app` to hear of.

    Attributes:
        config: the settings in force.
        router: the routes.
        templates: what `response.html` renders; filters and globals may be added.
        number: which app of its process this is; the app of another process with the same number
            is the same one.
        start_link: what opens the live page and tracebacks in `debug`; None without it.

    Greenlets and threads: calls may come from any; nothing is started before the first upgrade.
    """

    _runtime: Runtime | None = None
    _monitor: Monitor | None = None

    # The number of forks at the last request: a child of this process has more.
    _served_at = -1

    def __init__(
        self,
        wsgi_app: WSGIApplication | None = None,
        *,
        router: Router | None = None,
        root: str | os.PathLike[str] | None = None,
        bridge: Bridge | None = None,
        live: Auth | bool | None = None,
        on_response: OnResponse | None = None,
        **settings: Unpack[AppSettings],
    ) -> None:
        logs.install_fallback()
        checks.log_unknown_variables()
        self.config = Config.from_environ(**settings)
        check_settings(self.config)
        self.router = Router.default if router is None else router
        self.root = Path(os.getcwd() if root is None else root)
        self._wsgi_app = wsgi_app
        self.start_link = StartLink(self.config, self.root) if self.config.debug else None

        fallback = watched(wsgi_app, on_response)
        self._http = HttpHandling(self.router, self.config, self.root, fallback, self.start_link)
        self.templates = self._http.templates
        self._bridge = bridge
        self._routes_mark = None if bridge is None else bridge.routes_mark()
        self._encode_json = encoder_of(bridge)

        self._own = Endpoints(self, live_page_of(self, live, bridge, wsgi_app))
        histories = Histories(
            self.config,
            self.all_routes,
            lambda path: acceptor.route_of(path),
            self.router.rooms,
            None if bridge is None else self._look_for_routes,
        )
        acceptor = self._acceptor = Acceptor(
            self, self.config, self.router, bridge, self._own, wsgi_app, self._here, histories
        )
        self._histories = histories
        self._lost = LostBroadcasts(self.all_routes, _any_has_websocket)
        self._warns_of_lost = self.config.debug

        self._answering: list[Answering] = [] if bridge is None else [bridge.answer]
        self.number = len(_apps)
        # Native, also where the app is imported before patching.
        self._runtime_lock = allocate_lock()

        if router is None:
            discover(self.root)
        self._join()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            """Name the way to serve an app where somebody looks for `run`, as of Flask."""
            hint = f"; serve it with {_HOW_TO_SERVE}" if name in _SERVING_ELSEWHERE else ""
            raise AttributeError(f"App has no attribute {name!r}{hint}", name=name, obj=self)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        self._served_at = fork_count()
        if self.config.allowed_hosts and (refusal := self._misdirected(environ)) is not None:
            return refusal(environ, start_response)

        if self._own.paths and (page := self._own.find(environ)) is not None:
            return page(environ, start_response)

        if "HTTP_UPGRADE" in environ and handshake.wants_websocket(environ):
            return self._acceptor.upgrade(environ, start_response)

        if "HTTP_TINA4_PROBE" in environ and environ["REQUEST_METHOD"] == "HEAD":
            # A question begins nothing: where no connection was served, there is room.
            running = None if self._runtime is None else self._here()
            answer = self._acceptor.probe(environ, start_response, running)
            if answer is not None:
                return answer

        answer = self._http(environ, start_response)
        if self._runtime is not None and self._runtime.fanout.histories is not None:
            # Who is answered that it is done may rely on it, though this process be killed now.
            self._runtime.fanout.finish_keeping()
        return answer

    def claims_upgrade(self, environ: WSGIEnvironment) -> bool:
        """Return whether our own server leaves an upgrade to this app.

        False only where a legacy app is made for gevent-websocket; then the server makes the
        upgrade as gevent-websocket does. Any other legacy app gets an upgrade that no route has as
        the request that it is, and answers 404, or takes the socket itself.
        """
        if self._wsgi_app is None:
            return True
        if self._acceptor.has_route(environ):
            return True
        return not self.hands_over(environ.get("PATH_INFO") or "/") and claims_upgrade(
            self._wsgi_app, environ
        )

    def hands_over(self, path: str) -> bool:
        """Return whether the legacy app wants upgrades of this path as `wsgi.websocket`.

        Args:
            path: PATH_INFO, as WSGI has it.
        """
        return self._acceptor.hands_over(path)

    def app_protocol(self, path: str) -> str:
        """Return the subprotocol of a legacy gevent-websocket app at `path`, "" for none.

        For gevent-websocket's handler, which knows nothing else of subprotocols. Our routes can't
        use it, since the handler doesn't say what the client offered: "" where one has the path.

        Args:
            path: PATH_INFO, as WSGI has it.
        """
        legacy = getattr(self._wsgi_app, "app_protocol", None)
        if legacy is None or self._acceptor.has_route({"PATH_INFO": path}):
            return ""
        return str(legacy(path) or "")

    def broadcast(
        self,
        path: str,
        message: jsontext.Message,
        *,
        keep: bool = True,
        once: str | None = None,
    ) -> None:
        """Send one message to every connection on `path`.

        Any greenlet or thread may call this; it never waits for clients.

        Args:
            path: of clients, as "/ws/chat/ada"; not the pattern of a route.
            message: str as text, bytes as binary, a list or dict as JSON.
            keep: False for what isn't worth keeping where the path keeps history.
            once: a key, where the path keeps history: what was said under it isn't said again.
        Raises:
            UsageError: the message is something else, or no client can be on this path, or it keeps
                no history and `once` is given.
            TypeError: something in a list or dict has no form in JSON.
        """
        frame = encode_message(jsontext.as_message(message, self._encode_json))
        name = normal_path(check_path(path))
        self._here().fanout.broadcast(GroupKind.PATH, name, frame, keep=keep, once=once)

    def position(self, path: str | None = None, *, room: str | None = None) -> str:
        """Return where all is that was kept, for a page that will connect to `path`.

        Call it before the page's data is read, and render it into the page: `since` of
        `tina4.connect` then brings whatever is said between here and there, also in rooms.

        Args:
            room: a room that the page's connection joins, where its path keeps no history.
        Raises:
            UsageError: the path, or the room, keeps no history.
        """
        reading = self._reading(_topic(path, room))
        try:
            return reading.position()
        except JournalError:
            return VOID  # the page is told of a gap, and asks for its data

    def history(
        self,
        path: str | None = None,
        after: str | None = None,
        most: int = 100,
        *,
        room: str | None = None,
    ) -> list[KeptMessage]:
        """Return what was said on `path`, oldest first; each with `position` and `said_at_s`.

        Args:
            after: a position; what was said behind it. None for the latest messages.
            most: how many, at most.
            room: the name of a room, instead of a path.
        Raises:
            UsageError: the path, or the room, keeps no history, or what came behind `after` isn't
                there any more.
            JournalError: the journal can't be read.
        """
        topic = _topic(path, room)
        return self._reading(topic).history(topic, after, most)

    def forget(self, path: str | None = None, *, room: str | None = None) -> None:
        """Drop all that was kept of `path`, as the law may ask; who was away is told of a gap.

        Leaves no bytes of it in the file. That is written anew, so others who keep something wait.

        Args:
            room: the name of a room, instead of a path.
        Raises:
            UsageError: the path, or the room, keeps no history.
            JournalError: the journal can't be written; or all is dropped, but another process holds
                the file, which may still have the bytes: then call it again.
        """
        topic = _topic(path, room)
        self._reading(topic).forget(topic)

    def take_up_routes(self) -> None:
        """Have a route, or a pattern of rooms, count that was just registered.

        Called for each registration in this process; what the app was told before stays as it was.
        """
        self._histories.forget()
        runtime = self._runtime
        if runtime is not None and runtime.is_here and self._histories.is_any():
            runtime.keep_history(self._histories)
            runtime.take_up_histories()

    def _look_for_routes(self) -> None:
        """Find out whether the framework has got a route of which nobody tells."""
        assert self._bridge is not None
        mark = self._bridge.routes_mark()
        if mark is not self._routes_mark:
            self._routes_mark = mark
            self.take_up_routes()

    def keeps(self, path: str) -> bool:
        """Return whether a path keeps history."""
        return self._keeps(_topic(path, None))

    def _keeps(self, topic: Topic) -> bool:
        return self._histories.of(topic) is not None

    def _reading(self, topic: Topic) -> Reading:
        runtime = self._here()
        if self._histories.of(topic) is not None:
            runtime.keep_history(self._histories)
        elif runtime.fanout.reading is None:
            raise keeps_nothing(topic)
        reading = runtime.fanout.reading
        assert reading is not None
        reading.limits_of(topic)
        runtime.fanout.finish_keeping()
        return reading

    def count(self, path: str) -> int:
        """Count the connections on `path` in all processes.

        Waits for their answers, about a millisecond.
        """
        return presence.counts_in(
            self._here().ask_all(presence.count_question(normal_path(check_path(path))))
        )

    def members(self, path: str) -> list[Member]:
        """Return who is on `path`, in all processes, in the order of joining.

        Waits for their answers. A process that doesn't answer within a second is left out.
        """
        return self._here().members(normal_path(check_path(path)))

    def disconnect(
        self,
        *,
        connection_id: str | None = None,
        path: str | None = None,
        auth: object = None,
        code: int = CloseCode.POLICY_VIOLATION,
        reason: str = "",
    ) -> int:
        """Close the connections that meet all given conditions, in all processes.

        Waits for the answers of the other processes.

        Args:
            connection_id: of one connection.
            path: all connections on it.
            auth: all connections whose `connection.auth` has the same JSON text, so that 1, True
                and 1.0 are three values.
            code, reason: as for `Connection.close`.
        Returns:
            How many connections were told to close.
        Raises:
            UsageError: no condition is given, `auth` has no form in JSON, or the code may not
                travel.

        A handshake that meets the conditions while its `auth` is still being asked is refused; it
        isn't counted.
        """
        path = None if path is None else normal_path(check_path(path))
        if connection_id is not None:
            check_name(connection_id, "connection_id")
        question = presence.disconnect_question(connection_id, path, auth, code, reason)
        return presence.counts_in(self._here().ask_all(question), "closed")

    def backplane_status(self) -> Status:
        """Return how the connection to other processes is, for a health page."""
        runtime = self._here()
        relay = runtime.fanout.relay
        status = Status("none", True) if relay is None else relay.status()
        return status._replace(history_error=runtime.history_error)

    def ask_all(self, question: Facts) -> list[Facts]:
        """Ask the bridges of all processes that serve this app, and wait for their answers."""
        return self._here().ask_all(question)

    def close_soon(self, connections: Iterable[Connection], code: int, reason: str) -> None:
        """Close connections of this process; from any greenlet or thread, and doesn't wait."""
        connections = list(connections)
        for engine in self._here().engines:
            engine.say_goodbye(
                [one for one in connections if one in engine.connections], code, reason
            )

    def connections_here(self) -> list[Connection]:
        """Return all connections of this process, in no order."""
        return [one for engine in self._here().engines for one in list(engine.connections)]

    def answer_questions(self, answer: Answering) -> None:
        """Have a function answer questions of `ask_all` that a bridge of `contrib` doesn't know.

        It is called in the hub, must not wait, and returns {} for what isn't its own.
        """
        self._answering.append(answer)

    def put_around_wrapped(self, middleware: Callable[[WSGIApplication], WSGIApplication]) -> None:
        """Put middleware around the wrapped application; requests that are ours don't pass it.

        Raises:
            UsageError: nothing is wrapped.
        """
        self._http.put_around_fallback(middleware)

    def all_routes(self) -> list[Route]:
        """Return the router's routes, and the WebSocket routes of a wrapped framework."""
        return [*self.router.routes, *(self._bridge.routes() if self._bridge is not None else ())]

    def all_kept(self) -> list[Declared]:
        """Return what keeps history: the WebSocket routes, and the declared rooms."""
        return [one for one in self._histories.declarations() if one.limits.most_messages]

    def history_file(self) -> str:
        """Return the path of the file with what is kept; "" where it is in memory, or in Redis."""
        if self.config.backplane in ("none", "redis"):
            return ""
        return journal_path(self.config, self.root, self.number)

    def warn_of_lost_broadcasts(self) -> None:
        """Log from now on, once for each path, that a broadcast went to a path that no route has.

        The same for each handler that returns nothing. On in `debug` and under `serve --reload`.
        To broadcast to a path without connections is no mistake, but a path that can never have
        one is misspelt.
        """
        self._warns_of_lost = self._http.tells_empty = True
        self._here().fanout.watch = self._lost.look

    def dismiss(self, code: int, reason: str = "") -> None:
        """Begin to close all connections of this process; don't wait for their ends.

        Callbacks that run come first. This is for a restart: clients that come back meanwhile are
        served. `drain` waits, and refuses new connections.
        """
        runtime = self._runtime
        if runtime is not None and runtime.is_here:
            runtime.dismiss(code, reason)

    def drain(self, timeout_s: float | None = None) -> None:
        """Close every connection with 1001, wait for the "close" callbacks, and release everything.

        Args:
            timeout_s: how long the clients get; by default `drain_timeout_s`.

        Greenlets: one that may wait. Upgrades are refused with 503 meanwhile; afterwards the app
            may serve again.
        """
        runtime = self._runtime
        if runtime is not None and runtime.is_here:
            try:
                runtime.drain(self.config.drain_timeout_s if timeout_s is None else timeout_s)
            finally:
                runtime.close()
                self.monitor().close()
                self._runtime = None

    def release(self) -> None:
        """Release what the current thread's hub holds of this app, if no connection is left there.

        For threads that end, and for tests; a server drains. The app may serve in this thread
        again.
        """
        runtime = self._runtime
        if runtime is not None and runtime.is_here:
            runtime.release()

    def monitor(self) -> Monitor:
        """Return what counts in this process; made with the process's other parts."""
        self._here()
        assert self._monitor is not None
        return self._monitor

    def _join(self) -> None:
        """Add this app to the apps of its process and, where numbers are shared, to the workers."""
        _apps.add(self)
        registrations.listen(self)
        if self._own.is_shared and gunicorn.worker() is not None:
            # Otherwise this worker would be missing until its first client or question.
            self.monitor().join()

    def _here(self) -> Runtime:
        """Return what serves connections in this process; begin it if nothing does yet."""
        runtime = self._runtime
        if runtime is None or not runtime.is_here:
            # Two threads may come first at the same time; nothing here waits.
            with self._runtime_lock:
                runtime = self._runtime
                if runtime is None or not runtime.is_here:
                    runtime = self._begin(runtime)
        return runtime

    def _begin(self, parent: Runtime | None) -> Runtime:
        is_serving = self._served_at == fork_count() or gunicorn.is_worker()
        acceptor = self._acceptor
        runtime = Runtime(self.config, parent, str(self.root), self.number, is_serving)
        runtime.on_draining = acceptor.handovers.end
        if parent is not None:
            acceptor.forget_counts()

        monitor = Monitor(
            runtime,
            self.config,
            self.root,
            lambda: [*acceptor.served.values()],
            acceptor.refused,
            self.backplane_status,
            self._own.is_shared,
            self._own.live is not None,
        )
        runtime.on_question = _first_answer(self._answering, runtime.on_question)
        runtime.histories = self._histories
        if self._histories.is_any():
            runtime.keep_history(self._histories)
        self._monitor, self._runtime = monitor, runtime
        if runtime.fanout.histories is None and self._histories.is_any():
            runtime.keep_history(self._histories)  # another thread has just registered it
        if self._warns_of_lost:
            runtime.fanout.watch = self._lost.look
        return runtime

    def _misdirected(self, environ: WSGIEnvironment) -> WSGIApplication | None:
        """Return the answer to a request for a host that isn't served, None for others.

        Load balancers ask for the health page by address, so it takes any host.
        """
        try:
            if not self._own.is_health(environ):
                allowed_hosts.check(environ, self.config)
        except Refused as refusal:
            if handshake.wants_websocket(environ):
                return partial(self._acceptor.refuse, refusal=refusal)
            self._acceptor.log_refusal(environ, refusal)
            return error_pages.error(environ, refusal.status, "This host is not served here.")
        return None


def _first_answer(asked: list[Answering], ask_last: Answering | None) -> Answering:
    """Return a function that asks one after the other, until one has an answer."""

    def answer(question: Facts) -> Facts:
        for ask in asked:
            if found := ask(question):
                return found
        return {} if ask_last is None else ask_last(question)

    return answer


def broadcast(
    path: str, message: jsontext.Message, *, keep: bool = True, once: str | None = None
) -> None:
    """Send one message to every connection on `path`, whichever app of this process it belongs to.

    From HTTP handlers, views of a legacy app, callbacks, and any greenlet or thread. Never waits
    for a client. Takes and raises what `App.broadcast` does.
    """
    for app in list(_apps) if once is None else [_keeping(path, None)]:
        app.broadcast(path, message, keep=keep, once=once)


def position(path: str | None = None, *, room: str | None = None) -> str:
    """Return where all is that was kept, for a page that will connect to `path`.

    See `App.position`.
    """
    return _keeping(path, room).position(path, room=room)


def history(
    path: str | None = None, after: str | None = None, most: int = 100, *, room: str | None = None
) -> list[KeptMessage]:
    """Return what was said on `path`, or in `room`, oldest first; see `App.history`."""
    return _keeping(path, room).history(path, after, most, room=room)


def forget(path: str | None = None, *, room: str | None = None) -> None:
    """Drop all that was kept of `path`, or of `room`; see `App.forget`."""
    _keeping(path, room).forget(path, room=room)


def _keeping(path: str | None, room: str | None) -> App:
    """Return the app of this process that keeps the history of a path or a room.

    Raises:
        UsageError: none does.
    """
    topic = _topic(path, room)
    for app in list(_apps):
        if app._keeps(topic):
            return app
    raise keeps_nothing(topic)


def _topic(path: str | None, room: str | None) -> Topic:
    """Return what is kept under the name of a path or of a room.

    Raises:
        UsageError: none is given, or both, or it can't be one.
    """
    if (path is None) == (room is None):
        raise UsageError(f"path={path!r} and room={room!r}, expected one of the two")
    if room is not None:
        return GroupKind.ROOM, check_name(room, "room")
    assert path is not None
    return GroupKind.PATH, normal_path(check_path(path))


def members(path: str) -> list[Member]:
    """Return who is on `path`, in all processes that serve the apps of this one.

    See `App.members`.
    """
    return sorted(
        (one for app in list(_apps) for one in app.members(path)),
        key=lambda member: member.joined_at,
    )


def count(path: str) -> int:
    """Count the connections on `path`, in all processes that serve the apps of this one.

    See `App.count`.
    """
    return sum(app.count(path) for app in list(_apps))


def disconnect(
    *,
    connection_id: str | None = None,
    path: str | None = None,
    auth: object = None,
    code: int = CloseCode.POLICY_VIOLATION,
    reason: str = "",
) -> int:
    """Close connections in all processes that serve the apps of this one; see `App.disconnect`."""
    return sum(
        app.disconnect(connection_id=connection_id, path=path, auth=auth, code=code, reason=reason)
        for app in list(_apps)
    )


def _any_has_websocket(path: str) -> bool:
    # `broadcast` of the module sends to all apps.
    return any(app._acceptor.has_websocket(path) for app in list(_apps))


def apps_of_this_process() -> list[App]:
    """Return all applications of this process that are in use."""
    return list(_apps)
