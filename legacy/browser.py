"""A browser as far as the dialogues need one: cookies, forms, and every byte that came."""

from __future__ import annotations

import http.client
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from functools import partial
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

from tests.support.raw import RawClient

HOST = "localhost:8000"
"""What every request names, so that no port of a run gets into a body."""

ORIGIN = f"http://{HOST}"

ANSWER_S = 60.0
"""The first request of a worker may load the whole of an application."""


@dataclass(frozen=True)
class Answer:
    """One answer.

    Attributes:
        asked: method and path, by which a difference is reported.
        raw: every byte of it, chunk sizes too.
        status: its code.
        headers: the names in lower case; of those that come twice, the last.
        text: the body, without its chunks.
    """

    asked: str
    raw: bytes
    status: int
    headers: Mapping[str, str]
    text: str

    def must_be(self, status: int) -> Answer:
        """Check the status, and return the answer.

        Raises:
            AssertionError: it is another.
        """
        assert self.status == status, (
            f"{self.asked} was answered {self.status}, expected {status}: {self.text[:1_000]}"
        )
        return self

    def field(self, name: str) -> str:
        """Return the value of the first `input` of this name in the page.

        Raises:
            AssertionError: the page has none.
        """
        inputs = self.inputs()
        assert name in inputs, f"{self.asked} has no input {name!r}: {self.text[:500]}"
        return inputs[name]

    def inputs(self) -> dict[str, str]:
        """Return names and values of all `input` elements of the page; of one name, the first."""
        found: dict[str, str] = {}
        for element in re.findall(r"<input\b[^>]*>", self.text):
            attributes = dict(re.findall(r"""\b(name|value|type)=["']([^"']*)""", element))
            if "name" in attributes and attributes.get("type") not in ("checkbox", "radio", "file"):
                found.setdefault(attributes["name"], attributes.get("value", ""))
        return found


class Browser:
    """Speaks to one server, and remembers cookies and answers.

    Attributes:
        answers: all so far.
        fields: sent with every request, such as Authorization.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.answers: list[Answer] = []
        self.fields: dict[str, str] = {}
        self._cookies: dict[str, str] = {}

    @property
    def credentials(self) -> list[tuple[str, str]]:
        """The header fields with which this browser opens a WebSocket from a page of the site."""
        return [*self._sent().items(), ("Host", HOST), ("Origin", ORIGIN)]

    def get(self, path: str, **fields: str) -> Answer:
        """Send a GET; `If_None_Match="…"` is a header field."""
        return self.send(
            "GET", path, fields={name.replace("_", "-"): fields[name] for name in fields}
        )

    def post(self, path: str, form: Mapping[str, str], **fields: str) -> Answer:
        """Send a form, as a page of the site does."""
        named = {name.replace("_", "-"): fields[name] for name in fields}
        kind = {"Content-Type": "application/x-www-form-urlencoded", "Origin": ORIGIN, **named}
        return self.send("POST", path, urlencode(form).encode(), kind)

    def send(
        self, method: str, path: str, body: bytes = b"", fields: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request on a connection of its own, and follow no redirect."""
        named = {"Host": HOST, "Connection": "close", **self._sent(), **(fields or {})}
        if body or method in ("POST", "PUT", "PATCH"):
            named["Content-Length"] = str(len(body))
        head = [f"{method} {path} HTTP/1.1", *(f"{name}: {named[name]}" for name in named), "", ""]

        with RawClient.dial(self.address, ANSWER_S) as client:
            client.send_bytes("\r\n".join(head).encode() + body)
            raw = client.read_to_end()
        answer = self._understood(method, path, raw)
        self.answers.append(answer)
        return answer

    def _sent(self) -> dict[str, str]:
        cookies = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        return {**self.fields, **({"Cookie": cookies} if cookies else {})}

    def _understood(self, method: str, path: str, raw: bytes) -> Answer:
        asked = f"{method} {path}"
        response = http.client.HTTPResponse(_Received(raw), method=method)  # type: ignore[arg-type]  # a socket's `makefile` is all it uses
        try:
            response.begin()
            body = response.read()
        except http.client.HTTPException as exc:
            raise AssertionError(f"{asked} was answered {raw[:500]!r}") from exc
        for name, value in response.getheaders():
            if name.lower() == "set-cookie":
                self._keep(value)
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(asked, raw, response.status, headers, body.decode(errors="replace"))

    def _keep(self, set_cookie: str) -> None:
        for name, morsel in SimpleCookie(set_cookie).items():
            if not morsel.value or morsel["max-age"] == "0" or _is_over(morsel["expires"]):
                self._cookies.pop(name, None)
            else:
                self._cookies[name] = morsel.coded_value


def _is_over(expires: str) -> bool:
    return bool(expires) and parsedate_to_datetime(expires) <= datetime.now(timezone.utc)


class _Received:
    """Bytes in the place of a socket."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def makefile(self, *how: Any) -> io.BytesIO:  # Any: as a socket has it
        """Return them as a file."""
        return io.BytesIO(self._raw)


def differences(
    before: Iterable[Answer], wrapped: Iterable[Answer], volatile: Mapping[str, bytes]
) -> list[str]:
    """Compare two dialogues, byte by byte apart from what `volatile` finds.

    Args:
        volatile: patterns by the name of what they find; of each, its groups are left out.
    Returns:
        A line for each answer that differs.
    """
    pairs = list(zip(before, wrapped, strict=True))
    masked = [(one.asked, mask(one.raw, volatile), mask(two.raw, volatile)) for one, two in pairs]
    return [f"{asked}: {_first(one, two)}" for asked, one, two in masked if one != two]


def mask(raw: bytes, volatile: Mapping[str, bytes]) -> bytes:
    """Put a name in the place of each group that a pattern of `volatile` finds.

    A Content-Length that was right, and the lengths of chunks, are those of the text with the
    names.
    """
    head, end, body = raw.partition(b"\r\n\r\n")
    if _CHUNKED in head.lower():
        masked = b"".join(_chunk(_masked(data, volatile)) for data in _chunks(body))
        return _masked(head, volatile) + end + masked

    masked = _masked(body, volatile)
    length = _LENGTH.search(head)
    if length is not None and int(length[1]) == len(body):
        head = _LENGTH.sub(b"\r\nContent-Length: %d" % len(masked), head, count=1)
    return _masked(head, volatile) + end + masked


_CHUNKED = b"\r\ntransfer-encoding: chunked"
_LENGTH = re.compile(rb"\r\nContent-Length: (\d+)", re.IGNORECASE)


def _chunks(body: bytes) -> Iterator[bytes]:
    """Yield the data of each chunk (RFC 9112 §7.1), and at last what is left behind them."""
    while (size := re.match(rb"([0-9A-Fa-f]+)\r\n", body)) is not None:
        end = size.end() + int(size[1], 16)
        yield body[size.end() : end]
        body = body[end:].removeprefix(b"\r\n")
    yield body


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _masked(text: bytes, volatile: Mapping[str, bytes]) -> bytes:
    for name, pattern in volatile.items():
        text = re.sub(pattern, partial(_named, name), text)
    return text


def _named(name: str, found: re.Match[bytes]) -> bytes:
    text = found[0]
    for group in range(found.re.groups, 0, -1):
        begin, end = (at - found.start() for at in found.span(group))
        if begin >= 0:  # it is part of what was found
            text = text[:begin] + f"<{name}>".encode() + text[end:]
    return text


def _first(one: bytes, two: bytes) -> str:
    """Show where two answers begin to differ; in the bodies if they do, for the length follows."""
    bodies = [raw.partition(b"\r\n\r\n")[2] for raw in (one, two)]
    one, two = bodies if bodies[0] != bodies[1] else (one, two)
    pairs = enumerate(zip(one, two, strict=False))
    at = next((at for at, (a, b) in pairs if a != b), min(len(one), len(two)))
    begin = max(0, at - 60)
    return f"{one[begin : at + 100]!r} was {two[begin : at + 100]!r}"
