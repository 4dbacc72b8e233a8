"""A browser as far as the dialogues need one: cookies, forms, and every byte that came."""

from __future__ import annotations

import http.client
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

from tests.support.raw import RawClient

HOST = "localhost:8000"
"""What every request names, so that no port of a run gets into a body."""

ORIGIN = f"http://{HOST}"


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

    def field(self, name: str) -> str:
        """Return the value of the first `input` of this name in the page.

        Raises:
            AssertionError: the page has none.
        """
        for found in re.finditer(r"<input\b[^>]*>", self.text):
            if f'name="{name}"' in found[0] and (value := re.search(r'value="([^"]*)"', found[0])):
                return value[1]
        raise AssertionError(f"{self.asked} has no input {name!r}: {self.text[:500]}")


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
        return self.send("GET", path, fields={name.replace("_", "-"): fields[name] for name in fields})

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
            if not morsel.value or morsel["max-age"] == "0":
                self._cookies.pop(name, None)
            else:
                self._cookies[name] = morsel.coded_value


ANSWER_S = 30.0
"""The first request of a worker may load the whole of an application."""


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
    """Put a name in the place of each group that a pattern of `volatile` finds."""

    def named(name: str, found: re.Match[bytes]) -> bytes:
        text = found[0]
        for group in range(found.re.groups, 0, -1):
            begin, end = (at - found.start() for at in found.span(group))
            text = text[:begin] + f"<{name}>".encode() + text[end:]
        return text

    for name, pattern in volatile.items():
        raw = re.sub(pattern, lambda found, name=name: named(name, found), raw)  # type: ignore[misc]
    return raw


def _first(one: bytes, two: bytes) -> str:
    at = next((at for at, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), 0)
    begin = max(0, at - 60)
    return f"{one[begin : at + 100]!r} was {two[begin : at + 100]!r}"
