"""The Flask app of docs/legacy.md gets live updates by fewer than twenty lines, and they work as
told.
"""

from __future__ import annotations

import difflib
import http.client
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import servers
from tests.support.markdown import blocks_of
from tests.support.raw import RawClient

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "legacy.md"
FILES = ("shop.py", "templates/orders.html", "wsgi.py")


def versions(name: str) -> list[str]:
    """The texts of a file in the Flask part of the page, in order."""
    begin, end = _section()
    return [
        one.text
        for one in blocks_of(PAGE)
        if one.mark == "file" and one.value == name and begin < one.line < end
    ]


def _section() -> tuple[int, int]:
    titles = [
        (number, line)
        for number, line in enumerate(PAGE.read_text().splitlines(), 1)
        if line.startswith("## ")
    ]
    begin = next(number for number, line in titles if line == "## Flask")
    return begin, next((number for number, _ in titles if number > begin), 10_000)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[servers.Server]:
    (tmp_path / "templates").mkdir()
    for name in FILES:
        (tmp_path / name).write_text(versions(name)[-1])
    env = {"PYTHONPATH": str(ROOT)}
    with servers.gunicorn("wsgi:app", tmp_path, tmp_path / "log", env=env) as running:
        servers.wait_until_answering(running, "/login")
        yield running


def post(server: servers.Server, path: str, cookie: str = "", **form: str) -> str:
    """Send a form, and give the cookie that comes back."""
    connection = http.client.HTTPConnection(*server.address, timeout=10)
    fields = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": cookie}
    try:
        connection.request("POST", path, urllib.parse.urlencode(form), fields)
        answer = connection.getresponse()
        assert answer.status == 302, answer.read()
        return (answer.headers["Set-Cookie"] or "").partition(";")[0]
    finally:
        connection.close()


def test_it_takes_fewer_than_twenty_lines():
    changed = 0
    for name in FILES:
        texts = versions(name)
        before = texts[0].splitlines() if len(texts) > 1 else []
        lines = difflib.ndiff(before, texts[-1].splitlines())
        changed += sum(line[:2] in ("+ ", "- ") and bool(line[2:].strip()) for line in lines)

    assert 0 < changed < 20


def test_an_order_of_one_user_reaches_the_page_of_another(server):
    ada, bob = post(server, "/login", name="ada"), post(server, "/login", name="bob")
    with RawClient.open(server.address, "/ws/orders", [("Cookie", bob)]) as client:
        post(server, "/", ada, text="two <b>pears</b>")

        assert client.read_text() == "two <b>pears</b>"


def test_nobody_else_may_listen(server):
    with RawClient.dial(server.address) as client:
        assert client.ask_upgrade("/ws/orders", "AAAAAAAAAAAAAAAAAAAAAA==").status == 401


def test_the_page_knows_the_address(server):
    cookie = post(server, "/login", name="ada")
    connection = http.client.HTTPConnection(*server.address, timeout=10)
    try:
        connection.request("GET", "/", headers={"Cookie": cookie, "Host": "shop.example"})
        page = connection.getresponse().read().decode()
    finally:
        connection.close()

    assert 'new WebSocket("ws://shop.example/ws/orders")' in page
