"""The connection as callbacks see it."""

from __future__ import annotations

import secrets
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import jsontext
from ..errors import MessageError
from ..protocol.frames import CloseCode, encode_message
from ..routing.names import GroupKind, check_name, check_path
from ..routing.params import Params
from ..routing.paths import normal_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from werkzeug.datastructures import EnvironHeaders, ImmutableMultiDict

    from ..config import Config
    from ..engine.presence import Member
    from ..jsontext import Message
    from ..protocol.marks import Claim
    from .lifecycle import Lifecycle
    from .opening_handshake import OpeningHandshake
    from .served_route import ServedRoute


_PATH, _ROOM = GroupKind.PATH, GroupKind.ROOM


class Accepted(NamedTuple):
    """The outcome of an opening handshake: a client and its route.

    Attributes:
        path: the concrete, normalised path; the name of the connection's group.
        auth: the user that the route's `auth` returned.
        window_bits: the window of permessage-deflate for frames to the client; 0 without it.
        claim: what a client that may have been here said of itself; None for any other.
    """

    service: ServedRoute
    opening: OpeningHandshake
    path: str
    params: Params
    auth: object = None
    subprotocol: str | None = None
    window_bits: int = 0
    claim: Claim | None = None


class Connection:
    """One client on one WebSocket route.

    Greenlets and threads: every method may be called from any greenlet and any native thread.
    Frames of one connection leave in the order of the calls and are never interleaved. `send` waits
    while too many bytes are queued for this client; no other sending method waits.

    Attributes:
        path: the concrete path, such as "/ws/chat/general"; the name of its broadcast group.
        auth: what the route's `auth` returned, None without one.
        subprotocol: the negotiated subprotocol, None without one.
    """

    __slots__ = (
        "__weakref__",
        "_id",
        "_lifecycle",
        "_opening",
        "_params",
        "_state",
        "auth",
        "path",
        "subprotocol",
    )

    def __init__(self, lifecycle: Lifecycle, accepted: Accepted) -> None:
        self._lifecycle = lifecycle
        self._opening = accepted.opening
        self._id: str | None = None
        self._state: dict[str, Any] | None = None
        self.path = accepted.path
        self._params = accepted.params or None
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
            ConnectionClosed: the connection is closed, or ended while `send` waited.
            UsageError: the message has none of these types.
            TypeError: a value in a list or dict has no form in JSON.
        """
        lifecycle = self._lifecycle
        lifecycle.send(_frame_of(message, lifecycle))

    def send_json(self, data: object) -> None:
        """Send `data` as a JSON text.

        Values of types that JSON doesn't have are encoded by the framework that the app is wrapped
        with, such as by Flask's `app.json`.

        Example: `connection.send_json(None)`

        Raises:
            TypeError: a value in `data` has no form in JSON.
            ValueError: `data` holds NaN, an infinity, half a surrogate pair, or a list or dict that
                contains itself.
            ConnectionClosed: as `send`.
        """
        self.send(self._lifecycle.service.encode_json(data))

    @staticmethod
    def json(data: str | bytes) -> Any:  # Any: whatever the JSON holds
        """Decode a message as JSON.

        Example: `order = connection.json(data)`

        Raises:
            MessageError: `data` isn't JSON; the error's text says where. If the callback doesn't
                catch it, one line is logged and the connection stays open.
        """
        try:
            return jsontext.decode(data)
        except ValueError as exc:
            raise MessageError(f"not JSON: {exc}") from exc

    def broadcast(
        self,
        message: Message,
        exclude_self: bool = False,
        *,
        keep: bool = True,
        once: str | None = None,
    ) -> None:
        """Send one message to all clients on this path, this one included; never waits.

        Also works after the end: in "close" the message reaches the clients that stay.

        Example: `connection.broadcast(f"{connection.id} left", exclude_self=True)`

        Args:
            keep: False for what isn't worth keeping where the path keeps history, such as that
                somebody types.
            once: a key, where the path keeps history: what was said under it isn't said again.
        """
        lifecycle = self._lifecycle
        exclude = lifecycle.transport if exclude_self else None
        frame = _frame_of(message, lifecycle)
        fanout = lifecycle.owner.fanout
        fanout.broadcast(_PATH, self.path, frame, exclude, lifecycle, keep, once)

    def broadcast_to(
        self, path: str, message: Message, *, keep: bool = True, once: str | None = None
    ) -> None:
        """Send one message to all clients on another path; never waits.

        Example: `connection.broadcast_to("/ws/dashboard", {"orders": 7})`

        Args:
            keep, once: as for `broadcast`.
        Raises:
            UsageError: `path` can't be a path.
        """
        lifecycle = self._lifecycle
        name = normal_path(check_path(path))
        frame = _frame_of(message, lifecycle)
        lifecycle.owner.fanout.broadcast(_PATH, name, frame, None, lifecycle, keep, once)

    # -- rooms

    def join(self, room: str) -> None:
        """Join a named room; rooms span paths, and a closed connection leaves its rooms by itself.

        Example: `connection.join("admins")`

        Raises:
            ConnectionClosed: the connection is closed.
            UsageError: `room` can't be a room's name; see `tina4_wsgi.routing.names`.
        """
        self._lifecycle.join(check_name(room, "room"))

    def leave(self, room: str) -> None:
        """Leave a named room; harmless if this client isn't in it.

        Example: `connection.leave("admins")`
        """
        self._lifecycle.leave(check_name(room, "room"))

    def broadcast_to_room(
        self,
        room: str,
        message: Message,
        exclude_self: bool = False,
        *,
        keep: bool = True,
        once: str | None = None,
    ) -> None:
        """Send one message to all clients in a named room; never waits.

        This client need not be a member.

        Example: `connection.broadcast_to_room("admins", "somebody needs help")`

        Args:
            keep, once: as for `broadcast`, where `Router.room` keeps history.
        """
        check_name(room, "room")
        lifecycle = self._lifecycle
        exclude = lifecycle.transport if exclude_self else None
        frame = _frame_of(message, lifecycle)
        lifecycle.owner.fanout.broadcast(_ROOM, room, frame, exclude, lifecycle, keep, once)

    @property
    def rooms(self) -> list[str]:
        """The rooms that this client is in, in order of joining.

        Example: `if "admins" in connection.rooms: ...`
        """
        return list(self._lifecycle.rooms or ())

    def members(self) -> list[Member]:
        """Return the members of this path, in all processes, in order of joining.

        Waits for the answers of other processes. Each member has `id`, `auth`, `state` (the fields
        that `presence_fields` names) and `joined_at`; see `App.members`.

        Example: `names = [member.auth for member in connection.members()]`
        """
        lifecycle = self._lifecycle
        lifecycle.check_process()
        return lifecycle.owner.fanout.members(self.path)

    # -- what was said before

    @property
    def resumed(self) -> bool | None:
        """Whether a client that came back has all that it missed; None for a newcomer.

        False means that something is not there any more: send it the present state. Known from
        "open" on, where the route keeps history and the client is `tina4.connect`.

        Example: `if not connection.resumed: connection.send_json(snapshot())`
        """
        return self._lifecycle.resumed

    @property
    def position(self) -> str:
        """Where this client is in all that was kept, for `since` of a page; "" without history.

        Example: `"k3x9Qz1a.0-42"`
        """
        keeper = self._lifecycle.owner.keeper
        return "" if keeper is None else keeper.position

    # -- the end

    def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Close after all that was sent; no more can be sent, and "close" runs soon.

        Messages from the client that have not been handled yet are dropped. Closing twice is
        harmless.

        Example: `connection.close(4000, "the game is over")`

        Args:
            code: 1000-1003, 1007-1014 or 3000-4999.
            reason: a text for the client; cut to 123 bytes of UTF-8.
        Raises:
            UsageError: a close frame may not carry this code.
        """
        self._lifecycle.close(code, reason)

    # -- the client and its handshake

    @property
    def id(self) -> str:
        """128 random bits as 32 hexadecimal digits; the same until the connection ends.

        Example: `players[connection.id] = connection`
        """
        # Created on first use: most connections of a large room never need it.
        if self._id is None:
            self._id = secrets.token_hex(16)
        return self._id

    @property
    def params(self) -> Params:
        """The parameters of the path, by key or by attribute.

        Example: `room = connection.params["room"]`, or `connection.params.room`
        """
        if self._params is None:
            self._params = Params()  # created on first use: many paths have none
        return self._params

    @property
    def ip(self) -> str:
        """The client's address, as seen through trusted proxies; "" on a UNIX socket.

        Example: `"203.0.113.7"`
        """
        return self._opening.ip

    @property
    def headers(self) -> EnvironHeaders:
        """The header fields of the opening handshake; names in any letter case.

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
        """The cookies of the opening handshake.

        Example: `connection.cookies.get("session")`
        """
        return self._opening.cookies

    def environ(self) -> dict[str, Any]:  # Any: what WSGI puts in
        """Return a new WSGI environ of the handshake: a GET without a body, for a framework.

        Example: `request = werkzeug.Request(connection.environ())`
        """
        return self._opening.wsgi_environ()

    def refresh_auth(self) -> bool:
        """Call the route's `auth` again, with the opening handshake's cookies and header fields.

        May wait. The result becomes the connection's `auth`. If the route's `auth` refuses, the
        connection is closed with 4401, or with 4403 where it answers 403. If it fails (500 and
        above), nothing changes; with `reauth_every`, for at most three times that interval, but at
        least 5 seconds.

        Example: `if not connection.refresh_auth(): return`

        Returns:
            Whether the client may stay.
        """
        return self._lifecycle.refresh_auth(self)

    @property
    def route(self) -> str:
        """The path of the route, as registered.

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
        """The window bits of permessage-deflate for frames to the client; 0 without compression.

        Example: `15`
        """
        return self._lifecycle.window_bits

    @property
    def connected_at(self) -> datetime:
        """When the opening handshake was done, in UTC.

        Example: `datetime.now(timezone.utc) - connection.connected_at`
        """
        return datetime.fromtimestamp(self._lifecycle.connected_at_s, timezone.utc)

    # -- the connection's state

    @property
    def state(self) -> dict[str, Any]:  # Any: the app's own
        """A dictionary for the app's own use; it lasts as long as the connection.

        Example: `connection.state["nickname"] = "Ada"`
        """
        if self._state is None:
            self._state = {}
        return self._state

    @property
    def closed(self) -> bool:
        """Whether the connection can no longer send.

        Example: `if not connection.closed: connection.send("still there?")`
        """
        return self._lifecycle.closed

    @property
    def close_code(self) -> int | None:
        """The code of the side that closed first; 1006 if the connection broke, None while open.

        Example: `1001` when a browser leaves the page
        """
        return self._lifecycle.close_code

    @property
    def close_reason(self) -> str:
        """The reason that came with `close_code`; often "".

        Example: `"going away; retry in 700 ms"`
        """
        return self._lifecycle.close_reason


def lifecycle_of(connection: Connection) -> Lifecycle:
    """Return the lifecycle of a connection, for the parts of this package that watch it."""
    return connection._lifecycle


def _frame_of(message: Message, lifecycle: Lifecycle) -> bytes:
    if type(message) is str:  # nearly always
        return encode_message(message)
    return encode_message(jsontext.as_message(message, lifecycle.service.encode_json))
