"""The object that callbacks hold."""

from __future__ import annotations

import secrets
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import jsontext
from ..errors import MessageError
from ..protocol.frames import CloseCode, encode_message
from ..routing.names import GroupKind, check_name, check_path
from ..routing.paths import normal_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from werkzeug.datastructures import EnvironHeaders, ImmutableMultiDict

    from ..config import Config
    from ..engine.presence import Member
    from ..jsontext import Message
    from ..routing.params import Params
    from .lifecycle import Lifecycle
    from .opening_handshake import OpeningHandshake
    from .served_route import ServedRoute


_PATH, _ROOM = GroupKind.PATH, GroupKind.ROOM


class Accepted(NamedTuple):
    """Who comes, and to which route: the outcome of a handshake.

    Attributes:
        path: concrete and normalised; the name of the connection's group.
        auth: what the route's `auth` gave.
        window_bits: of permessage-deflate for what we send; 0 without it.
    """

    service: ServedRoute
    opening: OpeningHandshake
    path: str
    params: Params
    auth: object = None
    subprotocol: str | None = None
    window_bits: int = 0


class Connection:
    """One client on one WebSocket route.

    Greenlets and threads: every method may be called from any greenlet and any native thread.
    Frames of one connection leave in the order of the calls and are never interleaved. `send` waits
    while too much is queued for this client; nothing else waits.

    Attributes:
        path: the concrete path, as in "/ws/chat/general"; the name of its broadcast group.
        params: the parameters of the path, by item and by attribute: `params["room"]`,
            `params.room`.
        auth: what the route's `auth` returned, None without one.
        subprotocol: the one that was agreed on, None if none was.
    """

    __slots__ = (
        "__weakref__",
        "_id",
        "_lifecycle",
        "_opening",
        "_state",
        "auth",
        "params",
        "path",
        "subprotocol",
    )

    def __init__(self, lifecycle: Lifecycle, accepted: Accepted) -> None:
        self._lifecycle = lifecycle
        self._opening = accepted.opening
        self._id: str | None = None
        self._state: dict[str, Any] | None = None
        self.path = accepted.path
        self.params = accepted.params
        self.auth = accepted.auth
        self.subprotocol = accepted.subprotocol

    def __repr__(self) -> str:
        return f"<Connection {self.id} on {self.path}{' closed' if self.closed else ''}>"

    # -- messages

    def send(self, message: Message) -> None:
        """Send one message to this client: str as text, bytes as binary, a list or dict as JSON.

        Waits while more than `max_outbound_bytes` are queued for a client that reads slowly; other
        greenlets run meanwhile.

        Example: `connection.send({"type": "welcome", "id": connection.id})`

        Raises:
            ConnectionClosed: it is over, or ended while this waited.
            UsageError: the message is none of these.
            TypeError: something in a list or dict has no form in JSON.
        """
        lifecycle = self._lifecycle
        lifecycle.send(_frame_of(message, lifecycle))

    def send_json(self, data: object) -> None:
        """Send `data` as a JSON text.

        Types that JSON doesn't know go through the JSON encoder of the framework that the app is
        wrapped with, such as Flask's `app.json`.

        Example: `connection.send_json(None)`

        Raises:
            TypeError: something in it has no form in JSON.
            ValueError: NaN, an infinity, half a surrogate pair, or a list or dict that holds
                itself.
            ConnectionClosed: as `send`.
        """
        self.send(self._lifecycle.service.encode_json(data))

    @staticmethod
    def json(data: str | bytes) -> Any:  # Any: whatever the JSON holds
        """Read a message as JSON.

        Example: `order = connection.json(data)`

        Raises:
            MessageError: it isn't JSON; the text says where. If the callback doesn't catch it, one
                line is logged and the connection stays open.
        """
        try:
            return jsontext.decode(data)
        except ValueError as exc:
            raise MessageError(f"not JSON: {exc}") from exc

    def broadcast(self, message: Message, exclude_self: bool = False) -> None:
        """Send one message to everybody on this path, this client included; never waits.

        Works after the end too: in "close" it reaches those who stay.

        Example: `connection.broadcast(f"{connection.id} left", exclude_self=True)`
        """
        lifecycle = self._lifecycle
        exclude = lifecycle.transport if exclude_self else None
        frame = _frame_of(message, lifecycle)
        lifecycle.owner.fanout.broadcast(_PATH, self.path, frame, exclude)

    def broadcast_to(self, path: str, message: Message) -> None:
        """Send one message to everybody on another path; never waits.

        Example: `connection.broadcast_to("/ws/dashboard", {"orders": 7})`

        Raises:
            UsageError: the text can't be a path.
        """
        lifecycle = self._lifecycle
        name = normal_path(check_path(path))
        lifecycle.owner.fanout.broadcast(_PATH, name, _frame_of(message, lifecycle))

    # -- rooms

    def join(self, room: str) -> None:
        """Enter a named room; rooms span paths, and are left by themselves at the end.

        Example: `connection.join("admins")`

        Raises:
            ConnectionClosed: it is over.
            UsageError: the text can't name a room; see `tina4_wsgi.routing.names`.
        """
        self._lifecycle.join(check_name(room, "room"))

    def leave(self, room: str) -> None:
        """Leave a named room; harmless if it wasn't in.

        Example: `connection.leave("admins")`
        """
        self._lifecycle.leave(check_name(room, "room"))

    def broadcast_to_room(self, room: str, message: Message, exclude_self: bool = False) -> None:
        """Send one message to everybody in a named room, member or not; never waits.

        Example: `connection.broadcast_to_room("admins", "somebody needs help")`
        """
        check_name(room, "room")
        lifecycle = self._lifecycle
        exclude = lifecycle.transport if exclude_self else None
        frame = _frame_of(message, lifecycle)
        lifecycle.owner.fanout.broadcast(_ROOM, room, frame, exclude)

    @property
    def rooms(self) -> list[str]:
        """The rooms that this client is in, in the order of joining.

        Example: `if "admins" in connection.rooms: ...`
        """
        return list(self._lifecycle.rooms or ())

    def members(self) -> list[Member]:
        """Return who is on this path, in all processes, in the order of joining.

        Waits for the answers of other processes. Each member has `id`, `auth`, `state` (what
        `presence_fields` names) and `joined_at`; see `App.members`.

        Example: `names = [member.auth for member in connection.members()]`
        """
        lifecycle = self._lifecycle
        lifecycle.check_process()
        return lifecycle.owner.fanout.members(self.path)

    # -- the end

    def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Close behind what was sent before; nothing can be sent after, and "close" runs soon.

        Messages that the client sent and that were not handled yet are dropped. Closing twice is
        harmless.

        Example: `connection.close(4000, "the game is over")`

        Args:
            code: 1000-1003, 1007-1014 or 3000-4999.
            reason: for the client; cut to 123 bytes of UTF-8.
        Raises:
            UsageError: the code may not travel.
        """
        self._lifecycle.close(code, reason)

    # -- who it is

    @property
    def id(self) -> str:
        """128 random bits as 32 hexadecimal digits; the same until the connection ends.

        Example: `players[connection.id] = connection`
        """
        # Made when first asked for: most connections of a large room are never asked.
        if self._id is None:
            self._id = secrets.token_hex(16)
        return self._id

    @property
    def ip(self) -> str:
        """The client's address, as seen through trusted proxies; "" on a UNIX socket.

        Example: `"203.0.113.7"`
        """
        return self._opening.ip

    @property
    def headers(self) -> EnvironHeaders:
        """The header fields of the handshake; names in any letter case.

        Example: `connection.headers.get("User-Agent")`
        """
        return self._opening.headers

    @property
    def query(self) -> ImmutableMultiDict[str, str]:
        """The fields of the query that the client connected with.

        Example: `connection.query.get("token")`
        """
        return self._opening.query

    @property
    def cookies(self) -> Mapping[str, str]:
        """The cookies of the handshake.

        Example: `connection.cookies.get("session")`
        """
        return self._opening.cookies

    def environ(self) -> dict[str, Any]:  # Any: what WSGI puts in
        """Make a fresh WSGI environ of the handshake: a GET without a body, for a framework.

        Example: `request = werkzeug.Request(connection.environ())`
        """
        return self._opening.wsgi_environ()

    def refresh_auth(self) -> bool:
        """Ask the route's `auth` again who this is, by the handshake's cookies and fields.

        May wait. What it returns becomes `auth`. If it refuses, the connection is closed with 4401,
        or 4403 where it answers 403. If it fails (500 and above), everything stays as it was; with
        `reauth_every`, not for longer than three times that, at least 5 seconds.

        Example: `if not connection.refresh_auth(): return`

        Returns:
            Whether the client may stay.
        """
        return self._lifecycle.refresh_auth()

    @property
    def route(self) -> str:
        """The route's path as it was registered.

        Example: `"/ws/chat/{room}"`
        """
        return self._lifecycle.service.path

    @property
    def limits(self) -> Config:
        """The settings of this connection's route.

        Example: `connection.limits.max_message_bytes`
        """
        return self._lifecycle.service.limits

    @property
    def window_bits(self) -> int:
        """The window of permessage-deflate for what we send; 0 without compression.

        Example: `15`
        """
        return self._lifecycle.window_bits

    @property
    def connected_at(self) -> datetime:
        """When the handshake was done, in UTC.

        Example: `datetime.now(timezone.utc) - connection.connected_at`
        """
        return datetime.fromtimestamp(self._lifecycle.connected_at_s, timezone.utc)

    # -- its state

    @property
    def state(self) -> dict[str, Any]:  # Any: the app's own
        """A dictionary for the app's own use; it ends with the connection.

        Example: `connection.state["nickname"] = "Ada"`
        """
        if self._state is None:
            self._state = {}
        return self._state

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more.

        Example: `if not connection.closed: connection.send("still there?")`
        """
        return self._lifecycle.closed

    @property
    def close_code(self) -> int | None:
        """The code of whoever closed first; 1006 if the line just broke, None while it is open.

        Example: `1001` when a browser leaves the page
        """
        return self._lifecycle.close_code

    @property
    def close_reason(self) -> str:
        """The text that came with `close_code`; often "".

        Example: `"going away; retry in 700 ms"`
        """
        return self._lifecycle.close_reason


def lifecycle_of(connection: Connection) -> Lifecycle:
    """Return the engine's side of a connection, for the parts of this package that watch it."""
    return connection._lifecycle


def _frame_of(message: Message, lifecycle: Lifecycle) -> bytes:
    if message.__class__ is str:  # nearly always
        return encode_message(message)
    return encode_message(jsontext.as_message(message, lifecycle.service.encode_json))
