"""Resources with a WebSocket in a Falcon app, and its middleware around each event; under
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
        "falcon_site:app", tmp_path_factory.mktemp("falcon")
    ) as running:
        yield running


@pytest.fixture(scope="module")
def dependent_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrameworkSite]:
    """Falcon's other way with middleware: `process_response` only where `process_request` has
    passed.
    """
    with framework_site.framework_site(
        "falcon_site:dependent", tmp_path_factory.mktemp("dependent")
    ) as running:
        yield running


def test_idle_connections_hold_no_database_connection(site):
    framework_site.assert_idle_connections_hold_no_database_connection(site)


def test_nor_with_dependent_middleware(dependent_site):
    framework_site.assert_idle_connections_hold_no_database_connection(dependent_site)


def test_log_out_closes_the_sockets(site):
    framework_site.assert_log_out_closes_the_sockets(site)


@pytest.mark.parametrize("kind", ["site", "dependent_site"])
def test_a_raising_callback_leaves_nothing_behind(kind, request):
    site = request.getfixturevalue(kind)
    found = framework_site.assert_a_raising_callback_leaves_nothing_behind(site, "rolled back")

    assert found["sessions"] == 1  # its own


def test_a_responder_is_given_a_request_that_went_through_the_middleware(site):
    with site.open(fields=site.login("ada")) as client:
        assert json.loads(client.read_text())["opened by"] == "ada"

        found = facts(client)

    assert found == {
        "identity": "ada",
        "path": "/ws/board/7",
        "template": "/ws/board/{number:int}",
        "number": 7,
        "by_middleware": True,
        "sessions": 1,
        "current": True,
    }


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/ws/board/7", 401),  # process_resource
        ("/ws/board/403", 401),
        ("/talk/x/live?mood=bad", 429),
        ("/talk/x/live?mood=handled", 403),  # by an error handler of the app
        ("/talk/x/live?mood=complete", 402),
        ("/talk/x/live?mood=redirect", 403),
        ("/talk/x/live?mood=broken", 500),
        ("/ws/plain", 401),
        ("/ws/plain?mood=bad", 429),
        ("/pages", 200),  # Falcon's own, which takes it for a GET
        ("/nowhere", 404),
    ],
)
def test_a_refusal_before_the_101_has_its_own_status(site, path, status):
    assert site.refusal(path) == status


def test_process_resource_sees_the_parameters(site):
    assert site.refusal("/ws/board/403", site.login("ada")) == 403


@pytest.mark.parametrize("kind", ["site", "dependent_site"])
def test_sessions_are_closed_behind_a_refusal_too(kind, request):
    site = request.getfixturevalue(kind)
    for mood in ("bad", "handled", "complete", "broken"):
        site.refusal(f"/talk/x/live?mood={mood}")

    with site.open(fields=site.login("ada")) as client:
        client.read_text()
        assert facts(client)["sessions"] == 1


def test_without_websocket_auth_the_context_is_what_the_middleware_made_of_it(site):
    with site.open(
        "/talk/x/live", [*site.login("ada"), ("Sec-WebSocket-Protocol", "talk")]
    ) as client:
        assert client.read_text() == "here, ada"


def test_a_callback_of_the_router_finds_its_request(site):
    with site.open("/ws/plain", site.login("ada")) as client:
        assert client.read_text() == "ada ada"


def test_middleware_that_refuses_later_closes_with_4401_and_close_runs(site):
    fields = site.login("carol")
    with site.open(fields=fields) as client:
        client.read_text()

        site.logout(fields)
        client.send_text("note:too late")

        assert client.read_close() == 4401
        client.send_close(4401)
        state = site.wait_for_state(lambda state: "closed by carol" in state["notes"])
        assert "too late" not in state["notes"]


def test_a_responder_may_refuse(site):
    with site.open("/talk/others/live") as other, site.open("/talk/me/live") as client:
        other.read_text()
        client.read_text()

        client.send_text("unauthorized")

        assert client.read_close() == 4401
        client.send_close(4401)
        assert other.read_text() == "gone me"


def test_any_other_error_of_a_responder_is_logged_and_the_connection_stays(site):
    framework_site.assert_an_odd_error_is_logged_and_the_connection_stays(
        site, "/talk/x/live", "/talk/x/live True", "/talk/{name}/live"
    )


def test_responders_that_wait_at_the_same_time_keep_their_requests_apart(site):
    texts = ("/talk/one/live True", "/talk/two/live True")

    framework_site.assert_callbacks_that_wait_keep_their_requests_apart(
        site, ("/talk/one/live", "/talk/two/live"), texts
    )


def test_a_resource_may_have_a_page_at_the_same_address(site):
    status, _, body = site.ask("GET", "/ws/board/7", *site.login("ada"))

    assert (status, json.loads(body)) == (200, {"page": 7})
