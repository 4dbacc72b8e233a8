"""Workers of one app that keep history: who hears what is kept, in which order, and what is told to
pages while the journal can't be used.
"""

from __future__ import annotations

import sqlite3
import threading
from typing import Any

import gevent
import pytest

from tests.support.engine_house import wait_until
from tests.support.kept_house import ME, OTHER, PATH, ROOM, Page, Worker, Workers, quick, talk
from tina4_wsgi.errors import UsageError
from tina4_wsgi.journal.contract import KeptLimits
from tina4_wsgi.protocol.framing import text_frame
from tina4_wsgi.routing.router import Router

__all__ = ["quick"]

CHAT = "/ws/chat/a"


@pytest.fixture
def chat(workers: Workers) -> Workers:
    """An app whose chats keep history, and whose notes don't."""
    workers.route("/ws/chat/{room}", talk, history=100)
    workers.route("/ws/notes", talk)
    return workers


def broken(workers: Workers) -> sqlite3.Connection:
    """Hold the journal's file, as a process does that stands still."""
    connection = sqlite3.connect(workers.journal_path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    return connection


# -- plain clients


def test_plain_clients_of_all_workers_hear_what_is_kept(chat: Workers) -> None:
    one, other = chat.start(2)
    pages = [one.let_in(CHAT), other.let_in(CHAT)]

    pages[0].raw.send_text("hi")

    assert [page.read() for page in pages] == [["hi"], ["hi"]]


def test_a_plain_newcomer_hears_nothing_of_before_though_nobody_was_there(chat: Workers) -> None:
    one, other = chat.start(2)
    page = one.let_in(CHAT)
    page.cut()
    other.say(CHAT, "before")
    other.finish()

    again = one.let_in(CHAT)
    other.say(CHAT, "after")

    assert again.read() == ["after"]


def test_a_newcomer_hears_nothing_of_before_though_no_bell_has_told_of_it(chat: Workers) -> None:
    one, other = chat.start(2)
    here = one.let_in(CHAT)
    other.say(CHAT, "before")
    other.finish()

    page = one.let_in(CHAT, ME)
    other.say(CHAT, "after")

    greeting, mark, message = page.read(3)
    assert (greeting[-3:], mark[-3:], message) == (".n:", "-1:", "0-2:after")
    assert here.read(2) == ["before", "after"]


def test_a_plain_client_of_a_route_that_keeps_nothing_hears_as_ever(chat: Workers) -> None:
    one, other = chat.start(2)
    pages = [one.let_in("/ws/notes"), other.let_in("/ws/notes")]

    pages[0].raw.send_text("hi")

    assert [page.read() for page in pages] == [["hi"], ["hi"]]
    assert one.engine.keeper is None


def test_views_of_a_worker_without_clients_are_heard_in_the_others(chat: Workers) -> None:
    one, other = chat.start(2)
    page = one.let_in(CHAT)

    other.say(CHAT, "hi")

    assert page.read() == ["hi"]


# -- the order of the calls


def in_one_turn(page: Page, act: Any) -> None:
    """Do it as a callback does: without a switch, and with what is due at the end of the turn."""
    gevent.spawn(act, page.connection).get(timeout=5)


def test_what_is_sent_to_one_comes_behind_what_was_broadcast_before(chat: Workers) -> None:
    (one,) = chat.start()
    plain, (marked, _, _) = one.let_in(CHAT), one.come(CHAT)

    def act(connection: Any) -> None:
        for number in range(3):
            connection.broadcast(f"b{number}")
            connection.send(f"s{number}")

    in_one_turn(plain, act)
    assert plain.read(6) == ["b0", "s0", "b1", "s1", "b2", "s2"]
    in_one_turn(marked, act)

    assert marked.read(9) == [
        *("0-1:b0", "0-2:b1", "0-3:b2"),
        *("0-4:b0", ":s0", "0-5:b1", ":s1", "0-6:b2", ":s2"),
    ]


def test_the_close_frame_comes_behind_what_was_broadcast_before(chat: Workers) -> None:
    (one,) = chat.start()
    page, stays = one.let_in(CHAT), one.let_in(CHAT)

    def act(connection: Any) -> None:
        connection.broadcast("last words")
        connection.close(4000)

    in_one_turn(page, act)

    assert page.read() == ["last words"]
    assert page.raw.read_close() == 4000
    assert stays.read() == ["last words"]


def test_what_is_not_worth_keeping_comes_behind_what_was_kept_before(chat: Workers) -> None:
    one, other = chat.start(2)
    pages = [one.let_in(CHAT), other.let_in(CHAT)]
    marked, _, _ = other.come(CHAT)

    def act(connection: Any) -> None:
        for number in range(20):
            connection.broadcast(f"k{number}")
            connection.broadcast(f"u{number}", keep=False)

    in_one_turn(pages[0], act)

    expected = [text for number in range(20) for text in (f"k{number}", f"u{number}")]
    assert pages[0].read(40) == expected
    # In other workers a later message that is kept may overtake one that isn't, never the reverse.
    for heard in (pages[1].read(40), [text.partition(":")[2] for text in marked.read(40)]):
        for kind in "ku":
            assert [text for text in heard if text[0] == kind] == [
                text for text in expected if text[0] == kind
            ]
        assert all(heard.index(f"k{n}") < heard.index(f"u{n}") for n in range(20))


def test_what_goes_to_paths_and_rooms_keeps_the_order_of_the_calls(chat: Workers) -> None:
    chat.router.room("kept:{id}", history=10)
    one, other = chat.start(2)
    page, far = one.let_in(CHAT), other.let_in(CHAT)
    for each in (page, far):
        each.connection.join("kept:1")
        each.connection.join("plain")

    def act(connection: Any) -> None:
        connection.broadcast_to_room("kept:1", "1")
        connection.broadcast_to_room("plain", "2")
        connection.broadcast("3")
        connection.broadcast_to_room("plain", "4")
        connection.broadcast_to_room("kept:1", "5")

    in_one_turn(page, act)

    assert page.read(5) == list("12345")
    heard = far.read(5)
    assert [text for text in heard if text in "135"] == list("135")
    assert [text for text in heard if text in "24"] == list("24")
    assert heard.index("1") < heard.index("2")
    assert heard.index("3") < heard.index("4")


def test_who_leaves_a_room_gets_what_was_said_in_it_before(chat: Workers) -> None:
    chat.router.room("kept:{id}", history=10)
    (one,) = chat.start()
    page = one.let_in(CHAT)
    page.connection.join("kept:1")

    def act(connection: Any) -> None:
        connection.broadcast_to_room("kept:1", "before")
        connection.leave("kept:1")
        connection.broadcast_to_room("kept:1", "after")
        connection.send("end")

    in_one_turn(page, act)

    assert page.read(2) == ["before", "end"]


def test_exclude_self_leaves_out_the_sender_alone_in_all_workers(chat: Workers) -> None:
    one, other = chat.start(2)
    page, near, far = one.let_in(CHAT), one.let_in(CHAT), other.let_in(CHAT)

    def act(connection: Any) -> None:
        connection.broadcast("1")
        connection.broadcast("2", exclude_self=True)
        connection.broadcast("3")

    in_one_turn(page, act)

    assert page.read(2) == ["1", "3"]
    assert near.read(3) == far.read(3) == ["1", "2", "3"]


def test_what_was_said_under_a_key_is_said_once_whoever_says_it(chat: Workers) -> None:
    one, other = chat.start(2)
    pages = [one.let_in(CHAT), other.let_in(CHAT)]

    for worker in (one, other, one):
        worker.say(CHAT, "paid", once="invoice-42")
        worker.finish()
    one.say(CHAT, "end")

    assert [page.read(2) for page in pages] == [["paid", "end"]] * 2


def test_a_key_where_nothing_is_kept_is_an_error(chat: Workers) -> None:
    (one,) = chat.start()

    with pytest.raises(UsageError, match="keeps no history"):
        one.say("/ws/notes", "hi", once="k")
    with pytest.raises(UsageError, match="keep=True"):
        one.say(CHAT, "hi", once="k", keep=False)


def test_everybody_hears_the_same_order_whichever_worker_speaks(chat: Workers) -> None:
    staff = chat.start(3)
    pages = [worker.let_in(CHAT) for worker in staff]

    for number in range(60):
        pages[number % 3].raw.send_text(str(number))
        if number % 7 == 0:
            gevent.sleep(0)

    heard = [page.read(60) for page in pages]
    assert heard[0] == heard[1] == heard[2]
    assert sorted(map(int, heard[0])) == list(range(60))


# -- two hubs in one process


def test_two_hubs_of_one_process_hear_each_other(chat: Workers) -> None:
    (one,) = chat.start()
    here = one.let_in(CHAT)
    told: list[Any] = []
    is_there, is_over = threading.Event(), threading.Event()

    def another_hub() -> None:
        page = one.let_in(CHAT)
        is_there.set()
        told.extend(page.read(1))
        page.raw.send_text("from there")
        told.extend(page.read(1))
        page.cut()
        one.pages.remove(page)
        wait_until(lambda: not one.engine.connections)
        one.runtime.release()
        is_over.set()
        gevent.get_hub().destroy(destroy_loop=True)

    thread = threading.Thread(target=another_hub)
    thread.start()
    wait_until(is_there.is_set)
    here.raw.send_text("from here")

    assert here.read(2) == ["from here", "from there"]
    wait_until(is_over.is_set)
    thread.join()
    assert told == ["from here", "from there"]


# -- bells


def test_a_bell_that_nobody_heard_is_made_up_for(chat: Workers, monkeypatch: Any) -> None:
    one, other = chat.start(2)
    page = one.let_in(CHAT)
    monkeypatch.setattr(other.runtime.fanout, "ring", lambda *args: None)

    other.say(CHAT, "hi")

    assert page.read() == ["hi"]  # within a second


# -- when the journal can't be used


def test_what_cannot_be_kept_reaches_all_and_those_with_marks_are_told(chat: Workers) -> None:
    one, other = chat.start(2)
    plain, far = one.let_in(CHAT), other.let_in(CHAT)
    marked, _, was = one.come(CHAT)
    far_marked, _, _ = other.come(CHAT, OTHER)
    holder = broken(chat)

    plain.raw.send_text("unkept")
    assert plain.read() == far.read() == ["unkept"]
    assert marked.read(2) == ["#:", ":unkept"]
    assert set(far_marked.read(2)) == {"#:", ":unkept"}
    holder.close()
    told = [marked.settled(), far_marked.settled()]

    def agree() -> bool:
        for worker in (one, other):
            worker.keeper.hear()
        return one.keeper.position == other.keeper.position

    wait_until(agree)  # each of both has begun an epoch
    assert was not in [position for _, position in told]
    plain.raw.send_text("kept")
    assert plain.read() == ["kept"]
    assert marked.read_to("kept") is not None


def test_who_was_away_meanwhile_is_told_of_a_gap_in_every_worker(chat: Workers) -> None:
    one, other = chat.start(2)
    plain = one.let_in(CHAT)
    other.let_in(CHAT)
    away, _, position = other.come(CHAT)
    away.cut()
    holder = broken(chat)
    plain.raw.send_text("unkept")
    plain.read()
    holder.close()

    verdicts = [worker.come(CHAT, ME, position)[1][0][-2] for worker in (other, one)]

    assert verdicts == ["g", "g"]


def test_another_copy_is_a_gap_for_all_who_are_there(chat: Workers) -> None:
    one, other = chat.start(2)
    pages = [one.come(CHAT)[0], other.come(CHAT, OTHER)[0]]
    one.say(CHAT, "a")
    one.finish()
    for page in pages:
        assert page.read() == ["0-1:a"]
    chat.journal_path.unlink()

    one.say(CHAT, "b")
    one.finish()

    for page in pages:
        greeting, mark = page.read(2)
        assert (greeting[:14], greeting[-3:]) == (f"@{page.me}.", ".g:")
        assert mark[:1] == "#"
    assert pages[0].read() == ["0-1:b"]


def test_a_message_that_is_lost_in_one_hub_is_doubted_in_the_other_of_its_process(
    chat: Workers,
) -> None:
    (one,) = chat.start()
    page, _, position = one.come(CHAT)

    one.runtime.lose(2, CHAT, text_frame("of an older process"))  # type: ignore[arg-type]

    assert page.read(3)[:2] == [":of an older process", "#:"]
    assert one.come(CHAT, OTHER, position)[1][0].endswith(".g:")


# -- forks and ends


def test_a_worker_that_stops_has_kept_everything_that_was_said(chat: Workers) -> None:
    def goodbye(connection: Any, event: str, data: str) -> None:
        if event == "close":
            connection.broadcast("left")

    chat.route("/ws/bye", goodbye, history=10)
    one, other = chat.start(2)
    stays, _, position = other.come("/ws/bye")
    stays.cut()
    one.let_in("/ws/bye")

    chat.end(one)

    _, told, _ = other.come("/ws/bye", ME, position)
    assert [text.partition(":")[2] for text in told] == ["", "left", "left"]


# -- what is declared for publishers


def test_routes_that_keep_nothing_are_declared_beside_patterns_that_keep(chat: Workers) -> None:
    chat.route("/ws/chat/unkept")
    chat.router.room("orders:{id}", history=1)
    (one,) = chat.start()
    one.let_in(CHAT)

    declared = one.keeper._journal.declared()

    assert {(pattern, limits.most_messages) for _, pattern, limits in declared} == {
        ("/ws/chat/{room}", 100),
        ("/ws/chat/unkept", 0),
        ("/ws/notes", 0),
        ("orders:{id}", 1),
    }
    assert {kind for kind, _, _ in declared} == {PATH, ROOM}


def test_how_much_of_a_path_is_kept_is_what_its_route_says(chat: Workers) -> None:
    chat.route("/ws/chat/unkept")
    (worker,) = chat.start()
    histories = worker.new_histories()

    assert histories.of((PATH, CHAT)) == KeptLimits(100, 300.0, 0)
    assert histories.of((PATH, "/ws/chat/unkept")) is None
    assert histories.of((PATH, "/nowhere")) is None
    assert histories.of((ROOM, CHAT)) is None


def test_in_memory_two_hubs_share_what_is_kept(workers: Workers) -> None:
    workers.route("/ws/chat/{room}", talk, history=100)
    (one,) = workers.start(backplane="none")
    page, _, position = one.come(CHAT)
    page.cut()
    one.say(CHAT, "while away")

    _, told, _ = one.come(CHAT, ME, position)

    assert told[1:] == ["0-1:while away"]


def test_what_a_thread_says_unkept_does_not_overtake_what_it_said_to_be_kept_before(
    chat: Workers,
) -> None:
    one, other = chat.start(2)
    page = other.let_in(CHAT)
    relay = one.runtime.fanout.relay
    assert relay is not None
    assert relay._mailbox is not None

    def speak() -> None:
        # As if another thread had just said something: then this mailbox is emptied first.
        relay._mailbox.post(lambda: None)
        one.say(CHAT, "kept")
        one.say(CHAT, "unkept", keep=False)

    thread = threading.Thread(target=speak)
    thread.start()
    thread.join()

    assert page.read(2) == ["kept", "unkept"]


# -- routes and rooms that are registered while clients are there


def test_who_is_on_a_path_that_keeps_history_from_now_on_hears_what_others_keep(
    workers: Workers,
) -> None:
    workers.route("/ws/{name}", talk)
    workers.router.room("unused", history=1)
    one, other = workers.start(2)
    page = one.let_in("/ws/a")

    workers.route("/ws/a", talk, history=10)
    for worker in (one, other):
        histories = worker.runtime.fanout.histories
        assert histories is not None
        histories.forget()
        worker.runtime.take_up_histories()
    other.say("/ws/a", "kept", once="k")
    other.say("/ws/a", "kept too")

    assert page.read(2) == ["kept", "kept too"]


def test_a_plain_client_in_a_kept_room_hears_others_though_no_path_keeps_history(
    workers: Workers,
) -> None:
    workers.route("/ws/plain", talk)
    workers.router.room("team", history=10)
    one, other = workers.start(2)
    page = one.let_in("/ws/plain")
    page.connection.join("team")

    other.say_in_room("team", "from another worker", once="k")

    assert page.read() == ["from another worker"]


# -- tables of routes that differ, as in the middle of a deploy that brings history=


@pytest.fixture(params=["nothing", "another path"])
def old_and_new(workers: Workers, request: pytest.FixtureRequest) -> tuple[Worker, Worker]:
    """A worker whose table keeps nothing on "/ws/a" nor in "team", and one whose table does."""
    workers.route("/ws/a", talk)
    if request.param == "another path":
        workers.route("/ws/b", talk, history=10)
    (old,) = workers.start()
    workers.router = Router()
    workers.route("/ws/a", talk, history=10)
    workers.router.room("team", history=10)
    (new,) = workers.start()
    return old, new


def test_where_the_table_keeps_nothing_all_that_others_keep_is_heard(
    old_and_new: tuple[Worker, Worker],
) -> None:
    old, new = old_and_new
    page = old.let_in("/ws/a")

    for text in ("one", "two"):
        new.say("/ws/a", text)
        new.finish()
    new.say("/ws/a", "three", keep=False)

    assert page.read(3) == ["one", "two", "three"]


def test_a_room_that_others_keep_is_heard_there_too(old_and_new: tuple[Worker, Worker]) -> None:
    old, new = old_and_new
    page = old.let_in("/ws/a")
    page.connection.join("team")

    new.say_in_room("team", "kept")

    assert page.read() == ["kept"]


def test_who_comes_when_all_had_left_hears_it_as_well(old_and_new: tuple[Worker, Worker]) -> None:
    old, new = old_and_new
    page = old.let_in("/ws/a")
    new.say("/ws/a", "one")
    assert page.read() == ["one"]
    page.cut()
    wait_until(lambda: not old.engine.connections)

    page = old.let_in("/ws/a")
    new.say("/ws/a", "two")

    assert page.read() == ["two"]


def test_who_only_hears_what_others_keep_does_not_say_what_is_kept(
    old_and_new: tuple[Worker, Worker],
) -> None:
    old, new = old_and_new
    page = old.let_in("/ws/a")
    new.say("/ws/a", "one")
    assert page.read() == ["one"]

    declared = new.runtime.fanout.reading.open_another().declared()

    assert any(one.pattern == "/ws/a" and one.limits.most_messages == 10 for one in declared)


# -- a file of a later version of the package


def of_a_later_version(workers: Workers) -> None:
    """Have the file be one that a later version of the package wrote."""
    workers.journal_path.parent.mkdir(mode=0o700, exist_ok=True)
    connection = sqlite3.connect(workers.journal_path)
    connection.execute("PRAGMA user_version=7")
    connection.execute("CREATE TABLE later (x)")
    connection.close()


def test_beside_a_file_of_a_later_version_service_goes_on_and_the_log_says_so_once(
    chat: Workers, caplog: pytest.LogCaptureFixture
) -> None:
    of_a_later_version(chat)
    one, other = chat.start(2)
    pages = [one.let_in(CHAT), other.let_in(CHAT)]

    for text in ("a", "b"):
        one.say(CHAT, text)
        one.finish()
        one.keeper._mend_at_s = 0.0  # the file is tried again

    assert [page.read(2) for page in pages] == [["a", "b"], ["a", "b"]]
    lines = [record.getMessage() for record in caplog.records if record.name.endswith("history")]
    assert len(lines) == 2  # one of each worker
    assert all("tables of version 7, which a later version of tina4_wsgi" in one for one in lines)
    assert "tables of version 7" in one.runtime.history_error
    assert one.runtime.keeping_counts[1].unkept == 2


def test_once_the_file_of_a_later_version_is_moved_away_messages_are_kept(chat: Workers) -> None:
    of_a_later_version(chat)
    (one,) = chat.start()
    one.let_in(CHAT)
    one.say(CHAT, "unkept")
    one.finish()
    chat.journal_path.rename(chat.journal_path.with_suffix(".later"))
    one.keeper._mend_at_s = 0.0

    one.say(CHAT, "kept")
    one.finish()

    assert one.keeper.number == 1
    assert one.runtime.history_error == ""
