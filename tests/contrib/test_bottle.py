"""WebSocket routes beside a Bottle app: its request and its hooks around each event; under
gunicorn.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support import framework_site
from tests.support.framework_site import FrameworkSite, facts


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrameworkSite]:
    with framework_site.framework_site(
        "bottle_site:app", tmp_path_factory.mktemp("bottle")
    ) as running:
        yield running


def test_idle_connections_hold_no_database_connection(site):
    framework_site.assert_idle_connections_hold_no_database_connection(site)


def test_log_out_closes_the_sockets(site):
    framework_site.assert_log_out_closes_the_sockets(site)


def test_a_raising_callback_leaves_nothing_behind(site):
    found = framework_site.assert_a_raising_callback_leaves_nothing_behind(site, "rolled back")

    assert found["header"] == "none"
    assert found["sessions"] == 1  # its own


def test_a_callback_finds_the_handshake_in_the_request(site):
    with site.open(fields=site.login("ada")) as client:
        assert json.loads(client.read_text())["opened by"] == "ada"

        found = facts(client)

    assert found == {
        "identity": "ada",
        "path": "/ws/board/7",
        "args": {"number": 7},
        "app": True,
        "sessions": 1,
        "header": "none",
    }


def test_a_path_is_text_as_in_a_view(site):
    with site.open("/ws/hook/k%C3%A4se") as client:
        client.read_text()

        client.send_text("wait")

        assert client.read_text() == "/ws/hook/käse"


def test_nobody_is_refused_with_401(site):
    assert site.refusal("/ws/board/7") == 401


@pytest.mark.parametrize(("what", "status"), [("refuse", 403), ("redirect", 403), ("", 401)])
def test_a_hook_refuses_before_the_101(site, what, status):
    assert site.refusal(f"/ws/hook/login?action={what}") == status


def test_a_hook_that_refuses_later_closes_with_4401_and_close_runs(site):
    fields = site.login("ada")
    with site.open("/ws/hook/others") as other, site.open("/ws/hook/login", fields) as client:
        other.read_text()
        client.read_text()

        site.logout(fields)
        client.send_text("hello?")

        assert client.read_close() == 4401
        client.send_close(4401)
        assert other.read_text() == "gone login"
    assert "hello" not in site.server.log


def test_a_callback_may_abort(site):
    with site.open("/ws/hook/x") as client:
        client.read_text()

        client.send_text("abort")

        assert client.read_close() == 4401


def test_any_other_answer_of_a_callback_is_an_error_like_any(site):
    framework_site.assert_an_odd_error_is_logged_and_the_connection_stays(
        site, "/ws/hook/x", "/ws/hook/x", "/ws/hook/{what}"
    )


def test_callbacks_that_wait_at_the_same_time_keep_their_requests_apart(site):
    paths = ("/ws/hook/one", "/ws/hook/two")

    framework_site.assert_callbacks_that_wait_keep_their_requests_apart(site, paths, texts=paths)


def test_asking_again_inside_of_a_view_leaves_its_request_alone(site):
    with site.open("/ws/remembered") as client:
        client.read_text()

        status, headers, body = site.ask("GET", "/refresh")

    assert status == 200
    assert json.loads(body) == {"before": "/refresh", "after": "/refresh", "header": "none"}
    assert headers["X-After"] == "hook"


def test_other_paths_are_the_apps_own(site):
    assert site.ask("GET", "/nowhere")[0] == 404
    assert site.refusal("/nowhere") == 404


def test_an_app_that_was_imported_unpatched_refuses_rather_than_mix_requests(tmp_path):
    with framework_site.framework_site("bottle_site:app", tmp_path, "--preload") as late:
        status = late.refusal("/ws/hook/x")

        assert status == 500
        late.server.wait_for_log("bottle was imported before gevent patched threading")
