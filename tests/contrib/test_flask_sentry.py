"""A Flask app with Sentry: each failing callback is one error there, with place and user, and
nothing else is.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.raw import RawClient
from tests.support.site import Site, run_site

APPS = Path(__file__).parent / "apps"
PATIENCE_S = 10.0

Events = list[dict[str, Any]]


@pytest.fixture(
    scope="module", params=[("gunicorn", ""), ("gunicorn", "1.0"), ("own", "0")], ids="-".join
)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    kind, traces = request.param
    folder = tmp_path_factory.mktemp("sentry")
    with run_site(
        kind, "flask_sentry:app", folder, env={"TRACES": traces}, working_folder=APPS
    ) as site:
        yield site


@pytest.fixture
def cookie(site: Site) -> list[tuple[str, str]]:
    connection = http.client.HTTPConnection(*site.address, timeout=PATIENCE_S)
    try:
        connection.request("GET", "/login")
        return [("Cookie", connection.getresponse().headers["Set-Cookie"].partition(";")[0])]
    finally:
        connection.close()


def errors_of(site: Site, path: str) -> Events:
    """Give the errors so far that name a path, and those that name none."""
    events = json.loads(site.request("GET", "/events")[1])
    return [
        one
        for one in events
        if one["type"] == "event" and (not one["url"] or one["url"].endswith(path))
    ]


def wait_for_error(site: Site, path: str) -> Events:
    give_up_at = time.monotonic() + PATIENCE_S
    while not (errors := errors_of(site, path)):
        assert time.monotonic() < give_up_at, "no error came"
        time.sleep(0.01)
    return errors


def expected(site: Site, path: str, error: str) -> Events:
    host, port = site.address
    url = f"http://{host}:{port}{path}"
    return [{"type": "event", "error": error, "transaction": "live", "url": url, "user": "ada"}]


@pytest.mark.parametrize("event", ["open", "close"])
def test_an_event_that_fails_is_one_error(site, cookie, event):
    path = f"/ws/live/{event}"
    with RawClient.open(site.address, path, cookie) as client:
        if event == "close":
            client.send_text("x")
            assert client.read_text() == "x"
        client.send_close()

        assert wait_for_error(site, path) == expected(site, path, event)


def test_a_message_that_fails_is_one_error(site, cookie):
    path = "/ws/live/talk"
    with RawClient.open(site.address, path, cookie) as client:
        client.send_text("raise")
        client.send_text("x")
        assert client.read_text() == "x"

        assert errors_of(site, path) == expected(site, path, "message")


def test_an_auth_that_fails_is_one_error(site, cookie):
    with RawClient.dial(site.address) as client:
        assert (
            client.ask_upgrade("/ws/live/guarded?fail", "AAAAAAAAAAAAAAAAAAAAAA==", cookie).status
            == 500
        )

    assert errors_of(site, "/ws/live/guarded") == expected(site, "/ws/live/guarded", "auth")


def test_what_is_no_failure_is_no_error(site, cookie):
    path = "/ws/live/calm"
    with RawClient.dial(site.address) as client:
        assert client.ask_upgrade(path, "AAAAAAAAAAAAAAAAAAAAAA==").status == 401
    for message, code in (("refuse", 4403), ("leave", 1000)):
        with RawClient.open(site.address, path, cookie) as client:
            client.send_text("x")
            assert client.read_text() == "x"
            client.send_text(message)
            assert client.read_close() == code

    assert errors_of(site, path) == []


def test_a_view_that_fails_is_told_as_before(site):
    assert site.request("GET", "/fails")[0] == 500

    (error,) = errors_of(site, "/fails")
    assert (error["error"], error["transaction"]) == ("view", "fails")
