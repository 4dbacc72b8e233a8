"""Visitors choose paths and reasons; what they choose stays text, and doesn't fill the page."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

from tests.monitoring.conftest import APPS, COOKIE
from tests.support.raw import RawClient

SECRET = "secret-token-of-a-visitor"
LONG = "x" * 1_900


def test_long_paths_leave_the_summary_small_and_hide_nobody_else(watcher, connect, room):
    for number in range(60):
        connect(f"{room}-{number:02}-{LONG}")
        connect(f"{room}-{number:02}-{LONG}")
        if number == 20:
            connect(f"{room}-short")

    now = watcher.next("now", lambda now: now["path_count"] >= 61)
    watcher.order(do="watch", search=room)
    found = watcher.next("found", lambda found: found["count"] == 121)

    assert len(json.dumps(now)) < 60_000
    assert len(json.dumps(found)) < 120_000
    assert f"{room}-short" in [path["path"] for path in now["paths"]]
    assert f"{room}-short" in [row["path"] for row in found["rows"]]


def test_a_search_in_digits_finds_rooms_and_not_ids_that_begin_with_them(watcher, connect):
    for number in range(50):  # of so many ids some begin with each digit
        connect(f"/ws/room/digits-{number}-")

    watcher.order(do="watch", search="7-")
    assert watcher.next("found")["path_count"] == 5
    watcher.order(do="watch", search="7")
    found = watcher.next("found", lambda found: found["search"] == "7")

    assert found["count"] == found["path_count"] == 5


def test_a_search_by_address_finds_who_comes_from_there(watcher, connect, room):
    connect(room)

    watcher.order(do="watch", search="127.0.0.")
    assert watcher.next("found", lambda found: any(row["path"] == room for row in found["rows"]))
    watcher.order(do="watch", search="10.0.")

    assert watcher.next("found", lambda found: found["search"] == "10.0.")["count"] == 0


def test_the_files_for_other_workers_hold_no_secrets_either(
    watcher, server, opened, room, numbers_folder
):
    fields = [("Cookie", f"session={SECRET}"), ("Authorization", f"Bearer {SECRET}")]
    client = opened.enter_context(RawClient.open(server.address, f"{room}?token={SECRET}", fields))
    client.send_text(SECRET)
    client.read_text()

    watcher.next("now", lambda now: any(path["path"] == room for path in now["paths"]))

    written = [file.read_bytes() for file in numbers_folder.iterdir() if file.is_file()]
    assert any(room.encode() in text for text in written)
    assert not any(SECRET.encode() in text or COOKIE.encode() in text for text in written)
    assert all(file.stat().st_mode & 0o077 == 0 for file in numbers_folder.iterdir())


def test_what_is_kicked_with_a_reason_of_any_kind_is_told_it_and_no_line_of_the_log_is_forged(
    watcher, connect, server, room
):
    path = f"{room}\u2028forged: everything is fine"
    client = connect(quote(path))

    watcher.order(do="kick", path=path, reason="<b>\u202e\n" + "ä" * 200)

    frame = client.read_frame()
    reason = frame.payload[2:].decode()
    assert frame.close_code == 1008
    assert reason.startswith("<b>\u202e\nä")
    assert len(reason.encode()) <= 123
    watcher.next("kicked")
    assert "forged" in server.log
    assert not any(line.startswith("forged") for line in server.log.splitlines())


def test_the_page_makes_no_markup_of_what_it_is_told():
    folder = Path(APPS).parents[2] / "tina4_wsgi" / "browser" / "live"
    scripts = "".join(file.read_text() for file in folder.glob("*.js"))

    for word in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval("):
        assert word not in scripts
