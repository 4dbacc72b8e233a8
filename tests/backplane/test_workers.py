"""Four workers of one gunicorn, with nothing configured: a broadcast reaches everybody, once and in
order.
"""

from __future__ import annotations

import json
import os
import signal
from urllib.parse import quote

import pytest

from tests.backplane.conftest import ask, by_worker, check_exchange, spread, wait_for
from tests.support.crowd import Crowd

CLIENTS = 40
PATH = "/ws/hall/a"


def two_senders(members):
    """One client each of two workers."""
    first, second, *_ = by_worker(members).values()
    return [first[0], second[0]]


@pytest.mark.deadline(60)
def test_everybody_gets_each_message_once_and_in_order_before_and_after_a_kill_and_a_reload(hall):
    with Crowd(hall.address) as crowd:
        members = spread(crowd, hall, PATH, CLIENTS)
        assert [len(one) for one in by_worker(members).values()] == [10] * 4
        check_exchange(crowd, members, two_senders(members), 1_000)

        killed = members[0].name
        os.kill(int(killed), signal.SIGKILL)
        lost = [one for one in members if one.name == killed]
        crowd.listen_until(
            lambda: all(one.has_ended for one in lost), "the end of the killed worker's clients"
        )
        members = [one for one in members if one.name != killed] + spread(crowd, hall, PATH, 10)
        assert len(by_worker(members)) == 4
        check_exchange(crowd, members, two_senders(members[::-1]), 1_000)

        hall.process.send_signal(signal.SIGHUP)
        crowd.listen_until(lambda: all(one.close_frame for one in members), "everybody's goodbye")
        assert {one.close_frame.close_code for one in members} == {1001}
        for one in members:
            crowd.close(one)
        members = spread(crowd, hall, PATH, CLIENTS)
        assert len(by_worker(members)) == 4
        check_exchange(crowd, members, two_senders(members), 1_000)


@pytest.fixture
def crowd(hall):
    """Clients that have gone, for the workers too, when the next test begins."""
    with Crowd(hall.address) as crowd:
        yield crowd
    wait_for(lambda: ask(hall, "/state/a")["count"] == 0, "everybody's leaving")


@pytest.fixture
def everybody(hall, crowd):
    """Ten clients in each of four workers."""
    members = spread(crowd, hall, PATH, CLIENTS)
    assert len(by_worker(members)) == 4
    return members


def test_a_broadcast_may_leave_its_sender_out(crowd, everybody):
    sender = everybody[0]

    sender.send_text("others hello")
    sender.send_text("all of you")
    crowd.listen_until(
        lambda: all("all of you" in one.texts for one in everybody), "the second message"
    )

    assert sender.texts == ["all of you"]
    assert all(one.texts == ["hello", "all of you"] for one in everybody if one is not sender)


def test_a_named_room_spans_all_workers(crowd, everybody):
    guests = everybody[::4]
    for one in guests:
        one.send_text("room quiet")
    crowd.listen_until(lambda: all(one.texts for one in guests), "the way in")

    guests[0].send_text("to-room quiet psst")
    guests[0].send_text("hello")
    crowd.listen_until(lambda: all("hello" in one.texts for one in everybody), "the end")

    assert guests[0].texts == ["joined", "hello"]
    assert all(one.texts == ["joined", "psst", "hello"] for one in guests[1:])
    assert all(one.texts == ["hello"] for one in everybody if one not in guests)


def test_an_http_handler_of_any_worker_reaches_everybody(hall, crowd, everybody):
    for _ in range(8):
        ask(hall, "/broadcast/news")
    crowd.listen_until(lambda: all(len(one.texts) >= 8 for one in everybody), "the news")

    assert all(one.texts == ["news"] * 8 for one in everybody)


def test_any_worker_knows_who_is_there(hall, crowd, everybody):
    for one in everybody:
        one.send_text("id")
    crowd.listen_until(lambda: all(one.texts for one in everybody), "the ids")

    told = ask(hall, "/state/a")

    assert told["count"] == CLIENTS
    assert {one[0] for one in told["members"]} == {one.texts[0] for one in everybody}
    assert all(one[2] == {"user": "nobody"} for one in told["members"])


def test_a_callback_knows_who_is_on_its_path(hall, crowd):
    members = [
        one
        for name in ("ada", "bob", "eve")
        for one in spread(crowd, hall, f"/ws/hall/a?user={name}", 12)
    ]
    assert len(by_worker(members)) == 4

    members[0].send_text("who")
    crowd.listen_until(lambda: members[0].texts, "the list")

    assert json.loads(members[0].texts[0]) == ["ada"] * 12 + ["bob"] * 12 + ["eve"] * 12


def test_a_worker_that_died_is_counted_no_more(hall, crowd, everybody):
    os.kill(int(everybody[0].name), signal.SIGKILL)

    wait_for(lambda: ask(hall, "/state/a")["count"] == CLIENTS - 10, "the right count")


@pytest.mark.parametrize("whom", ["one", "path"])
def test_clients_are_sent_away_from_any_worker(hall, crowd, everybody, whom):
    meant = everybody if whom == "path" else everybody[7:8]
    everybody[7].send_text("id")
    crowd.listen_until(lambda: everybody[7].texts, "an id")
    query = {"path": PATH} if whom == "path" else {"connection_id": everybody[7].texts[0]}

    told = ask(
        hall, "/disconnect?whom=" + quote(json.dumps({**query, "code": 4000, "reason": "out"}))
    )
    crowd.listen_until(lambda: all(one.close_frame for one in meant), "the goodbye")

    assert told == {"told": len(meant)}
    assert {one.close_frame.payload for one in meant} == {b"\x0f\xa0out"}
    assert not [one for one in everybody if one not in meant and one.close_frame]


def test_clients_are_sent_away_by_their_login(hall, crowd):
    adas = spread(crowd, hall, "/ws/members/b?user=ada", 12)
    bobs = spread(crowd, hall, "/ws/members/b?user=bob", 4)
    assert len(by_worker(adas + bobs)) >= 2
    query = quote('{"auth": {"user": "ada"}, "code": 4403}')

    told = ask(hall, f"/disconnect?whom={query}")
    crowd.listen_until(lambda: all(one.close_frame for one in adas), "the goodbye")

    assert told == {"told": 12}
    assert [one["auth"] for one in ask(hall, "/members/b")] == [{"user": "bob"}] * 4
    assert not [one for one in bobs if one.close_frame]
