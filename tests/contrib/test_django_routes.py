"""WebSocket routes in a Django project: each event sees session, user and context of its moment,
and leaves nothing.
"""

from __future__ import annotations

import pytest

from tests.contrib.django_house import ask, hear

pytestmark = pytest.mark.deadline(60)


def test_a_visitor_without_a_session_is_nobody(site):
    with site.open("/ws/probe/a") as client:
        assert hear(client) == {"user": "nobody", "visits": None}


def test_open_sees_the_user_and_the_session_of_the_browser(site):
    cookie = site.log_in("ada")
    site.get("/session", cookie)

    with site.open("/ws/probe/a", cookie) as client:
        assert hear(client) == {"user": "ada", "visits": 1}


def test_a_message_sees_a_request_made_from_the_handshake(site):
    with site.open("/ws/probe/k%C3%A4se?x=1", site.log_in("ada")) as client:
        hear(client)
        host = site.server.url.removeprefix("http://")

        assert ask(client, "see") == {
            "event": "message",
            "is_same_connection": True,
            "user": "ada",
            "language": "en",
            "path": "/ws/probe/käse",
            "host": host,
            "method": "GET",
            "route": "/ws/probe/{name}",
            "kwargs": {"name": "käse"},
            "queries": 0,
        }


def test_middleware_decides_the_language_of_each_event(site):
    with site.open("/ws/probe/a", Accept_Language="de") as client:
        hear(client)

        assert ask(client, "see")["language"] == "de"


def test_what_one_event_activates_the_next_does_not_see(site):
    with site.open("/ws/probe/a") as client:
        hear(client)

        assert ask(client, "speak german") == {"language": "de"}
        assert ask(client, "see")["language"] == "en"
    assert site.state()["language"] == "en"


def test_each_event_reads_the_session_as_it_is_now(site):
    cookie = site.log_in("ada")
    with site.open("/ws/probe/a", cookie) as client:
        assert hear(client)["visits"] is None
        site.get("/session", cookie)

        assert ask(client, "visit") == {"visits": 2}


def test_what_a_callback_writes_to_a_stored_session_the_next_view_sees(site):
    cookie = site.log_in("ada")
    with site.open("/ws/probe/a", cookie) as client:
        hear(client)
        ask(client, "visit")

    assert site.get("/session", cookie)[2] == b'{"visits": 2}'


def test_a_session_that_the_browser_lacks_can_not_be_begun(site):
    with site.open("/ws/probe/a") as client:
        hear(client)
        ask(client, "visit")

        site.server.wait_for_log(
            "UsageError: the session was changed, but after the upgrade no cookie can reach"
        )
        assert ask(client, "visit") == {"visits": 1}, "the next event is as if nothing had been"


def test_a_callback_that_raises_leaves_no_session_no_context_and_no_row(site):
    cookie = site.log_in("ada")
    with site.open("/ws/probe/a", cookie) as client:
        hear(client)
        client.send_text("visit and fail")
        client.send_text("fail in transaction")

        assert ask(client, "see")["language"] == "en"
        assert ask(client, "visit") == {"visits": 1}
    notes = site.state()["notes"]
    assert "to be rolled back" not in notes
    assert "written before the error" in notes, (
        "without ATOMIC_REQUESTS each statement stands for itself"
    )


def test_a_transaction_that_nobody_ended_is_rolled_back(site):
    with site.open("/ws/probe/a") as client:
        hear(client)
        client.send_text("leave transaction")

        assert ask(client, "count")["notes"] == len(site.state()["notes"])
    assert "in a transaction that nobody ends" not in site.state()["notes"]
    assert site.state()["in_atomic_block"] is False


def test_middleware_and_signals_hear_of_what_a_callback_raises(site):
    with site.open("/ws/probe/a") as client:
        hear(client)
        client.send_text("fail in transaction")
        ask(client, "see")

    assert "ValueError('within a transaction')" in site.state()["errors"]
    assert "ValueError('within a transaction')" in site.state()["signalled"]


def test_who_is_not_let_in_is_no_error(site):
    site.ask_upgrade("/ws/denied")

    state = site.state()
    assert "not for you" not in str(state["signalled"])
    assert "PermissionDenied('not for you')" in state["errors"], (
        "process_exception sees it, as it does that of a view"
    )


def test_two_callbacks_at_once_have_transactions_of_their_own(site):
    with site.open("/ws/probe/a") as one, site.open("/ws/probe/b") as other:
        hear(one), hear(other)
        one.send_text("wait in transaction")

        assert ask(other, "see")["user"] == "nobody"
        assert hear(one) == {"in_atomic_block": False}


def test_close_runs_in_the_context_too(site):
    with site.open("/ws/probe/leaver") as client:
        hear(client)
        client.send_close()

    site.wait_for_note("closed leaver")


def test_a_view_pushes_to_a_route(site):
    with site.open("/ws/notes") as client:
        hear(client)

        assert site.get("/say?path=/ws/notes&text=hello")[2] == b"said"
        assert hear(client) == {"said": "hello"}


@pytest.mark.parametrize(
    ("answer", "status"), [("403", 403), ("503", 503), ("302", 403), ("200", 403)]
)
def test_a_middleware_may_refuse_before_the_101(site, answer, status):
    assert site.ask_upgrade(f"/ws/probe/a?refuse=auth:{answer}") == status


def test_a_middleware_may_refuse_beside_auth(site):
    assert site.ask_upgrade("/ws/private?refuse=auth:418", site.log_in("ada")) == 418


@pytest.mark.parametrize(
    ("answer", "code"), [("401", 4401), ("403", 4403), ("302", 4403), ("503", 1013)]
)
def test_a_middleware_that_refuses_a_message_ends_the_connection(site, answer, code):
    with site.open(f"/ws/probe/a?refuse=message:{answer}") as client:
        hear(client)
        client.send_text("see")

        assert client.read_close() == code


def test_a_middleware_that_refuses_the_close_does_not_keep_it_from_running(site):
    with site.open("/ws/probe/unstoppable?refuse=close:403") as client:
        hear(client)
        client.send_close()

    site.wait_for_note("closed unstoppable")


def test_an_upgrade_of_a_path_without_a_route_is_the_projects_own_to_answer(site):
    assert site.ask_upgrade("/text") == 200
    assert site.ask_upgrade("/ws/nowhere") == 404
