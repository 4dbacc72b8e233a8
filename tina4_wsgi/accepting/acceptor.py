"""From a handshake to an adopted connection, or to a refusal."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ..addresses import forwarded
from ..errors import Refused, UsageError
from ..hosting import allowed_hosts
from ..hosting.refusals import path_for_log, refuse_late
from ..hosting.stop_guard import is_drained
from ..hosting.takeover import find_place, is_answered, is_native, take_over
from ..http.handling import decode_path
from ..http.headers import passes_upgrade, status_line
from ..protocol import handshake
from ..protocol.marks import take_claim
from ..routing.names import MOST_NAME_BYTES, GroupKind, check_name
from ..routing.paths import decode, has_control_character, is_own, normal_path
from ..spy import spy_of
from ..websocket.bridge import SEEN, bodiless
from ..websocket.connection import Accepted
from ..websocket.opening_handshake import OpeningHandshake
from ..websocket.served_route import ServedRoute
from .arrival import RETRY_LATER, Arrival, check_room
from .handover import Handovers, is_below

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from ..config import Config
    from ..engine.engine import Engine
    from ..engine.histories import Histories
    from ..engine.runtime import Runtime
    from ..hosting.place import Place
    from ..protocol.handshake import Handshake
    from ..protocol.marks import Claim
    from ..routing.matching import Match, Route
    from ..routing.router import Router
    from ..websocket.bridge import Bridge
    from ..websocket.inquiries import Inquiry

logger = logging.getLogger("tina4_wsgi.upgrade")

# Clients get these every day, unlike the answer to a handshake that no browser would send.
_QUIET = frozenset({401, 404})


class ExtraRoutes(Protocol):
    """WebSocket routes beside those of the router: the live page's."""

    def match(self, path: str) -> Match | None: ...
    def spare(self, route: Route) -> int: ...


class _Answer(NamedTuple):
    """The answer to a handshake, and the socket for it.

    Attributes:
        place: where its socket is.
        headers: of the 101, besides Upgrade and Connection.
        subprotocol: agreed on; None for none.
        window_bits: of permessage-deflate; 0 without it.
    """

    place: Place
    headers: list[tuple[str, str]]
    subprotocol: str | None
    window_bits: int


class Acceptor:
    """Answers the handshakes of one app.

    Args:
        app: what serves the connections, as hosts and spies know it.
        config: the settings in force.
        router: the routes.
        bridge: where a framework has a say; None for plain WSGI.
        extra: further routes, matched before those of the router.
        wsgi_app: the legacy application, which gets the upgrades that no route has.
        runtime: returns what serves connections in this process, and begins it if need be.
        histories: what keeps history.

    Attributes:
        served: the routes that a client has asked for, and what their connections did.
        refused: how many handshakes were refused, by status.
        handovers: connections that the legacy application drives itself.
    """

    def __init__(
        self,
        app: WSGIApplication,
        config: Config,
        router: Router,
        bridge: Bridge | None,
        extra: ExtraRoutes,
        wsgi_app: WSGIApplication | None,
        runtime: Callable[[], Runtime],
        histories: Histories,
    ) -> None:
        self._app = app
        self._config = config
        self._router = router
        self._bridge = bridge
        self._extra = extra
        self._wsgi_app = wsgi_app
        self._runtime = runtime
        self._histories = histories

        self.served: dict[Route, ServedRoute] = {}
        self.refused: dict[int, int] = {}
        self.handovers = Handovers(wsgi_app)

    def forget_counts(self) -> None:
        """Begin to count anew, in a child process: the parent reports what was counted so far."""
        self.served, self.refused = {}, {}

    # -- answering

    def upgrade(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one handshake: accept it, refuse it, or pass it on to the legacy application."""
        asked = handshake.read(environ)
        try:
            found = self.find_route(environ, asked.path)
            if found is None:
                return self._pass_on(asked, environ, start_response)

            path, match = found
            return self._accept(asked, environ, start_response, _group_name(path), match)
        except Refused as refusal:
            return self.refuse(environ, start_response, refusal)

    def probe(
        self, environ: WSGIEnvironment, start_response: StartResponse, running: Runtime | None
    ) -> Iterable[bytes] | None:
        """Answer what a handshake for this address would be answered: 204 stands for 101.

        Browsers keep the status of a refused handshake from scripts. Our client asks by
        this whether it was logged out, and gives up, or whether it should try again.

        Args:
            running: what serves connections in this process; None where nothing does yet.
        Returns:
            The body; None, and nothing has been answered, if no route has this address.
        """
        try:
            found = self.find_route(environ, environ.get("PATH_INFO") or "/")
            if found is None:
                return None

            match = found[1]
            if running is not None:
                engine = running.engine_of(is_native(environ))
                check_room(running, engine, self._extra.spare(match[0]))
            self._served_route(match[0]).admit(_as_handshake(environ), match)
        except Refused as refusal:
            self.refuse(environ, start_response, refusal)
        else:
            start_response("204 No Content", [("Cache-Control", "no-store")])

        return []

    def refuse(
        self, environ: WSGIEnvironment, start_response: StartResponse, refusal: Refused
    ) -> Iterable[bytes]:
        """Count, log and answer a refusal."""
        self.refused[refusal.status] = self.refused.get(refusal.status, 0) + 1
        self.log_refusal(environ, refusal)
        if (
            (spy := spy_of(environ)) is not None
            and refusal.status == 500
            and refusal.__cause__ is not None
        ):
            spy.failed(refusal.__cause__)
        if is_answered(environ):
            return refuse_late(environ, start_response, refusal)

        body = refusal.message.encode() + b"\n"
        head = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
        if environ.get("SERVER_SOFTWARE", "").startswith("gevent/"):
            # PEP 3333 keeps this hop-by-hop field from applications, but nothing else makes pywsgi
            # close. A refused client could hold up the stop of a worker for as long as it likes.
            head.append(("Connection", "close"))
        fields = [
            field for field in refusal.headers if field[0] != "Upgrade" or passes_upgrade(environ)
        ]
        start_response(status_line(refusal.status), [*head, *fields])
        return [body]

    def log_refusal(self, environ: WSGIEnvironment, refusal: Refused) -> None:
        """Log a refusal: as a warning if it shows a mistake or a client that is no browser."""
        # A refusal with a detail shows a mistake to mend, such as a second spelling of a number.
        is_quiet = refusal.status in _QUIET and not refusal.detail

        logger.log(
            logging.INFO if is_quiet else logging.WARNING,
            "refused '%s' from %s: %d %s%s",
            path_for_log(environ.get("PATH_INFO") or "/"),
            forwarded.client_ip(environ, self._config.trusted_proxies),
            refusal.status,
            refusal.message,
            f": {refusal.detail}" if refusal.detail else "",
        )

    # -- routes

    def find_route(self, environ: WSGIEnvironment, raw_path: str) -> tuple[str, Match] | None:
        """Find the group that a client would join, and its route; None if no route is for it.

        One text for all: what `auth` is asked about is what is joined.

        Args:
            raw_path: as WSGI has it, "/" for none.
        Raises:
            Refused: 400, the path is no text; 404, it is spelled in another way than its route
                writes it.
        """
        seen = environ if self._bridge is None else environ.get(SEEN) or self._bridge.seen(environ)
        try:
            path = normal_path(decode(raw_path) if seen is environ else decode_path(seen))
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

    def has_route(self, environ: WSGIEnvironment) -> bool:
        """Return whether an upgrade is ours to answer, even by a refusal."""
        try:
            return self.find_route(environ, environ.get("PATH_INFO") or "/") is not None
        except Refused:
            return True

    def has_websocket(self, path: str) -> bool:
        """Return whether any route has this path, which is decoded and normal."""
        if self._extra.match(path) is not None or self._router.match_websocket(path) is not None:
            return True
        return self._bridge is not None and self._bridge.match(path) is not None

    def route_of(self, path: str) -> Route | None:
        """Return the WebSocket route of a path, which is decoded and normal; None for none."""
        found = self._router.match_websocket(path)
        if found is None and self._bridge is not None:
            found = self._bridge.match(path)
        return None if found is None else found.route

    def hands_over(self, path: str) -> bool:
        """Return whether the legacy app wants upgrades of this path, as WSGI has it, ready-made."""
        prefixes = self._config.gevent_websocket_paths
        return bool(prefixes) and is_below(path, prefixes)

    def _match(self, environ: WSGIEnvironment, path: str) -> tuple[str, Match] | None:
        match = self._extra.match(path) or self._router.match_websocket(path)
        found = None if match is None else (path, match)
        if found is None and self._bridge is not None:
            found = self._bridge.find(environ, path)
        # A route that takes every path doesn't mean our own addresses; one that names them does.
        is_meant = found is None or not is_own(path) or is_own(found[1].route.path)
        return found if is_meant else None

    def _served_route(self, route: Route) -> ServedRoute:
        served = self.served.get(route)
        if served is None:
            served = ServedRoute(
                route, self._config.for_route(route.options), self._bridge, self._wsgi_app
            )
            # Two threads may come first at the same time.
            served = self.served.setdefault(route, served)
        return served

    # -- accepting

    def _accept(
        self,
        asked: Handshake,
        environ: WSGIEnvironment,
        start_response: StartResponse,
        path: str,
        match: Match,
    ) -> Iterable[bytes]:
        route, params = match
        runtime = self._runtime()  # first: a new process begins with routes of its own
        served = self._served_route(route)
        if served.limits.history:
            runtime.keep_history(self._histories)  # the route may have been added late
        environ, claim = _without_claim(environ)
        answer = self._answer(asked, environ, served)
        if (spy := answer.place.spy) is not None:
            spy.serving(self._app)
        without_hub = answer.place.is_native
        engine = runtime.engine_of(without_hub)
        check_room(runtime, engine, spare := self._extra.spare(route))
        opening = self._opening(environ)

        def arrive(auth: object, inquiry: Inquiry | None) -> Arrival:
            visit = Accepted(
                served, opening, path, params, auth, answer.subprotocol, answer.window_bits, claim
            )
            if spy is not None:
                visit = spy.visiting(visit)
            else:
                runtime.look_around(without_hub)
            server = environ.get("tina4_wsgi.server")
            return Arrival(runtime, engine, visit, is_drained(environ, self._app), inquiry, server)

        is_at_once = not served.asks and answer.place.is_taken_at_once(start_response)
        if is_at_once and _is_heard(engine, path):
            # Nothing can come between, and nothing has to be awaited.
            return take_over(answer.place, start_response, answer.headers, arrive(None, None))

        with engine.inquiries.begin(path) as inquiry:
            arrival = arrive(served.admit(environ, match), inquiry)
        try:
            # Before the 101: from then on the client misses nothing.
            arrival.wait_until_welcome(spare, has_waited=served.asks)
            return take_over(answer.place, start_response, answer.headers, arrival)
        except BaseException:
            arrival.cancel()
            raise

    def _opening(self, environ: WSGIEnvironment) -> OpeningHandshake:
        config = self._config
        return OpeningHandshake(
            environ, config.trusted_proxies, config.keep_environ, config.max_head_bytes
        )

    def _answer(self, asked: Handshake, environ: WSGIEnvironment, served: ServedRoute) -> _Answer:
        """Check a handshake as RFC 6455 has it, negotiate, and find the socket to answer on.

        Raises:
            Refused: 400, 403, 405, 421, 426, 500 or 501.
        """
        trusted = self._config.trusted_proxies
        headers = [("Sec-WebSocket-Accept", asked.accept())]
        host = forwarded.host(environ, trusted) if trusted else asked.host
        served.check_origin(asked, environ, host)
        self._check_host(asked, environ)
        subprotocol = asked.choose_subprotocol(served.route.subprotocols)
        agreement = asked.agree_on_deflate(served.limits.deflate)

        place = find_place(environ)
        if place.has_answered:
            subprotocol = agreement = None  # the client knows of neither
        if subprotocol is not None:
            headers.append(("Sec-WebSocket-Protocol", subprotocol))
        if agreement is None:
            return _Answer(place, headers, subprotocol, 0)
        headers.append(("Sec-WebSocket-Extensions", agreement.answer))
        return _Answer(place, headers, subprotocol, agreement.window_bits)

    def _check_host(self, asked: Handshake, environ: WSGIEnvironment) -> None:
        """Check the host of a browser's handshake, on a server that only this machine reaches.

        `App` has held the setting `allowed_hosts` already, as for every request.

        Raises:
            Refused: 421.
        """
        if asked.origin is None or self._config.allowed_hosts:
            return
        try:
            allowed_hosts.check_for_page(environ, self._config, asked.host, asked.origin)
        except Refused:
            if self._bridge is None or not self._bridge.names_host(environ):
                raise

    # -- the legacy application

    def _pass_on(
        self, asked: Handshake, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Have the legacy application answer an upgrade that no route has.

        Raises:
            Refused: 404, there is none.
        """
        if self._wsgi_app is None:
            raise Refused(404, "no WebSocket route has this path")
        if self.hands_over(asked.path):
            return self._hand_over(self._wsgi_app, asked, environ, start_response)
        return self._wsgi_app(environ, start_response)

    def _hand_over(
        self,
        wsgi_app: WSGIApplication,
        asked: Handshake,
        environ: WSGIEnvironment,
        start_response: StartResponse,
    ) -> Iterable[bytes]:
        if is_answered(environ) or spy_of(environ) is not None:
            return wsgi_app(environ, start_response)

        runtime = self._runtime()
        if runtime.is_draining:
            raise Refused(503, "this server is about to stop, try again", RETRY_LATER)
        if not is_drained(environ, self._app):
            runtime.stop_guard.stand_guard(environ.get("tina4_wsgi.server"))
        return self.handovers.serve(asked, environ, start_response)


def _without_claim(environ: WSGIEnvironment) -> tuple[WSGIEnvironment, Claim | None]:
    """Take out of the query what a client says of its past; the app needn't see it."""
    query = environ.get("QUERY_STRING", "")
    if "tina4=" not in query:
        return environ, None
    rest, claim = take_claim(query)
    return (environ if rest == query else {**environ, "QUERY_STRING": rest}), claim


def _as_handshake(probe: WSGIEnvironment) -> WSGIEnvironment:
    """Make the handshake that a probe asks about; its field names the subprotocols, or is "1"."""
    environ = {**bodiless(probe), "REQUEST_METHOD": "GET"}
    if probe["HTTP_TINA4_PROBE"] != "1":
        # Browsers let no script set the field itself.
        environ["HTTP_SEC_WEBSOCKET_PROTOCOL"] = probe["HTTP_TINA4_PROBE"]
    return environ


def _group_name(path: str) -> str:
    """Return the name of the group that a client of this path, which is normal, joins.

    Raises:
        Refused: 400 or 414, such a name can't be sent to other processes, nor be broadcast to.
    """
    try:
        return check_name(path)
    except UsageError as exc:
        status = 414 if len(path.encode()) > MOST_NAME_BYTES else 400
        raise Refused(
            status, "this path can't name a group of connections", detail=str(exc)
        ) from None


def _is_heard(engine: Engine, path: str) -> bool:
    """Return whether broadcasts of other processes to a path arrive here, for those who are on it.

    Where that had to be awaited, they may have left meanwhile.
    """
    if not engine.has_members(GroupKind.PATH, path):
        return False
    return not engine.fanout.wait_until_heard(GroupKind.PATH, path)
