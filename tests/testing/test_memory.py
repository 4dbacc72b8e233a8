"""What a client makes of marks, as `tests/client` holds it for the one of pages."""

from __future__ import annotations

from tina4_wsgi.testing.memory import Memory, marked


def greeted(verdict: str = "n", position: str = "E.0-1", since: str = "") -> Memory:
    memory = Memory(since)
    assert memory.read(f"@{memory.answer()[1:-1]}.{position}.{verdict}:") is None
    return memory


def test_it_asks_for_marks_under_a_name_of_its_own_and_with_its_position():
    newcomer, other, back = Memory(""), Memory(""), Memory("E.0-1")

    assert newcomer.claim() == f"tina4=1.{newcomer.answer()[1:-1]}" != other.claim()
    assert len(newcomer.answer()) == 14
    assert back.claim().endswith(".E.0-1")


def test_who_comes_back_has_the_name_that_it_had():
    memory = greeted()

    assert Memory(memory.position).answer() == memory.answer()


def test_a_first_message_that_greets_nobody_means_a_plain_server():
    memory = Memory("")

    assert memory.read("@somebody.else:hi") == "@somebody.else:hi"
    assert memory.is_marked is False
    assert memory.read(":hi") == ":hi"


def test_the_message_behind_a_mark_may_hold_anything():
    memory = greeted()

    assert memory.read(":a:b\n") == "a:b\n"
    assert memory.read(b":\xff:\n") == b"\xff:\n"
    assert memory.read(":") == ""


def test_a_kept_message_comes_once_also_over_a_cut():
    memory = greeted("y", since="E.0-1")
    first, again = memory.read("0-2:a"), memory.read("0-2:a")
    back = Memory(memory.position)
    back.read(f"@{back.answer()[1:-1]}.E.0-1.y:")

    assert (first, again) == ("a", None)
    assert memory.position == "E.0-1"
    assert (back.read("0-2:a"), back.read("0-3:b")) == (None, "b")


def test_once_all_has_been_said_each_kept_message_moves_its_shard():
    memory = greeted()
    memory.read("#F.0-4_10-2:")
    memory.read(b"10-3:a")
    memory.read("2-7:b")
    memory.read("0-3:late")

    assert memory.position == "F.0-4_2-7_10-3"


def test_a_void_position_stays_void_until_the_next_one():
    memory = greeted()
    memory.read("#E.0-1:")
    memory.read("#:")
    assert memory.read("0-2:a") == "a"
    assert memory.position == "-"

    memory.read("#F.0-2:")

    assert memory.position == "F.0-2"
    assert not memory.missed


def test_a_gap_that_is_found_later_is_told():
    memory = greeted("y", since="E.0-1")
    assert memory.resumed is True

    memory.read(f"@{memory.answer()[1:-1]}.E.0-9.g:")

    assert (memory.resumed, memory.missed, memory.position) == (False, True, "E.0-9")


def test_what_a_newer_server_says_is_left_out():
    memory = greeted()

    assert memory.read("?7:what") is None
    assert memory.read("no mark at all") is None


def test_what_a_client_says_has_a_mark_too():
    assert marked("hi") == ":hi"
    assert marked(b"hi") == b":hi"
