"""What the live page is told, and what it can have done."""

from __future__ import annotations

import json

import pytest

from tests.monitoring.conftest import COOKIE
from tests.support.crowd import Crowd
from tests.support.raw import RawClient

SECRET = "secret-token"
CROWD = 1_000
MESSAGES = (
    130  # 8 MB: more than the kernel keeps for one who doesn't read, less than it keeps and we do
)


def test_connections_are_shown_by_route_and_path(watcher, connect, room):
    watcher.next(
        "now", lambda now: not now["totals"]["connections"]
    )  # those of earlier tests have gone
    for path in (room, room, f"{room}-b"):
        connect(path)

    now = watcher.next("now", lambda now: now["totals"]["connections"] == 3)

    assert {"route": "/ws/room/{name}", "connections": 3}.items() <= now["routes"][0].items()
    assert [(row["path"], row["connections"]) for row in now["paths"]] == [
        (room, 2),
        (f"{room}-b", 1),
    ]
    assert [row["connections"] for row in now["workers"]] == [3]


def test_messages_are_counted(watcher, connect, room):
    before = watcher.next("now")["totals"]
    one, two = connect(room), connect(room)
    one.send_text("hello")
    two.read_text()

    now = watcher.next(
        "now", lambda now: now["totals"]["messages_received"] > before["messages_received"]
    )

    assert now["totals"]["messages_sent"] == before["messages_sent"] + 2


def test_closes_are_shown_with_code_and_reason(watcher, connect, room):
    connect(room).send_close(4_000, b"had enough")

    now = watcher.next("now", lambda now: any(close["path"] == room for close in now["closes"]))

    close = now["closes"][0]
    assert (close["path"], close["code"], close["reason"]) == (room, 4_000, "had enough")


def test_payloads_queries_and_cookies_are_never_shown(watcher, server, opened, room):
    fields = [("Cookie", f"session={SECRET}"), ("Authorization", f"Bearer {SECRET}")]
    client = opened.enter_context(RawClient.open(server.address, f"{room}?token={SECRET}", fields))
    client.send_text(SECRET)
    client.read_text()
    watcher.order(do="watch", path=room)

    now = watcher.next("now", lambda now: any(path["path"] == room for path in now["paths"]))
    found = watcher.next("found", lambda found: found["count"] == 1)

    assert SECRET not in json.dumps([now, found])
    assert COOKIE not in json.dumps([now, found])


def test_a_search_finds_paths_and_connections(watcher, connect, room):
    connect(f"{room}-general")
    connect(f"{room}-dev-team")

    watcher.order(do="watch", search=f"{room}-GENER")
    found = watcher.next("found")

    assert found["count"] == 1
    assert [row["path"] for row in found["paths"]] == [f"{room}-general"]
    watcher.order(do="watch", search=found["rows"][0]["id"][:12])
    assert watcher.next("found", lambda again: again["search"] != found["search"])["count"] == 1


def test_a_path_is_kicked_with_code_and_reason(watcher, connect, server, room):
    there, elsewhere = connect(room), connect(f"{room}-b")

    watcher.order(do="kick", path=room, code=4_001, reason="maintenance")

    frame = there.read_frame()
    assert (frame.close_code, frame.payload[2:]) == (4_001, b"maintenance")
    assert watcher.next("kicked")["count"] == 1
    elsewhere.send_text("still here")
    assert elsewhere.read_text() == "still here"
    assert f"closed 1 connections from the live page: path '{room}', 4001" in server.log


def test_one_connection_is_kicked_by_its_id(watcher, connect, room):
    clients = [connect(room) for _ in range(2)]
    watcher.order(do="watch", path=room)
    first = watcher.next("found", lambda found: found["count"] == 2)["rows"][0]

    watcher.order(do="kick", id=first["id"])

    assert clients[0].read_close() == 1008
    assert watcher.next("kicked")["count"] == 1
    assert watcher.next("found", lambda found: found["count"] == 1)


@pytest.mark.parametrize(
    ("order", "why"),
    [
        ({"do": "kick"}, "nobody is meant"),
        ({"do": "kick", "path": "/ws/room/a", "code": 1_006}, "1006"),
        ({"do": "kick", "path": "/ws/room/a", "code": "many"}, "many"),
        ({"do": "kick", "path": ["/ws/room/a"], "id": 7}, "nobody is meant"),
        ({"do": "kick", "path": "/__tina4/live/socket"}, "the watchers themselves"),
        ({"do": "format the disk"}, "expected do"),
        ([], "expected do"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(watcher, order, why):
    watcher.client.send_text(json.dumps(order))

    assert why in watcher.next("refused")["message"]


def test_a_code_beyond_all_numbers_is_refused_in_words(watcher):
    watcher.client.send_text('{"do": "kick", "path": "/ws/room/a", "code": 1e999}')

    assert "infinity" in watcher.next("refused")["message"]


def test_who_comes_later_gets_the_last_two_minutes(watcher, server, opened):
    watcher.next("now")
    fields = [("Cookie", f"admin={COOKIE}"), ("Origin", server.url)]

    second = opened.enter_context(RawClient.open(server.address, "/__tina4/live/socket", fields))

    first = json.loads(second.read_text())
    assert first["type"] == "history"
    assert first["totals"]


def test_slow_readers_are_shown_with_what_waits_for_them(watcher, server):
    with Crowd(server.address) as crowd:
        lazy = crowd.join("/ws/ticker/prices", receive_buffer_bytes=4_096)
        talker = crowd.join("/ws/ticker/prices")
        crowd.wait_until_open()
        lazy.is_listening = False
        for _ in range(MESSAGES):
            talker.send_text("x" * 60)  # a thousandfold comes back
        crowd.listen_until(lambda: len(talker.texts) == MESSAGES, "the talker hears itself")

        (row,) = watcher.next("now", lambda now: now["slow"])["slow"]

    assert row["path"] == "/ws/ticker/prices"
    assert row["queued_bytes"] > 0
    assert row["stalled_s"] is not None


def test_a_thousand_connections_make_a_small_message(watcher, server):
    with Crowd(server.address) as crowd:
        for number in range(CROWD):
            crowd.join(f"/ws/room/many-{number}")
        crowd.wait_until_open()
        watcher.order(do="watch", search="many-")

        now = watcher.next("now", lambda now: now["path_count"] >= CROWD)
        found = watcher.next("found", lambda found: found["count"] == CROWD)

    assert (len(now["paths"]), now["path_count"]) == (100, CROWD)
    assert len(found["rows"]) == 100
    assert len(json.dumps(now)) < 30_000
