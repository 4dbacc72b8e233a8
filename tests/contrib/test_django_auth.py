"""Who may connect to a Django project: its users and permissions decide, before the 101 and again
afterwards.
"""

from __future__ import annotations

import pytest

from tests.contrib.django_house import ask, hear

pytestmark = pytest.mark.deadline(60)


def test_who_is_not_logged_in_gets_401(site):
    assert site.ask_upgrade("/ws/private") == 401


def test_a_forged_session_gets_401(site):
    assert site.ask_upgrade("/ws/private", "sessionid=forged") == 401


def test_auth_is_the_user_itself(site):
    with site.open("/ws/private", site.log_in("ada")) as client:
        assert hear(client) == {"user": "ada", "type": "User"}


def test_who_lacks_the_permission_gets_403(site):
    assert site.ask_upgrade("/ws/editors") == 401
    assert site.ask_upgrade("/ws/editors", site.log_in("ada")) == 403


def test_who_has_the_permission_gets_in(site):
    with site.open("/ws/editors", site.log_in("editor")) as client:
        assert hear(client) == {"user": "editor"}


def test_a_test_of_ones_own_decides(site):
    assert site.ask_upgrade("/ws/staff", site.log_in("ada")) == 403
    with site.open("/ws/staff", site.log_in("boss")) as client:
        assert hear(client) == {"user": "boss"}


def test_permission_denied_of_django_is_a_403(site):
    assert site.ask_upgrade("/ws/denied") == 403


def test_an_answer_as_a_view_gives_it_is_a_mistake(site):
    assert site.ask_upgrade("/ws/answered") == 500
    site.server.wait_for_log("auth of /ws/answered gave a response, .*expected the user")


def test_a_decorator_for_views_lets_nobody_in(site):
    assert site.ask_upgrade("/ws/mistaken", site.log_in("ada")) == 500
    site.server.wait_for_log("auth of /ws/mistaken gave the function .*expected the user")


def test_logging_out_in_the_browser_closes_the_sockets_of_that_session(site):
    cookie, other_cookie = site.log_in("ada"), site.log_in("grace")
    with (
        site.open("/ws/private", cookie) as one,
        site.open("/ws/private", cookie) as two,
        site.open("/ws/private", other_cookie) as other,
    ):
        hear(one), hear(two), hear(other)
        site.get("/logout", cookie)

        assert (one.read_close(), two.read_close()) == (4401, 4401)
        other.send_close()
        assert other.read_close() == 1000


def test_a_user_who_is_deactivated_is_sent_away(site):
    with site.open("/ws/private", site.log_in("mallory")) as client:
        hear(client)
        site.get("/deactivate?user=mallory")

        assert client.read_close() == 4401


def test_auth_can_be_asked_again_by_a_callback(site):
    with site.open("/ws/probe/a", site.log_in("ada")) as client:
        hear(client)

        assert ask(client, "refresh") == {"may_stay": True}


def test_asking_again_within_a_callback_leaves_its_database_connection_and_its_request_alone(site):
    with site.open("/ws/reader", site.log_in("ada")) as client:
        assert ask(client, "read") == {"pages": 5, "is_same_request": True}
