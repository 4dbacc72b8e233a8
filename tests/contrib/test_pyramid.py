"""WebSocket routes of a Pyramid app: its requests, its transactions, its permissions; under
gunicorn.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support import framework_site
from tests.support.framework_site import FrameworkSite, facts

GUARDED = ("/ws/board/7", "/ws/own/7", "/ws/plain", "/ws/plain/own", "/api/v1/live", "/ws/open/1")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrameworkSite]:
    """With a transaction manager for each request."""
    with framework_site.framework_site(
        "pyramid_site:app", tmp_path_factory.mktemp("pyramid")
    ) as running:
        yield running


@pytest.fixture(scope="module")
def shared_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrameworkSite]:
    """With the manager that pyramid_tm takes by default: one for each thread, so for each
    greenlet.
    """
    with framework_site.framework_site(
        "pyramid_site:shared_manager", tmp_path_factory.mktemp("shared")
    ) as running:
        yield running


def test_idle_connections_hold_no_database_connection(site):
    framework_site.assert_idle_connections_hold_no_database_connection(site)


def test_nor_with_one_transaction_manager_for_all(shared_site):
    framework_site.assert_idle_connections_hold_no_database_connection(shared_site)


def test_log_out_closes_the_sockets(site):
    framework_site.assert_log_out_closes_the_sockets(site)


def test_a_raising_callback_leaves_nothing_behind(site):
    found = framework_site.assert_a_raising_callback_leaves_nothing_behind(site, "aborted")

    assert found["pushed"] == facts_of_a_first_event(site)["pushed"]


def test_nor_with_one_transaction_manager_for_all_when_it_raises(shared_site):
    framework_site.assert_a_raising_callback_leaves_nothing_behind(shared_site, "aborted")


def facts_of_a_first_event(site: FrameworkSite) -> dict[str, object]:
    with site.open(fields=site.login("ada")) as client:
        client.read_text()
        return facts(client)


def test_a_callback_is_given_a_prepared_request(site):
    with site.open(fields=site.login("ada")) as client:
        client.read_text()

        found = facts(client)

    finished = found.pop("finished")
    assert finished >= 1
    assert found == {
        "current": True,
        "pushed": 1,
        "identity": "ada",
        "matchdict": {"number": 7},
        "context": "Board",
        "url": f"{site.server.url}/login",
        "active": True,
    }


def test_finished_callbacks_run_behind_each_event(site):
    with site.open(fields=site.login("ada")) as client:
        client.read_text()

        first, second = facts(client)["finished"], facts(client)["finished"]

    assert second == first + 1


@pytest.mark.parametrize("path", GUARDED)
def test_nobody_is_refused_with_401(site, path):
    assert site.refusal(path) == 401


@pytest.mark.parametrize("path", ["/ws/own/7", "/ws/plain/own", "/api/v1/live", "/ws/open/1"])
def test_who_lacks_the_permission_is_refused_with_403(site, path):
    assert site.refusal(path, site.login("bob")) == 403


@pytest.mark.parametrize("path", GUARDED)
def test_who_has_it_is_let_in_under_her_name(site, path):
    with site.open(path, site.login("ada")) as client:
        assert json.loads(client.read_text())["opened by"] == "ada"


def test_what_a_factory_answers_refuses_with_its_status(site):
    assert site.refusal("/ws/board/404", site.login("ada")) == 404


def test_no_permission_lets_anybody_in_and_says_who_it_is(site):
    with (
        site.open("/ws/remembered") as stranger,
        site.open("/ws/remembered", site.login("ada")) as ada,
    ):
        assert (stranger.read_text(), ada.read_text()) == ("here, None", "here, ada")


@pytest.mark.parametrize("kind", ["site", "shared_site"])
def test_asking_again_inside_of_a_view_leaves_its_transaction_alone(kind, request):
    site = request.getfixturevalue(kind)
    with site.open("/ws/remembered") as client:
        client.read_text()

        status, _, body = site.ask("GET", "/refresh")

    assert (status, body) == (200, b"{}")
    assert site.state()["notes"][-2:] == ["before", "after"]


def test_other_paths_are_the_apps_own(site):
    assert site.ask("GET", "/nowhere")[0] == 404
    assert site.refusal("/nowhere") == 404


def test_an_app_that_was_imported_unpatched_refuses_rather_than_mix_requests(tmp_path):
    with framework_site.framework_site("pyramid_site:app", tmp_path, "--preload") as late:
        status = late.refusal("/ws/board/7", late.login("ada"))

        assert status == 500
        late.server.wait_for_log("pyramid was imported before gevent patched threading")
