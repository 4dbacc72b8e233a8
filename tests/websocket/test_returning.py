"""Pages that come back: what they are told of their past, and what they get of it."""

from __future__ import annotations

import zlib
from typing import Any

import gevent
import pytest
from gevent.event import Event

from tests.support.engine_house import SMALL_BUFFER, WAIT_S, wait_until
from tests.support.kept_house import ME, OTHER, Page, Worker, Workers
from tina4_wsgi.backplane.envelope import Kind
from tina4_wsgi.engine import keeper as keeper_module
from tina4_wsgi.journal import contract as contract_module
from tina4_wsgi.journal import file as file_module
from tina4_wsgi.protocol.framing import text_frame
from tina4_wsgi.routing.names import GroupKind

CHAT = "/ws/chat/a"
LATEST = "/ws/latest/a"
HALL = "/ws/hall/a"
NOTES = "/ws/notes"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_module, "_MEND_S", 0.03)


def tell_resumed(connection: Any, event: str, data: Any) -> None:
    if event == "open":
        connection.send(f"open {connection.resumed}")
    if event == "message":
        connection.broadcast(data)


def enter_hall(connection: Any, event: str, data: Any) -> None:
    if event == "open":
        connection.join("hall:1")
        connection.send(f"open {connection.resumed}")


@pytest.fixture
def app(workers: Workers) -> Workers:
    workers.route("/ws/chat/{room}", tell_resumed, history=20)
    workers.route("/ws/latest/{room}", tell_resumed, history=20, replay=3)
    workers.route("/ws/hall/{room}", enter_hall, history=20)
    workers.route("/ws/notes", enter_hall)
    workers.router.room("hall:{id}", history=5)
    return workers


@pytest.fixture
def worker(app: Workers) -> Worker:
    return app.start()[0]


def say(worker: Worker, path: str, *texts: str) -> None:
    for text in texts:
        worker.say(path, text)
    worker.finish()


def say_in_hall(worker: Worker, *texts: str) -> None:
    for text in texts:
        worker.runtime.fanout.broadcast(GroupKind.ROOM, "hall:1", text_frame(text))
    worker.finish()


def away(worker: Worker, path: str) -> str:
    """Let a page come and go, and give where it was."""
    page, _, position = worker.come(path)
    page.cut()
    return position


def rest(marked: list[str]) -> list[str]:
    return [text.partition(":")[2] for text in marked]


# -- greetings


def test_a_newcomer_is_greeted_first_and_told_where_it_is_behind_open(worker: Worker) -> None:
    say(worker, CHAT, "a")

    page = worker.let_in(CHAT, ME)

    epoch = worker.keeper.epoch
    assert page.read(3) == [f"@{ME}.{epoch}.0-1.n:", ":open None", f"#{epoch}.0-1:"]
    assert page.connection.resumed is None
    assert page.connection.position == f"{epoch}.0-1"


def test_who_missed_nothing_is_told_so(worker: Worker) -> None:
    position = away(worker, CHAT)

    _, told, after = worker.come(CHAT, ME, position)

    assert told == [f"@{ME}.{position}.y:", ":open True"]
    assert after == position


def test_who_comes_back_gets_what_it_missed_before_open(worker: Worker) -> None:
    say(worker, CHAT, "seen")
    position = away(worker, CHAT)
    say(worker, CHAT, "a", "b")
    say(worker, LATEST, "elsewhere")

    page, told, after = worker.come(CHAT, ME, position)

    assert told == [f"@{ME}.{position}.y:", "0-2:a", "0-3:b", ":open True"]
    assert after == worker.keeper.position
    assert page.connection.resumed is True
    say(worker, CHAT, "c")
    assert page.read() == ["0-5:c"]


def test_another_worker_gives_it_what_was_missed(app: Workers) -> None:
    one, other = app.start(2)
    position = away(one, CHAT)
    say(one, CHAT, "a")
    say(other, CHAT, "b")

    _, told, _ = other.come(CHAT, ME, position)

    assert told == [f"@{ME}.{position}.y:", "0-1:a", "0-2:b", ":open True"]


def test_a_worker_that_is_far_behind_hears_first_and_tells_of_no_gap(app: Workers) -> None:
    one, other = app.start(2)
    other.let_in(LATEST)
    for number in range(300):
        say(one, CHAT, str(number))
    position = away(one, CHAT)

    _, told, _ = other.come(CHAT, ME, position)

    assert told[0] == f"@{ME}.{position}.y:"


@pytest.mark.parametrize("position", ["-", "rubbish", "other.0-1", "other.1-3", "....", "0-1"])
def test_a_position_that_says_nothing_is_a_gap(worker: Worker, position: str) -> None:
    say(worker, CHAT, "a")

    page, told, after = worker.come(CHAT, ME, position)

    assert told == [f"@{ME}.{after}.g:", ":open False"]
    assert page.connection.resumed is False


def test_a_position_of_the_future_is_a_gap(worker: Worker) -> None:
    position = away(worker, CHAT)

    _, told, _ = worker.come(CHAT, ME, position.replace("-0", "-999"))

    assert told[0].endswith(".g:")


def test_one_message_too_many_is_a_gap(worker: Worker) -> None:
    position = away(worker, CHAT)
    say(worker, CHAT, *map(str, range(20)))
    assert worker.come(CHAT, ME, position)[1][0].endswith(".y:")

    say(worker, CHAT, "20")

    _, told, _ = worker.come(CHAT, ME, position)
    assert rest(told) == ["", "open False"]


def test_what_was_forgotten_is_a_gap_only_for_who_missed_it(worker: Worker) -> None:
    early = away(worker, CHAT)
    say(worker, CHAT, "secret")
    late = away(worker, CHAT)
    worker.keeper._journal.forget((2, CHAT))

    assert worker.come(CHAT, ME, early)[1][0].endswith(".g:")
    assert worker.come(CHAT, ME, late)[1][0].endswith(".y:")


def test_counts_tell_who_came(worker: Worker) -> None:
    position = away(worker, CHAT)
    say(worker, CHAT, "a")
    worker.come(CHAT, ME, position)
    worker.come(CHAT, ME, "-")

    counts = worker.keeper.counts
    assert (counts.newcomers, counts.resumes, counts.gaps, counts.replayed) == (1, 1, 1, 1)


# -- replay


def test_a_newcomer_gets_the_latest_messages_before_open_and_nothing_else(worker: Worker) -> None:
    say(worker, LATEST, *"abcde")

    plain, (_, told, _) = worker.let_in(LATEST), worker.come(LATEST)

    assert plain.read(4) == ["c", "d", "e", "open None"]
    assert told[1:] == ["0-3:c", "0-4:d", "0-5:e", ":open None"]
    assert told[0].endswith(".n:")
    say(worker, LATEST, "f")
    assert plain.read() == ["f"]


def test_who_comes_back_gets_what_it_missed_and_no_replay(worker: Worker) -> None:
    say(worker, LATEST, *"abc")
    position = away(worker, LATEST)
    say(worker, LATEST, "d")

    _, told, _ = worker.come(LATEST, ME, position)

    assert told[1:] == ["0-4:d", ":open True"]


def test_behind_a_gap_the_latest_messages_come_as_for_a_newcomer(worker: Worker) -> None:
    say(worker, LATEST, *"abcde")

    _, told, _ = worker.come(LATEST, ME, "-")

    assert rest(told) == ["", "c", "d", "e", "open False"]


def test_without_messages_there_is_no_replay(worker: Worker) -> None:
    assert worker.let_in(LATEST).read() == ["open None"]


# -- authors


def test_what_was_not_for_its_author_is_left_out_for_it_alone(worker: Worker) -> None:
    page, _, position = worker.come(CHAT)
    gevent.spawn(page.connection.broadcast, "mine", exclude_self=True).get(timeout=5)
    gevent.spawn(page.connection.broadcast, "for all").get(timeout=5)
    page.cut()

    mine, others = worker.come(CHAT, ME, position)[1], worker.come(CHAT, OTHER, position)[1]

    assert rest(mine) == ["", "for all", "open True"]
    assert rest(others) == ["", "mine", "for all", "open True"]


# -- rooms


def test_a_room_that_is_joined_in_open_brings_what_was_missed_there(worker: Worker) -> None:
    position = away(worker, HALL)
    say_in_hall(worker, "a", "b")

    page, told, after = worker.come(HALL, ME, position)

    assert told == [f"@{ME}.{position}.y:", "0-1:a", "0-2:b", ":open True"]
    assert after == worker.keeper.position
    say_in_hall(worker, "c")
    assert page.read() == ["0-3:c"]


def test_a_gap_that_is_found_in_a_room_is_told(worker: Worker) -> None:
    position = away(worker, HALL)
    say_in_hall(worker, *"abcdef")

    page, told, after = worker.come(HALL, ME, position)

    assert told == [f"@{ME}.{position}.y:", f"@{ME}.{after}.g:", ":open False"]
    assert page.connection.resumed is False


def test_a_kept_room_has_members_on_routes_that_keep_nothing(worker: Worker) -> None:
    position = away(worker, NOTES)
    plain = worker.let_in(NOTES)
    assert plain.read() == ["open None"]
    say_in_hall(worker, "a")
    assert plain.read() == ["a"]

    page, told, _ = worker.come(NOTES, ME, position)

    assert told[1:] == ["0-1:a", ":open True"]
    say(worker, NOTES, "unkept")
    assert (page.read(), plain.read()) == ([":unkept"], ["unkept"])


def test_a_newcomer_gets_nothing_of_a_room_that_replays_nothing(worker: Worker) -> None:
    say_in_hall(worker, "a")

    _, told, _ = worker.come(HALL)

    assert rest(told) == ["", "open None"]


def test_a_room_that_replays_brings_its_latest_messages_to_plain_clients_too(
    workers: Workers,
) -> None:
    workers.route("/ws/hall/{room}", enter_hall, history=20)
    workers.route("/ws/notes", enter_hall)
    workers.router.room("hall:{id}", history=5, replay=2)
    (worker,) = workers.start()
    worker.let_in(NOTES).read()
    say_in_hall(worker, *"abc")

    assert worker.let_in(HALL).read(3) == ["b", "c", "open None"]
    assert worker.let_in(NOTES).read(3) == ["b", "c", "open None"]
    assert rest(worker.come(NOTES)[1]) == ["", "b", "c", "open None"]


def test_a_room_that_is_joined_later_brings_nothing_that_was_said_before(worker: Worker) -> None:
    position = away(worker, CHAT)
    say_in_hall(worker, "a")
    page, _, _ = worker.come(CHAT, ME, position)

    gevent.spawn(page.connection.join, "hall:1").get(timeout=5)
    say_in_hall(worker, "b")

    assert page.read() == ["0-2:b"]


# -- a client that is slow, or lost


def slow(worker: Worker, path: str, position: str, **options: Any) -> Page:
    return worker.let_in(path, ME, position, send_buffer=SMALL_BUFFER, **options)


@pytest.fixture
def heavy(workers: Workers) -> Worker:
    """A worker whose chats keep much more than may wait for a client."""
    workers.route("/ws/chat/{room}", tell_resumed, history=500, max_outbound_bytes=65_536)
    workers.route("/ws/latest/{room}", tell_resumed, history=500, replay=400)
    workers.route("/ws/hall/{room}", enter_hall, history=500, max_outbound_bytes=65_536)
    workers.router.room("hall:{id}", history=500)
    return workers.start()[0]


LONG = "x" * 5_000


def numbers(marked: list[str]) -> list[int]:
    return [int(text.partition(":")[2].split()[0]) for text in marked if text[0] == "0"]


def test_a_slow_client_gets_all_that_it_missed_and_what_is_said_meanwhile_once(
    heavy: Worker,
) -> None:
    position = away(heavy, CHAT)
    say(heavy, CHAT, *(f"{number} {LONG}" for number in range(100)))

    page = slow(heavy, CHAT, position)
    for number in range(100, 200):
        heavy.say(CHAT, f"{number} {LONG}")
        if number % 3 == 0:
            gevent.sleep(0)
    assert page.connection._lifecycle.transport.queued_bytes < 2 * 65_536
    assert len(heavy.engine.on_path(CHAT)) == 1
    told, _ = page.settled()

    assert numbers(told) == list(range(200))
    assert not page.connection.closed


def test_a_slow_newcomer_gets_the_replay_and_what_is_said_meanwhile_once(heavy: Worker) -> None:
    say(heavy, LATEST, *(f"{number} {LONG}" for number in range(300)))

    page = heavy.let_in(LATEST, send_buffer=SMALL_BUFFER)
    for number in range(300, 360):
        heavy.say(LATEST, f"{number} {LONG}")
        gevent.sleep(0)
    heard = page.read_to("open None")

    assert [int(text.split()[0]) for text in heard] == list(range(360))


def test_what_is_said_in_the_very_turn_in_which_it_has_caught_up_is_not_lost(
    heavy: Worker,
) -> None:
    position = away(heavy, CHAT)
    say(heavy, CHAT, *(f"{number} {LONG}" for number in range(30)))
    page, count, told = slow(heavy, CHAT, position), 30, list[str]()

    while not (told and told[-1][0] == "#"):
        told += page.read()
        if count < 60:
            # Not finished: it waits for the end of the turn, as the client's worker may.
            heavy.say(CHAT, f"{count} {LONG}")
            count += 1

    while len(numbers(told)) < count:
        told += page.read()
    assert numbers(told) == list(range(count))


def test_what_is_said_in_a_room_while_a_client_catches_up_there_is_not_lost(heavy: Worker) -> None:
    position = away(heavy, HALL)
    say_in_hall(heavy, *(f"{number} {LONG}" for number in range(60)))

    page = slow(heavy, HALL, position)
    told: list[str] = []
    for number in range(60, 120):
        told += page.read()
        heavy.runtime.fanout.broadcast(GroupKind.ROOM, "hall:1", text_frame(f"{number} {LONG}"))
    while len(numbers(told)) < 120:
        told += page.read()

    assert numbers(told) == list(range(120))


def test_a_client_that_is_lost_while_it_catches_up_leaves_nothing_behind(heavy: Worker) -> None:
    position = away(heavy, CHAT)
    say(heavy, CHAT, *(f"{number} {LONG}" for number in range(100)))
    stays = heavy.let_in(CHAT)
    page = slow(heavy, CHAT, position)
    page.read(3)

    page.cut()

    wait_until(lambda: len(heavy.engine.connections) == 1)
    assert not heavy.engine._arriving
    assert heavy.engine.count(GroupKind.PATH, CHAT) == 1
    say(heavy, CHAT, "on")
    assert stays.read_to("on")


def test_a_resume_that_breaks_in_the_middle_can_be_made_again(heavy: Worker) -> None:
    position = away(heavy, CHAT)
    say(heavy, CHAT, *(f"{number} {LONG}" for number in range(60)))
    page = slow(heavy, CHAT, position)
    first = page.read(20)
    page.cut()

    _, told, _ = heavy.come(CHAT, ME, position)

    assert not [text for text in first if text[0] == "#"]
    assert numbers(told) == list(range(60))


def test_a_server_that_stops_while_a_client_catches_up_ends_it_properly(heavy: Worker) -> None:
    position = away(heavy, CHAT)
    say(heavy, CHAT, *(f"{number} {LONG}" for number in range(60)))
    page = slow(heavy, CHAT, position)
    page.read(2)

    page.connection._lifecycle.begin_close(1001, "going away")

    seen = []
    while (frame := page.raw.read_frame()).opcode != 8:
        seen.append(frame.payload.decode())
    assert frame.close_code == 1001
    assert not [text for text in seen if text[0] in "#"]


def test_a_marked_client_that_takes_nothing_is_closed_rather_than_left_with_a_hole(
    workers: Workers,
) -> None:
    workers.route("/ws/chat/{room}", history=500, max_outbound_bytes=65_536)
    (worker,) = workers.start()
    page = worker.let_in(CHAT, ME, send_buffer=SMALL_BUFFER)
    _, position = page.settled()
    for number in range(60):
        say(worker, CHAT, f"{number} {LONG}")

    heard = []
    while (frame := page.raw.read_frame()).opcode != 8:
        heard.append(frame.payload.decode())
    assert frame.close_code == 1013
    _, told, _ = worker.come(CHAT, ME, position)

    assert numbers(told) == list(range(60))
    assert numbers(heard) == list(range(len(heard)))


# -- the journal changes while a client catches up


def begin_anew(worker: Worker) -> None:
    """Have something said that is in no journal."""
    worker.runtime.lose(Kind.PATH, CHAT, text_frame("lost"))


def test_a_message_that_is_not_kept_while_a_client_catches_up_is_a_gap(heavy: Worker) -> None:
    position = away(heavy, CHAT)
    say(heavy, CHAT, *(f"{number} {LONG}" for number in range(60)))
    page = slow(heavy, CHAT, position)
    early = page.read(2)

    begin_anew(heavy)
    told, after = page.settled()

    assert early[0].endswith(".y:")
    assert [text[-3:] for text in told if text[0] == "@"] == [".g:"]
    assert "#" not in {text[0] for text in told if text != "#:"}
    assert told[-1] == ":open False"
    assert after == heavy.keeper.position


def test_a_new_copy_while_a_client_catches_up_is_a_gap_and_nothing_behind_it_is_lost(
    workers: Workers,
) -> None:
    workers.route("/ws/chat/{room}", tell_resumed, history=500, max_outbound_bytes=65_536)
    (worker,) = workers.start()
    position = away(worker, CHAT)
    say(worker, CHAT, *(f"{number} {LONG}" for number in range(60)))
    page = slow(worker, CHAT, position)
    page.read(2)

    workers.journal_path.unlink()
    say(worker, CHAT, "100 new")
    told, after = page.settled()
    say(worker, CHAT, "101 new")

    gap = [place for place, text in enumerate(told) if text[:1] == "@"]
    assert len(gap) == 1
    assert told[gap[0]].endswith(".g:")
    assert after.endswith("0-1")
    assert page.read() == ["0-2:101 new"]


def test_a_client_that_is_in_open_is_told_of_a_new_epoch_only_behind_it(workers: Workers) -> None:
    is_in_open, may_go_on = Event(), Event()

    def wait(connection: Any, event: str, data: Any) -> None:
        if event == "open":
            is_in_open.set()
            may_go_on.wait(WAIT_S)
            connection.send(f"open {connection.resumed}")

    workers.route("/ws/chat/{room}", wait, history=20)
    (worker,) = workers.start()
    page = worker.let_in(CHAT, ME)
    page.read()
    assert is_in_open.wait(WAIT_S)

    begin_anew(worker)
    may_go_on.set()
    told, after = page.settled()

    assert told == [":lost", "#:", ":open None"]
    assert after == worker.keeper.position


# -- compression, early bytes


class Inflated:
    """Reads the messages of a client that asked for permessage-deflate."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def read(self, count: int) -> tuple[list[str], int]:
        """Read so many messages; return them, and how many were compressed."""
        found, compressed = [], 0
        for _ in range(count):
            frame = self.page.raw.read_frame()
            payload = frame.payload
            if frame.first & 0x40:
                compressed += 1
                payload = zlib.decompressobj(-15).decompress(payload + b"\0\0\xff\xff")
            found.append(payload.decode())
        return found, compressed


def test_marks_and_compression_go_together(worker: Worker) -> None:
    text = "long enough to be worth it, " * 100
    say(worker, CHAT, text)
    position = away(worker, CHAT).replace("0-1", "0-0")
    page = worker.let_in(CHAT, ME, position, window_bits=15)
    inflated = Inflated(page)

    told, compressed = inflated.read(4)
    say(worker, CHAT, text)
    worker.say(CHAT, text, keep=False)
    gevent.spawn(page.connection.send, text).get(timeout=5)
    live, compressed_live = inflated.read(3)

    assert rest(told) == ["", text, "open True", ""]
    assert compressed == 1
    assert live == [f"0-2:{text}", f":{text}", f":{text}"]
    assert compressed_live == 3


def test_all_kinds_of_clients_hear_the_same(worker: Worker) -> None:
    text = "y" * 3_000
    plain, marked, _ = worker.let_in(CHAT), worker.let_in(CHAT, ME), worker.let_in(CHAT)
    packed = Inflated(worker.let_in(CHAT, window_bits=15))
    both = Inflated(worker.let_in(CHAT, OTHER, window_bits=15))
    plain.read()
    marked.settled()
    packed.read(1)
    both.read(3)

    say(worker, CHAT, text)

    assert plain.read() == packed.read(1)[0] == [text]
    assert marked.read() == both.read(1)[0] == [f"0-1:{text}"]


def test_binary_messages_have_their_marks_in_bytes(workers: Workers) -> None:
    def echo(connection: Any, event: str, data: Any) -> None:
        if event == "open":
            connection.broadcast(b"\x00\xff")
            connection.send(b"\xfe:")

    workers.route("/ws/chat/{room}", echo, history=5)
    (worker,) = workers.start()
    page = worker.let_in(CHAT, ME)
    page.read()

    frames = [page.raw.read_frame() for _ in range(2)]

    assert [(one.opcode, one.payload) for one in frames] == [
        (2, b"0-1:\x00\xff"),
        (2, b":\xfe:"),
    ]


@pytest.mark.parametrize("length", [0, 120, 121, 122, 125, 126, 65_530, 65_531, 65_535, 65_536])
def test_marks_make_frames_of_the_next_length_where_need_be(worker: Worker, length: int) -> None:
    page, _, position = worker.come(CHAT)
    text = "x" * length

    say(worker, CHAT, text)

    assert page.read() == [f"0-1:{text}"]
    page.cut()
    assert worker.come(CHAT, ME, position)[1][1] == f"0-1:{text}"


def test_small_pages_give_the_same(app: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_module, "MOST_ROWS", 3)
    assert contract_module.MOST_ROWS > 3
    (worker,) = app.start()
    position = away(worker, CHAT)
    for number in range(20):
        say(worker, CHAT, str(number))

    _, told, _ = worker.come(CHAT, ME, position)

    assert numbers(told) == list(range(20))
