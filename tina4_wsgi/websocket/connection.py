"""The object that callbacks hold."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, NamedTuple

from gevent import Timeout
from gevent.monkey import get_original
from werkzeug.datastructures import EnvironHeaders, ImmutableMultiDict

from .. import jsontext
from ..config import Config
from ..errors import ConnectionClosed, ForkError, MessageError, Refused
from ..jsontext import Message
from ..protocol.deflate import compress_frame
from ..protocol.frames import CloseCode, close_payload, encode_message
from ..routing.names import check_name, check_path
from ..routing.params import Params
from ..routing.paths import normal_path
from .lifecycle import Ending, Lifecycle, Served
from .opening_handshake import OpeningHandshake
from .seams import ConnectionOwner

logger = logging.getLogger("tina4_wsgi.connection")

# Patched or not, this names the native thread; the patched one would name the greenlet.
_get_ident = get_original("_thread", "get_ident")

_OPEN, _FORSAKEN = 0, 5  # see lifecycle


class Accepted(NamedTuple):
    """Who comes, and to which route: the outcome of a handshake.

    Attributes:
        path: concrete and normalised; the name of the connection's group.
        auth: what the route's `auth` gave.
        window_bits: of permessage-deflate for what we send; 0 without it.
    """

    service: Served
    opening: OpeningHandshake
    path: str
    params: Params
    auth: object = None
    subprotocol: str | None = None
    window_bits: int = 0


class Connection(Lifecycle):
    """One client on one WebSocket route.

    Greenlets and threads: every method may be called from any greenlet and any native thread.
    Frames of one connection leave in the order of the calls and are never interleaved. `send` waits
    while too much is queued for this client; nothing else waits.

    Attributes:
        path: the concrete path, as in "/ws/chat/general"; the name of its broadcast group.
        params: the parameters of the path, by item and by attribute: `params["room"]`,
            `params.room`.
        subprotocol: the one that was agreed on, None if none was.
        window_bits: of permessage-deflate for what we send; 0 without it.
        auth: what the route's `auth` gave, None without one.
    """

    __slots__ = (
        "_connected_at_s",
        "_id",
        "_opening",
        "_state_dict",
        "auth",
        "params",
        "path",
        "rooms",
        "subprotocol",
        "window_bits",
    )

    def __init__(self, host: ConnectionOwner, visit: Accepted) -> None:
        super().__init__(host, visit.service, visit.window_bits > 0)
        self._opening = visit.opening
        self._id: str | None = None
        self._state_dict: dict[str, Any] | None = None
        self._connected_at_s = time.time()
        self.path = visit.path
        self.params = visit.params
        self.auth = visit.auth
        self.subprotocol = visit.subprotocol
        self.window_bits = visit.window_bits
        self.rooms: dict[str, Any] | None = None  # the engine's: room → group

    def __repr__(self) -> str:
        return f"<Connection {self.id} on {self.path}{' closed' if self.closed else ''}>"

    # -- who it is

    @property
    def id(self) -> str:
        """128 random bits as 32 hexadecimal digits; the same for as long as the connection
        lives.
        """
        if (
            self._id is None
        ):  # made when first asked for: most connections of a large room never are
            self._id = secrets.token_hex(16)
        return self._id

    @property
    def route(self) -> str:
        """The route's path as it was registered: "/ws/chat/{room}"."""
        path: str = self._service.path
        return path

    @property
    def query(self) -> ImmutableMultiDict[str, str]:
        """The fields of the query the client connected with; `query["token"]`,
        `query.get("token")`.
        """
        return self._opening.query

    @property
    def headers(self) -> EnvironHeaders:
        """The header fields of the handshake; names in any letter case."""
        return self._opening.headers

    @property
    def cookies(self) -> Mapping[str, str]:
        """The cookies of the handshake."""
        return self._opening.cookies

    def environ(self) -> dict[str, Any]:
        """Make a fresh WSGI environ of the handshake, as a framework expects one: a GET without a
        body.
        """
        return self._opening.wsgi_environ()

    @property
    def ip(self) -> str:
        """The client's address, as seen through trusted proxies; "" on a UNIX socket."""
        return self._opening.ip

    @property
    def state(self) -> dict[str, Any]:
        """A dictionary for the app's own use; it ends with the connection."""
        if self._state_dict is None:
            self._state_dict = {}
        return self._state_dict

    @property
    def limits(self) -> Config:
        """The settings of this connection's route."""
        limits: Config = self._limits
        return limits

    @property
    def connected_at(self) -> datetime:
        """When the handshake was done, in UTC."""
        return datetime.fromtimestamp(self._connected_at_s, timezone.utc)

    @property
    def close_code(self) -> int | None:
        """The close code of whoever closed first; 1006 if the line just broke, None while it is
        open.
        """
        return self._close_code

    @property
    def close_reason(self) -> str:
        """The text that came with `close_code`; often ""."""
        return self._close_reason

    # -- what it can do

    def send(self, message: Message) -> None:
        """Send one message to this client: str as text, bytes as binary, a list or dict as JSON.

        Waits while more than `max_outbound_bytes` are queued for a client that reads slowly; other
        greenlets run meanwhile.

        Raises:
            ConnectionClosed: it is over, or ended while this waited.
            UsageError: the message is none of these.
            TypeError: something in a list or dict has no form in JSON.
        """
        frame = self._frame_of(message)
        if self.window_bits:
            frame = compress_frame(frame, self.window_bits, self._limits.deflate_threshold_bytes)
        host = self._host
        if _get_ident() != host.thread_ident:
            self._check_process()
            if host.mailbox.call(self._send_frame, frame):
                host.mailbox.call_waiting(self._wait_for_room)
        elif self._state != _OPEN:
            raise self._closed_error()
        else:
            transport = self._transport
            transport.sent_messages += 1
            if transport.write(frame) > transport.most_bytes:
                self._wait_for_room()

    def send_json(self, data: object) -> None:
        """Send `data` as a JSON text.

        Types that JSON doesn't know go through the JSON encoder of the framework that the app is
        wrapped with, such as Flask's `app.json`.

        Raises:
            TypeError: something in it has no form in JSON.
            ValueError: NaN, an infinity, half a surrogate pair, or a list or dict that holds
                itself.
            ConnectionClosed: as `send`.
        """
        self.send(self._service.encode_json(data))

    @staticmethod
    def json(data: str | bytes) -> Any:  # Any: whatever the JSON holds
        """Read a message as JSON.

        Raises:
            MessageError: it isn't; the text says where. Left alone it is logged in one line, and
                the connection stays.
        """
        try:
            return jsontext.decode(data)
        except ValueError as exc:
            raise MessageError(f"not JSON: {exc}") from exc

    def broadcast(self, message: Message, exclude_self: bool = False) -> None:
        """Send one message to everybody on this path, this client included; never waits.

        Works after the end too: in "close" it reaches those who stay.
        """
        self._host.broadcast(
            self.path, self._frame_of(message), self._transport if exclude_self else None
        )

    def broadcast_to(self, path: str, message: Message) -> None:
        """Send one message to everybody on another path."""
        self._host.broadcast(normal_path(check_path(path)), self._frame_of(message))

    def join(self, room: str) -> None:
        """Enter a named room; rooms span paths, and are left by themselves at the end.

        Raises:
            ConnectionClosed: it is over.
            UsageError: the text can't name a room; see `tina4_wsgi.routing.names`.
        """
        check_name(room, "room")
        self._check_process()
        host = self._host
        if _get_ident() == host.thread_ident:
            self._join(room)
        else:
            host.mailbox.call_waiting(self._join, room)

    def leave(self, room: str) -> None:
        """Leave a named room; harmless if it wasn't in."""
        self._here(self._host.leave, self, check_name(room, "room"))

    def broadcast_to_room(self, room: str, message: Message, exclude_self: bool = False) -> None:
        """Send one message to everybody in a named room, whether this client is in or not; never
        waits.
        """
        exclude = self._transport if exclude_self else None
        self._host.broadcast_to_room(check_name(room, "room"), self._frame_of(message), exclude)

    def members(self) -> list[Any]:  # Any: a Member, from a higher row
        """Say who is on this path, in all processes, in the order of joining; waits for their
        answers.

        Each has `id`, `auth`, `state` (what `presence_fields` names) and `joined_at`; see
        `App.members`.
        """
        self._check_process()
        return self._host.members(self.path)

    def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Say goodbye: what was sent before still leaves, nothing can be sent after; "close" runs
        soon.

        Messages that the client sent and that were not handled yet are dropped. Closing twice is
        harmless.

        Args:
            code: 1000-1003, 1007-1014 or 3000-4999.
            reason: for the client; cut to 123 bytes of UTF-8.
        Raises:
            UsageError: the code may not travel.
        """
        close_payload(
            code, reason
        )  # a bad code is the caller's fault, also when it is closed already
        self._here(self._begin_close, code, reason)

    def refresh_auth(self) -> bool:
        """Ask the route's `auth` again who this is, by the cookies and fields of the handshake; may
        wait.

        What it gives becomes `auth`. If it refuses, the connection is closed with 4401, or 4403
        where it answers 403. If it fails (500 and above), everything stays as it was; with
        `reauth_every`, not for longer than three times that, at least 5 seconds.

        Returns:
            Whether the client may stay.
        """
        self._check_process()
        with self._host.inquiries.begin(self.path) as inquiry:
            try:
                auth = self._service.authenticate(self.environ(), self.params)
            except Refused as refusal:
                if refusal.status >= 500:
                    return (
                        True  # logged already; a database that hiccups must not send everybody away
                    )
                code = CloseCode.FORBIDDEN if refusal.status == 403 else CloseCode.UNAUTHENTICATED
                self.close(code, refusal.message)
                return False
            farewell = inquiry.farewell_to(auth)
            if farewell is None:
                self.auth = auth
        if farewell is not None:  # a log-out came while the answer of before it was under way
            self.close(farewell.code, farewell.reason)
            return False
        self._auth_ends_s = time.monotonic() + self._auth_lasts_s
        return True

    # -- how it does it

    def _frame_of(self, message: Message) -> bytes:
        if message.__class__ is str:  # nearly always
            return encode_message(message)
        return encode_message(jsontext.as_message(message, self._service.encode_json))

    def _here(self, function: Any, *args: Any) -> None:
        """Call `function`, which doesn't wait, in the thread of the hub."""
        self._check_process()
        host = self._host
        if _get_ident() == host.thread_ident:
            function(*args)
        else:
            host.mailbox.call(function, *args)

    def _send_frame(self, frame: bytes) -> bool:
        """Send for a native thread; returns whether that thread has to wait for room now."""
        if self._state != _OPEN:
            raise self._closed_error()
        transport = self._transport
        transport.sent_messages += 1
        return transport.write(frame) > transport.most_bytes

    def _wait_for_room(self) -> None:
        transport, most = self._transport, self._transport.most_bytes
        transport.flush()  # much may be queued only because this turn hasn't ended
        while transport.queued_bytes > most and self._state == _OPEN:
            transport.wait_for_room()
            # Another greenlet may have queued more, and gone on before this one did.
            transport.flush()
        if self._state != _OPEN:
            raise self._closed_error()

    def _join(self, room: str) -> None:
        if self._state != _OPEN:
            raise self._closed_error()
        self._host.join(self, room)

    def _check_process(self) -> None:
        """See that this is no forked child: its parent's hub, which other threads would wait for,
        is not here.
        """
        if self._state == _FORSAKEN:
            raise self._closed_error()

    def _closed_error(self) -> ConnectionClosed | ForkError:
        if self._state == _FORSAKEN:
            return self._host.fork_error("and this one is its parent's")
        code = CloseCode.ABNORMAL if self._close_code is None else self._close_code
        return ConnectionClosed(code, self._close_reason, self._was_clean)

    def _recheck(self) -> None:
        if self._state != _OPEN or self._is_rechecking:
            return
        self._is_rechecking = True
        limit_s = max(self._limits.reauth_every, self._auth_lasts_s / 3)
        limit = Timeout.start_new(limit_s)
        try:
            self.refresh_auth()
        except BaseException as exc:  # noqa: BLE001  # as for callbacks, the connection and the worker live on
            if exc is limit:
                self._log(
                    logging.ERROR,
                    "auth of %s has not answered within %.1f s, connection %s",
                    self.route,
                    limit_s,
                    self.id,
                )
            else:
                self._callback_failed("auth", exc)
        finally:
            limit.close()
            self._is_rechecking = False

    def _log_open(self) -> None:
        if logger.isEnabledFor(logging.INFO):
            self._log(
                logging.INFO,
                "open %s %.200r from %s",
                self.id,
                self.path,
                self.ip or "a local socket",
            )

    def _log_close(self, ending: Ending) -> None:
        if ending.fault:
            self._log(
                logging.WARNING,
                "failed %s %.200r from %s: %d %s",
                self.id,
                self.path,
                self.ip,
                ending.code,
                ending.fault,
            )
        if logger.isEnabledFor(logging.INFO):
            seconds = time.time() - self._connected_at_s
            self._log(
                logging.INFO,
                "close %s %.200r %d after %.1f s, %d messages",
                self.id,
                self.path,
                ending.code,
                seconds,
                self._message_count,
            )
