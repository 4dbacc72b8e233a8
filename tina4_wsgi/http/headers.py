"""Header fields and status lines, checked before they go into the head of an answer.

Everything that a handler puts into a head passes `field`, so that a value taken from a request
can't begin a header or an answer of its own (RFC 9110 §5.5).
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..protocol.grammar import MOST_ELEMENTS, is_token

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import WSGIEnvironment

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

_MOST_LIST_CHARACTERS = 8_192

HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "trailers",
        "transfer-encoding",
        "upgrade",
    }
)
"""Header fields between two servers; PEP 3333 leaves them to the server alone."""

_OF_REFUSALS = frozenset({"www-authenticate", "retry-after"})

_PASS_UPGRADE_ON = ("gunicorn", "gevent/")  # by SERVER_SOFTWARE; the latter is our own server too

_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_STATUS_LINES = {code: f"{code} {_PHRASES.get(code, 'Unknown')}" for code in range(200, 600)}


def passes_upgrade(environ: WSGIEnvironment) -> bool:
    """Return whether this server lets an application send the field Upgrade.

    RFC 9110 §15.5.22 asks for it with a 426, PEP 3333 keeps it from apps: wsgiref and waitress
    answer 500 for it.
    """
    return str(environ.get("SERVER_SOFTWARE", "")).startswith(_PASS_UPGRADE_ON)


def status_line(code: int) -> str:
    """Return a status as WSGI wants it: "404 Not Found" for 404.

    Raises:
        UsageError: not a final status, 200-599.
    """
    try:
        return _STATUS_LINES[code]
    except (KeyError, TypeError):
        raise UsageError(f"status {code!r}, expected a number from 200 to 599") from None


def phrase(code: int) -> str:
    """Return the words for a status code: "Not Found" for 404."""
    return status_line(code)[4:]


def is_bodiless(code: int) -> bool:
    """Return whether an answer of this status never has a body (RFC 9110 §6.4.1)."""
    return code in (204, 304)


def first_elements(value: str, separator: str = ",") -> list[str]:
    """Split a client's list field; of a far too long one return only the first elements."""
    return value[:_MOST_LIST_CHARACTERS].split(separator, MOST_ELEMENTS)[:MOST_ELEMENTS]


def is_short_list(value: str) -> bool:
    """Return whether a list field is short enough to be worth parsing."""
    return len(value) <= _MOST_LIST_CHARACTERS and value.count(",") < MOST_ELEMENTS


def is_one_line(text: str) -> bool:
    """Return whether a text has no control character but tabs, so that it can't end its line."""
    return _CONTROL.search(text) is None


def field(name: str, value: object) -> tuple[str, str]:
    """Return a header field, checked for the wire.

    Args:
        name: a token.
        value: text of latin-1 without control characters, or anything whose `str()` is.
    Raises:
        UsageError: the field could break the head, or is one that only the server may send.
    """
    if not isinstance(name, str) or not is_token(name):
        raise UsageError(f"header name {name!r}, expected letters, digits and dashes")
    if name.lower() in HOP_BY_HOP:
        raise UsageError(f"header {name!r} belongs to the server, expected an end-to-end header")

    text = value if isinstance(value, str) else str(value)
    if not is_one_line(text):
        raise UsageError(
            f"header {name!r} with a control character in {text!r}, expected one line of text"
        )
    if not text.isascii() and not _is_latin1(text):
        raise UsageError(f"header {name!r} with {text!r}, expected characters of latin-1")
    return name, text


def _is_latin1(text: str) -> bool:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True


def cookie_text(environ: WSGIEnvironment) -> str:
    """Return the Cookie field of a request in a form that Werkzeug's parser takes.

    The parser raises for bytes that aren't UTF-8, which any client may send; they become U+FFFD.
    """
    raw: str = environ.get("HTTP_COOKIE", "")
    return raw.encode("latin-1", "replace").decode(errors="replace").encode().decode("latin-1")


def told(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return the header fields of a refusal that go to the client."""
    return tuple((name, value) for name, value in headers if name.lower() in _OF_REFUSALS)
