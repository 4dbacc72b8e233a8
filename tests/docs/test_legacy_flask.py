"""The Flask app of docs/legacy.md gets live updates by the lines shown, and they work as told."""

from __future__ import annotations

import http.client
import json
import re
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import servers
from tests.support.changes import applied, changed_lines
from tests.support.markdown import blocks_of
from tests.support.raw import RawClient

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "legacy.md"
FILES = ("shop.py", "templates/orders.html")


def before_and_change(name: str) -> tuple[str, str]:
    """A file of the Flask part of the page: its text before, and the diff that makes it live."""
    begin, end = _section()
    before, change = (
        one
        for one in blocks_of(PAGE)
        if one.mark == "file" and one.value == name and begin < one.line < end
    )
    assert (before.language != "diff", change.language) == (True, "diff")
    return before.text, change.text


def _section() -> tuple[int, int]:
    titles = [
        (number, line)
        for number, line in enumerate(PAGE.read_text().splitlines(), 1)
        if line.startswith("## ")
    ]
    begin = next(number for number, line in titles if line == "## Flask")
    return begin, next((number for number, _ in titles if number > begin), 10_000)


@pytest.fixture(params=["gevent", "sync"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[servers.Server]:
    (tmp_path / "templates").mkdir()
    for name in FILES:
        before, change = before_and_change(name)
        (tmp_path / name).write_text(applied(change, before))
    env = {"PYTHONPATH": str(ROOT)}
    with servers.gunicorn(
        "shop:app", tmp_path, tmp_path / "log", worker_class=request.param, env=env
    ) as running:
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


def test_it_takes_as_many_lines_as_the_page_says():
    assert sum(changed_lines(before_and_change(name)[1]) for name in FILES) == 27
    assert "These twenty-seven lines are all." in PAGE.read_text()


def test_an_order_of_one_user_reaches_the_page_of_another(server):
    ada, bob = post(server, "/login", name="ada"), post(server, "/login", name="bob")
    with RawClient.open(server.address, "/ws/orders", [("Cookie", bob)]) as client:
        post(server, "/", ada, text="two <b>pears</b>")

        assert json.loads(client.read_text()) == {"id": 1, "text": "two <b>pears</b>"}


def test_an_order_that_is_taken_while_a_page_is_on_its_way_reaches_it(server):
    ada, bob = post(server, "/login", name="ada"), post(server, "/login", name="bob")
    since = re.search(r'since: "(\S+)"', page_of(server, bob))
    assert since

    post(server, "/", ada, text="a plum")
    claim = f"/ws/orders?tina4=1.abcdefghijkl.{since[1]}"
    with RawClient.open(server.address, claim, [("Cookie", bob)]) as client:
        greeting, missed = client.read_text(), client.read_text()

    assert greeting == f"@abcdefghijkl.{since[1]}.y:"
    assert missed.partition(":")[2] == '{"id":1,"text":"a plum"}'


def test_nobody_else_may_listen(server):
    with RawClient.dial(server.address) as client:
        assert client.ask_upgrade("/ws/orders", "AAAAAAAAAAAAAAAAAAAAAA==").status == 401


def test_the_page_knows_the_address(server):
    cookie = post(server, "/login", name="ada")

    assert 'tina4.connect("ws://shop.example/ws/orders"' in page_of(server, cookie)


def page_of(server: servers.Server, cookie: str) -> str:
    connection = http.client.HTTPConnection(*server.address, timeout=10)
    try:
        connection.request("GET", "/", headers={"Cookie": cookie, "Host": "shop.example"})
        return connection.getresponse().read().decode()
    finally:
        connection.close()
