"""What must hold for any bytes at all; shared by `tests/protocol/test_fuzz.py` and
`scripts/fuzz.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from tests.support.splits import Heard, cut_at, hear, single_bytes
from tina4_wsgi.config import Config
from tina4_wsgi.errors import Refused
from tina4_wsgi.protocol import deflate, handshake
from tina4_wsgi.protocol.frames import close_payload, may_travel
from tina4_wsgi.protocol.session import Session

FAULTS = frozenset((1002, 1007, 1008, 1009))
REFUSALS = frozenset((400, 403, 405, 426))

HEADERS = (
    "SERVER_PROTOCOL",
    "CONTENT_LENGTH",
    "HTTP_TRANSFER_ENCODING",
    "HTTP_HOST",
    "HTTP_UPGRADE",
    "HTTP_CONNECTION",
    "HTTP_SEC_WEBSOCKET_KEY",
    "HTTP_SEC_WEBSOCKET_VERSION",
    "HTTP_SEC_WEBSOCKET_PROTOCOL",
    "HTTP_SEC_WEBSOCKET_EXTENSIONS",
    "HTTP_ORIGIN",
)
"""What a handshake is made of, as a WSGI server names it."""


def check_stream(
    data: bytes, places: Iterable[int], may_compress: bool = False, **limits: Any
) -> Heard:
    """Any bytes are heard or fail with a close code, and the same in any parts; other exceptions
    get out.

    Args:
        places: where to cut, see `cut_at`.
        limits: settings that differ from the defaults.
    """
    heard = hear([data], may_compress=may_compress, **limits)
    for parts in (cut_at(data, places), single_bytes(data)):
        again = hear(parts, may_compress=may_compress, **limits)
        if may_compress and heard.fault is not None:
            # zlib, where it fails, withholds what it inflated in the same call, so bad UTF-8 and
            # bad DEFLATE in one message may be told in one order or the other.
            assert again.fault_code == heard.fault_code
            again = replace(again, fault=heard.fault)
        assert again == heard
    if heard.fault is not None:
        code, reason = heard.fault
        assert code in FAULTS
        assert close_payload(code, reason)[2:].decode() == reason  # whole, it was not cut
    if heard.peer_close is not None:
        assert may_travel(heard.peer_close[0]) or heard.peer_close == (1005, "")
    most = limits.get("max_message_bytes", Config().max_message_bytes)
    for message in heard.messages:
        assert len(message.encode() if isinstance(message, str) else message) <= most
    for pong in heard.pongs:
        assert pong[0] == 0x8A
        assert len(pong) == 2 + pong[1] <= 127
    return heard


def check_stops(data: bytes, places: Iterable[int], limit: int, may_compress: bool = False) -> None:
    """Stopping at the inbound limit and going on loses nothing and changes nothing."""
    whole = hear([data], may_compress=may_compress)
    if whole.fault is not None:
        return  # the fault comes later then; that is checked elsewhere
    session = Session(Config(max_inbound_messages=limit), may_compress)
    messages: list[str | bytes] = []
    for part in [*cut_at(data, places), *[b""] * len(whole.messages)]:
        batch: list[str | bytes] = []
        session.feed(part, batch)
        assert len(batch) <= limit
        messages += batch
    assert messages == whole.messages
    assert session.peer_close == whole.peer_close


def check_handshake(environ: dict[str, Any]) -> None:
    """Any header values are accepted or refused with a status; other exceptions get out."""
    host = environ.get("HTTP_HOST", "")
    handshake.wants_websocket(environ)
    for attempt in (
        lambda: handshake.check(environ),
        lambda: handshake.check_origin(environ.get("HTTP_ORIGIN"), host, ("https://app.example",)),
        lambda: handshake.choose_subprotocol(
            environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL"), ("chat", "v1")
        ),
        lambda: deflate.negotiate(
            deflate.parse_offers(environ.get("HTTP_SEC_WEBSOCKET_EXTENSIONS", ""))
        ),
    ):
        refused = _refusal_of(attempt)
        if refused is not None:
            assert refused.status in REFUSALS
            assert "\n" not in refused.message + refused.detail


def _refusal_of(attempt: Callable[[], object]) -> Refused | None:
    try:
        attempt()
    except Refused as refused:
        return refused
    return None
