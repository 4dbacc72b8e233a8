"""The pages of the chapter as a client without scripts sees them."""

from __future__ import annotations

import re
from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import quote

import pytest

from tests.examples.conftest import CONVERSATIONS
from tests.support.servers import Server

PAGES = ("/", *CONVERSATIONS)
MARKUP = "<img src=x onerror=alert(1)>\"'"


def get(server: Server, path: str) -> tuple[int, str, str]:
    """Status, type and body of one answer."""
    with closing(HTTPConnection(*server.address, timeout=10)) as asker:
        asker.request("GET", path)
        answer = asker.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read().decode()


@pytest.mark.parametrize("path", PAGES)
def test_page_is_html_that_allows_only_our_own_scripts(server: Server, path: str) -> None:
    status, content_type, body = get(server, path)

    assert status == 200
    assert content_type == "text/html; charset=utf-8"
    assert "default-src 'none'; script-src 'self'" in body
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=", body)


@pytest.mark.parametrize("path", PAGES)
def test_everything_that_a_page_names_is_there(server: Server, path: str) -> None:
    body = get(server, path)[2]

    named = re.findall(r'(?:href|src)="(/[^"]*)"', body)

    assert named
    assert {address: get(server, address)[0] for address in named} == dict.fromkeys(named, 200)


@pytest.mark.parametrize("prefix", ["/room", "/livechat", "/chat"])
def test_markup_in_a_room_name_is_escaped(server: Server, prefix: str) -> None:
    status, _, body = get(server, f"{prefix}/{quote(MARKUP, safe='')}")

    assert status == 200
    assert "<img" not in body
    assert "&lt;img src=x onerror=alert(1)&gt;&#34;&#39;" in body


def test_scripts_are_served_as_javascript(server: Server) -> None:
    assert get(server, "/js/room.js")[1].startswith("text/javascript")
