"""The application: a WSGI callable that answers HTTP, takes upgrades over, and passes the rest
on.
"""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gevent.monkey import get_original

from . import jsontext, logs
from .accepting.arrival import Arrival
from .accepting.handover import Handovers, is_below
from .addresses import forwarded
from .backplane.contract import Facts, Status
from .backplane.outside import check_settings
from .config import Config
from .engine import presence
from .engine.engine import Engine
from .engine.lost_broadcasts import LostBroadcasts
from .engine.presence import Member
from .engine.runtime import Runtime, fork_count
from .errors import Refused, UsageError
from .hosting import allowed_hosts, checks, gunicorn
from .hosting.claims import claims_upgrade
from .hosting.refusals import path_for_log, refuse_late
from .hosting.stop_guard import is_drained
from .hosting.takeover import find_place, is_answered, take_over
from .http import error_pages
from .http.handling import HttpHandling, decode_path
from .http.headers import passes_upgrade, status_line
from .monitoring.endpoints import Endpoints
from .monitoring.live_page import live_page_of
from .monitoring.monitor import Monitor
from .monitoring.start_link import StartLink
from .protocol import handshake
from .protocol.frames import CloseCode, encode_message
from .routing.discovery import discover
from .routing.matching import Match, Route
from .routing.names import MOST_NAME_BYTES, check_name, check_path
from .routing.paths import has_control_character, is_own, normal_path
from .routing.router import Router
from .spy import observer_of
from .websocket.connection import Accepted, Connection
from .websocket.opening_handshake import OpeningHandshake
from .websocket.served_route import SEEN, Bridge, ServedRoute, bodiless

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from typing_extensions import Unpack

    from .routing.callbacks import Auth
    from .settings import AppSettings
    from .websocket.connection import Connection

logger = logging.getLogger("tina4_wsgi.upgrade")

_allocate_lock = get_original("_thread", "allocate_lock")

_RETRY_AFTER_S = 5
_QUIET = frozenset({401, 404})  # ordinary life, unlike a handshake that no browser would send

_SERVING_ELSEWHERE = frozenset({"listen", "run", "run_server", "serve", "serve_forever", "start"})
_HOW_TO_SERVE = "`tina4-wsgi serve module:app`, or `gunicorn -k gevent module:app`"
Answering = Callable[[Facts], Facts]

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
        live: says who may see the live page, as a route's `auth` does; by default there is one in
            `debug` only, for whoever has the link that each start prints, and with False there is
            none.
        settings: fields of `Config` by name.
    Raises:
        ConfigError: a setting is unknown or out of its range.

    Attributes:
        config: the settings in force.
        router: the routes.
        templates: what `response.html` renders; filters and globals may be added.
        start_link: what opens the live page and tracebacks in `debug`; None without it.

    Greenlets and threads: calls may come from any; nothing is started before the first upgrade.
    """

    def __init__(
        self,
        wsgi_app: WSGIApplication | None = None,
        *,
        router: Router | None = None,
        root: str | os.PathLike[str] | None = None,
        bridge: Bridge | None = None,
        live: Auth | bool | None = None,
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
        self._http = HttpHandling(self.router, self.config, self.root, wsgi_app, self.start_link)
        self.templates = self._http.templates
        self._bridge = bridge
        self._encode_json = (
            jsontext.encode if bridge is None else jsontext.encoder(bridge.json_default)
        )
        self._services: dict[Route, ServedRoute] = {}
        self._refused: dict[int, int] = {}
        self._own = Endpoints(self, live_page_of(self, live, bridge))
        self._handovers = Handovers(wsgi_app)
        self._lost = LostBroadcasts(self.all_routes, _any_has_websocket)
        self._warns_of_lost = self.config.debug
        self._process: Runtime | None = None
        self._served_at = (
            -1
        )  # the number of forks at the last request: a child of this process has more
        self._number = len(_apps)
        self._monitor: Monitor | None = None
        self._process_lock = (
            _allocate_lock()
        )  # native, also where the app is imported before patching
        if router is None:
            discover(self.root)
        _apps.add(self)
        if self._own.is_shared and gunicorn.worker() is not None:
            # Else this worker would be missing until its first client or question.
            self.monitor().join()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            """Say how an app is served to whoever looks for `run`, as Flask's and Bottle's apps
            have it.
            """
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
            return self._upgrade(environ, start_response)
        if "HTTP_TINA4_PROBE" in environ and environ["REQUEST_METHOD"] == "HEAD":
            return self._probe(environ, start_response)
        return self._http(environ, start_response)

    def claims_upgrade(self, environ: WSGIEnvironment) -> bool:
        """Say whether our own server leaves an upgrade to this app, instead of making it as
        gevent-websocket does.

        It does unless the app hands it over to a legacy app that is made for gevent-websocket. What
        no route has, a legacy app gets as the request that it is, and answers with 404, or with the
        socket that it takes by itself.
        """
        if self._wsgi_app is None:
            return True
        if self._has_route(environ):
            return True
        return not self.hands_over(environ.get("PATH_INFO") or "/") and claims_upgrade(
            self._wsgi_app, environ
        )

    def hands_over(self, path: str) -> bool:
        """Say whether the legacy app wants upgrades of this path ready-made, as
        `environ["wsgi.websocket"]`.

        Args:
            path: PATH_INFO, as WSGI has it.
        """
        prefixes = self.config.gevent_websocket_paths
        return bool(prefixes) and is_below(path, prefixes)

    def app_protocol(self, path: str) -> str:
        """Give the subprotocol of a legacy gevent-websocket application at `path`; "" where that is
        not asked.

        For gevent-websocket's handler, which knows nothing else of subprotocols. Our routes can't
        use it: it is not told what the client offered.

        Args:
            path: PATH_INFO, as WSGI has it.
        """
        legacy = getattr(self._wsgi_app, "app_protocol", None)
        if legacy is None or self._has_route({"PATH_INFO": path}):
            return ""
        return str(legacy(path) or "")

    def broadcast(self, path: str, message: jsontext.Message) -> None:
        """Send one message to every connection on `path`; from any greenlet or thread, and never
        waits for clients.

        Args:
            path: of clients, as "/ws/chat/ada"; not the pattern of a route.
            message: str as text, bytes as binary, a list or dict as JSON.
        Raises:
            UsageError: the message is something else, or no client can be on this path.
            TypeError: something in a list or dict has no form in JSON.
        """
        frame = encode_message(jsontext.as_message(message, self._encode_json))
        self._here().fanout.to_path(normal_path(check_path(path)), frame)

    def count(self, path: str) -> int:
        """Count the connections on `path` in all processes; waits for their answers, about a
        millisecond.
        """
        return presence.counts_in(
            self._here().ask_all(presence.count_question(normal_path(check_path(path))))
        )

    def members(self, path: str) -> list[Member]:
        """Say who is on `path`, in all processes, in the order of joining; waits for their answers.

        A process that doesn't answer within a second is left out.
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
        """Close connections in all processes: those for whom all that is given is true; waits for
        the answers.

        Args:
            connection_id: of one connection.
            path: all who are on it.
            auth: all whose `connection.auth` has the same JSON text, so that 1, True and 1.0 are
                three.
            code, reason: as for `Connection.close`.
        Returns:
            How many were told to go.
        Raises:
            UsageError: nobody is meant, `auth` has no form in JSON, or the code may not travel.

        A handshake whose `auth` is still being asked, and that this means too, is refused; it isn't
        counted.
        """
        path = None if path is None else normal_path(check_path(path))
        if connection_id is not None:
            check_name(connection_id, "connection_id")
        question = presence.disconnect_question(connection_id, path, auth, code, reason)
        return presence.counts_in(self._here().ask_all(question), "closed")

    def backplane_status(self) -> Status:
        """Say how the way to other processes is, for a health page."""
        relay = self._here().fanout.relay
        return Status("none", True) if relay is None else relay.status()

    def ask_all(self, question: Facts) -> list[Facts]:
        """Put a question to the bridges of all processes that serve this app, and wait for the
        answers.
        """
        return self._here().ask_all(question)

    def close_soon(self, connections: Iterable[Connection], code: int, reason: str) -> None:
        """Close connections of this process; from any greenlet or thread, and doesn't wait."""
        connections = list(connections)
        for engine in self._here().engines:
            engine.say_goodbye(
                [one for one in connections if one in engine.connections], code, reason
            )

    def all_routes(self) -> list[Route]:
        """Give the routes of the router, and those that a wrapped framework declares for
        WebSockets.
        """
        return [*self.router.routes, *(self._bridge.routes() if self._bridge is not None else ())]

    def warn_of_lost_broadcasts(self) -> None:
        """Log from now on, once for each path, that a broadcast went to a path that no route has.

        The same for each handler that returns nothing. On in `debug` and under `serve --reload`.
        Whoever broadcasts to a path where nobody is does nothing wrong, but to one where nobody
        can ever be has misspelt it.
        """
        self._warns_of_lost = self._http.tells_empty = True
        self._here().fanout.watch = self._lost.look

    def dismiss(self, code: int, reason: str = "") -> None:
        """Begin to close all connections of this process, behind the callbacks that run; doesn't
        wait for their ends.

        For a restart: who comes back meanwhile is served. `drain` waits, and refuses newcomers.
        """
        process = self._process
        if process is not None and process.is_here:
            process.dismiss(code, reason)

    def drain(self, timeout_s: float | None = None) -> None:
        """Say 1001 to every client, wait until all "close" callbacks are done, and give everything
        back.

        Args:
            timeout_s: how long the clients get; by default `drain_timeout_s`.

        Greenlets: one that may wait. Upgrades are refused with 503 meanwhile; afterwards the app
            may serve again.
        """
        process = self._process
        if process is not None and process.is_here:
            try:
                process.drain(self.config.drain_timeout_s if timeout_s is None else timeout_s)
            finally:
                process.close()
                self.monitor().close()
                self._process = None

    def release(self) -> None:
        """Give back what the current thread's hub holds of this app, if no connection is left
        there.

        For threads that end, and for tests; a server drains. The app may serve in this thread
        again.
        """
        process = self._process
        if process is not None and process.is_here:
            process.release()

    def monitor(self) -> Monitor:
        """Give what counts in this process; made with the process's other parts."""
        self._here()
        assert self._monitor is not None
        return self._monitor

    # -- the upgrade

    def _here(self) -> Runtime:
        process = self._process
        if process is None or not process.is_here:
            with (
                self._process_lock
            ):  # two threads may come first at the same time; nothing here waits
                process = self._process
                if process is None or not process.is_here:
                    process = self._begin(process)
        return process

    def _begin(self, parent: Runtime | None) -> Runtime:
        is_serving = self._served_at == fork_count() or gunicorn.is_worker()
        process = Runtime(self.config, parent, str(self.root), self._number, is_serving)
        process.on_draining = self._handovers.end
        if parent is not None:
            self._services, self._refused = {}, {}  # what they counted is the parent's to tell
        monitor = Monitor(
            process,
            self.config,
            self.root,
            lambda: [*self._services.values()],
            self._refused,
            self.backplane_status,
            self._own.is_shared,
            self._own.live is not None,
        )
        if self._bridge is not None:
            process.on_question = _first_answer(self._bridge.answer, process.on_question)
        self._monitor, self._process = monitor, process
        if self._warns_of_lost:
            process.fanout.watch = self._lost.look
        return process

    def _upgrade(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            found = self._find_route(environ)
            if found is None:
                if self._wsgi_app is None:
                    raise Refused(404, "no WebSocket route has this path")
                if self.hands_over(environ.get("PATH_INFO") or "/"):
                    return self._hand_over(self._wsgi_app, environ, start_response)
                return self._wsgi_app(environ, start_response)
            path, match = found
            return self._accept(environ, start_response, _group_name(path), match)
        except Refused as refusal:
            return self._refuse(environ, start_response, refusal)

    def _hand_over(
        self, wsgi_app: WSGIApplication, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        if is_answered(environ) or observer_of(environ) is not None:
            return wsgi_app(environ, start_response)
        process = self._here()
        if process.is_draining:
            raise Refused(
                503,
                "this server is about to stop, try again",
                (("Retry-After", str(_RETRY_AFTER_S)),),
            )
        if not is_drained(environ, self):
            process.guardian.stand_guard()
        return self._handovers.serve(environ, start_response)

    def _check_host(self, environ: WSGIEnvironment) -> None:
        """Hold the list of hosts, for a browser's handshake also the one that there is without a
        setting.

        Raises:
            Refused: 421.
        """
        if "HTTP_ORIGIN" not in environ:
            return
        try:
            allowed_hosts.check_for_page(environ, self.config)
        except Refused:
            if (
                self.config.allowed_hosts
                or self._bridge is None
                or not self._bridge.names_host(environ)
            ):
                raise

    def _misdirected(self, environ: WSGIEnvironment) -> WSGIApplication | None:
        """Give the answer to a request for a host that isn't served; the health page is asked for
        by address.
        """
        try:
            if not self._own.is_health(environ):
                allowed_hosts.check(environ, self.config)
        except Refused as refusal:
            if handshake.wants_websocket(environ):
                return partial(self._refuse, refusal=refusal)
            self._log_refusal(environ, refusal)
            return error_pages.error(environ, refusal.status, "This host is not served here.")
        return None

    def _accept(
        self, environ: WSGIEnvironment, start_response: StartResponse, path: str, match: Match
    ) -> Iterable[bytes]:
        route, params = match
        process = self._here()  # first: services are a process's own, for what they count
        service = self._service_of(route)
        headers = [("Sec-WebSocket-Accept", handshake.check(environ))]
        service.check_origin(environ, forwarded.host(environ, self.config.trusted_proxies))
        self._check_host(environ)
        subprotocol = handshake.choose_subprotocol(
            environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL"), route.subprotocols
        )
        agreement = service.agree_on_deflate(environ)
        if is_answered(environ):
            subprotocol = agreement = None  # the client knows of neither
        if subprotocol is not None:
            headers.append(("Sec-WebSocket-Protocol", subprotocol))
        if agreement is not None:
            headers.append(("Sec-WebSocket-Extensions", agreement.answer))
        place = find_place(environ)
        engine = _engine_with_room(process, spare := self._own.spare(route))
        config = self.config
        opening = OpeningHandshake(
            environ, config.trusted_proxies, config.keep_environ, config.max_head_bytes
        )
        with engine.inquiries.begin(path) as inquiry:
            auth = service.admit(environ, match)
            window_bits = 0 if agreement is None else agreement.window_bits
            visit = Accepted(service, opening, path, params, auth, subprotocol, window_bits)
            if (observer := observer_of(environ)) is not None:
                visit = observer.visiting(self, visit)
            else:
                process.look_around()
            arrival = Arrival(process, visit, is_drained(environ, self), inquiry)
        try:
            # Before the 101: from then on the client misses nothing.
            if arrival.wait_until_heard() or service.asks:
                _engine_with_room(process, spare)  # again: who was asked may have waited, too
            arrival.check_is_welcome()
            return take_over(place, environ, start_response, headers, arrival)
        except BaseException:
            arrival.cancel()
            raise

    def _probe(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Say what a handshake for this address would be answered: 204 stands for 101.

        Browsers keep the status of a refused handshake from scripts. By this the client tells a
        log-out, after which it gives up, from an outage, after which it tries again.
        """
        try:
            found = self._find_route(environ)
            if found is None:
                return self._http(environ, start_response)
            match = found[1]
            if self._process is not None:
                _engine_with_room(self._here(), self._own.spare(match[0]))
            self._service_of(match[0]).admit(_as_handshake(environ), match)
        except Refused as refusal:
            self._refuse(environ, start_response, refusal)
        else:
            start_response("204 No Content", [("Cache-Control", "no-store")])
        return []

    def _has_websocket(self, path: str) -> bool:
        if self._own.match(path) is not None or self.router.match_websocket(path) is not None:
            return True
        return self._bridge is not None and self._bridge.match(path) is not None

    def _has_route(self, environ: WSGIEnvironment) -> bool:
        """Whether an upgrade is ours to answer, be it by a refusal."""
        try:
            return self._find_route(environ) is not None
        except Refused:
            return True

    def _find_route(self, environ: WSGIEnvironment) -> tuple[str, Match] | None:
        """Find the name of the group that a request would join, and its route; None if we have none
        for it.

        One text for all: what `auth` is asked about is what is joined.

        Raises:
            Refused: 400, the path is no text; 404, it is spelled in another way than its route
                writes it.
        """
        seen = environ if self._bridge is None else environ.get(SEEN) or self._bridge.seen(environ)
        try:
            path = normal_path(decode_path(seen))
        except Refused:
            if self._wsgi_app is None:
                raise
            return None  # a path that is not UTF-8 is none of ours, and may be the legacy app's
        # Matchers and frameworks take "//x" and "x" for "/x"; as a group's name neither is that.
        found = self._match(seen, path) if path[:1] == "/" and path[:2] != "//" else None
        if has_control_character(path) and (found is not None or self._wsgi_app is None):
            raise Refused(400, "the path holds a control character")
        if found is not None and seen is not environ:
            environ[SEEN] = seen
        return found

    def _match(self, environ: WSGIEnvironment, path: str) -> tuple[str, Match] | None:
        match = self._own.match(path) or self.router.match_websocket(path)
        found = None if match is None else (path, match)
        if found is None and self._bridge is not None:
            found = self._bridge.find(environ, path)
        # One that takes every path doesn't mean these; who names them does.
        is_meant = found is None or not is_own(path) or is_own(found[1].route.path)
        return found if is_meant else None

    def _service_of(self, route: Route) -> ServedRoute:
        service = self._services.get(route)
        if service is None:
            service = self._services[route] = ServedRoute(
                route, self.config.for_route(route.options), self._bridge
            )
        return service

    def _refuse(
        self, environ: WSGIEnvironment, start_response: StartResponse, refusal: Refused
    ) -> Iterable[bytes]:
        self._refused[refusal.status] = self._refused.get(refusal.status, 0) + 1
        self._log_refusal(environ, refusal)
        if (
            (observer := observer_of(environ)) is not None
            and refusal.status == 500
            and refusal.__cause__ is not None
        ):
            observer.failed(refusal.__cause__)
        if is_answered(environ):
            return refuse_late(environ, start_response, refusal)
        body = refusal.message.encode() + b"\n"
        head = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
        if environ.get("SERVER_SOFTWARE", "").startswith("gevent/"):
            # A hop-by-hop field, which PEP 3333 keeps from applications, but pywsgi closes by
            # nothing else: a refused client would hold up the stop of a worker for as long as it
            # likes.
            head.append(("Connection", "close"))
        fields = [
            field for field in refusal.headers if field[0] != "Upgrade" or passes_upgrade(environ)
        ]
        start_response(status_line(refusal.status), [*head, *fields])
        return [body]

    def _log_refusal(self, environ: WSGIEnvironment, refusal: Refused) -> None:
        # One with a detail is a mistake that somebody can mend, such as a second spelling of a
        # number.
        is_quiet = refusal.status in _QUIET and not refusal.detail
        logger.log(
            logging.INFO if is_quiet else logging.WARNING,
            "refused '%s' from %s: %d %s%s",
            path_for_log(environ.get("PATH_INFO") or "/"),
            forwarded.client_ip(environ, self.config.trusted_proxies),
            refusal.status,
            refusal.message,
            f": {refusal.detail}" if refusal.detail else "",
        )


def _as_handshake(probe: WSGIEnvironment) -> WSGIEnvironment:
    """Make of a client's question the handshake that it asks about; its field names the
    subprotocols, or is "1".
    """
    environ = {**bodiless(probe), "REQUEST_METHOD": "GET"}
    if probe["HTTP_TINA4_PROBE"] != "1":
        environ["HTTP_SEC_WEBSOCKET_PROTOCOL"] = probe[
            "HTTP_TINA4_PROBE"
        ]  # the field itself is closed to scripts
    return environ


def _group_name(path: str) -> str:
    """Give the name of the group that a client of this path, which is normal, joins.

    Raises:
        Refused: 400 or 414, other processes couldn't be told of such a name, nor could anybody
            broadcast to it.
    """
    try:
        return check_name(path)
    except UsageError as exc:
        status = 414 if len(path.encode()) > MOST_NAME_BYTES else 400
        raise Refused(
            status, "this path can't name a group of connections", detail=str(exc)
        ) from None


def _first_answer(ask: Answering, ask_next: Answering | None) -> Answering:
    """Put two who answer questions into one."""

    def answer(question: Facts) -> Facts:
        found = ask(question)
        return found if found or ask_next is None else ask_next(question)

    return answer


def _engine_with_room(process: Runtime, spare: int) -> Engine:
    engine = process.engine()
    if process.is_draining or not engine.has_room(spare):
        retry = (("Retry-After", str(_RETRY_AFTER_S)),)
        raise Refused(503, "no further connection can be taken now, try again later", retry)
    return engine


def broadcast(path: str, message: jsontext.Message) -> None:
    """Send one message to every connection on `path`, whichever app of this process it belongs to.

    From HTTP handlers, views of a legacy app, callbacks, and any greenlet or thread. Never waits
    for a client. Takes and raises what `App.broadcast` does.
    """
    for app in list(_apps):
        app.broadcast(path, message)


def members(path: str) -> list[Member]:
    """Say who is on `path`, in all processes that serve the apps of this one; see `App.members`."""
    return sorted(
        (one for app in list(_apps) for one in app.members(path)),
        key=lambda member: member.joined_at,
    )


def count(path: str) -> int:
    """Count the connections on `path`, in all processes that serve the apps of this one; see
    `App.count`.
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
    return any(app._has_websocket(path) for app in list(_apps))  # `broadcast` tells all of them


def apps_of_this_process() -> list[App]:
    """Give all applications that were made in this process and are in use."""
    return list(_apps)
