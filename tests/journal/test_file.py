"""What may befall the file of a journal: whoever uses it loses nothing in silence."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from tests.journal.conftest import CHAT, LIMITS, NOW_S, draft, drafts, file_journal
from tests.support.polling import poll_until
from tina4_wsgi.errors import JournalError
from tina4_wsgi.journal import database as database_module
from tina4_wsgi.journal.contract import NEWS_S, Declared, KeptLimits
from tina4_wsgi.journal.file import FileJournal
from tina4_wsgi.protocol.marks import message_of

OTHER = (2, "/ws/other")
ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 10.0
ENDINGS = ("", "-wal", "-shm")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "h" / "history.sqlite"


@pytest.fixture
def make(path: Path) -> Iterator[Callable[[], FileJournal]]:
    """One more user of the file."""
    made: list[FileJournal] = []

    def make() -> FileJournal:
        made.append(file_journal(path))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def journal(make: Callable[[], FileJournal]) -> FileJournal:
    """A user, behind two messages."""
    journal = make()
    journal.append(drafts("a", "b"), NOW_S)
    return journal


def texts(journal: FileJournal) -> list[str]:
    return [str(message_of(one.frame)) for one in journal.latest(CHAT, 100, 1 << 40, LIMITS, NOW_S)]


def is_sound(path: Path) -> bool:
    connection = sqlite3.connect(path)
    try:
        return connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    finally:
        connection.close()


# -- closed and opened


def test_a_file_that_is_opened_again_goes_on_where_it_was(journal, make):
    before = journal.point()
    journal.close()

    assert make().point() == before
    assert journal.append([draft("c")], NOW_S).numbers == [3]
    assert texts(journal) == ["a", "b", "c"]


def test_another_start_of_the_machine_is_a_new_copy_with_the_same_messages(
    journal, make, monkeypatch
):
    before = journal.point()
    journal.close()
    monkeypatch.setattr(database_module, "_boot_id", lambda: "another")

    after = make().point()

    assert after.epoch != before.epoch
    assert after.copy_id != before.copy_id
    assert after.number == before.number
    assert texts(journal) == ["a", "b"]


def test_files_of_another_version_are_left_as_they_are(journal, path):
    journal.close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=7")
    connection.close()
    content = path.read_bytes()

    with pytest.raises(JournalError, match="tables of version 7, which a later version"):
        journal.point()

    journal.close()
    assert path.read_bytes() == content


# -- deleted


def test_a_file_that_is_deleted_in_use_is_made_anew_and_that_is_seen(journal, path):
    before = journal.point()
    path.unlink()

    after = journal.point()

    assert after.copy_id != before.copy_id
    assert after.epoch != before.epoch
    assert journal.append([draft("c")], NOW_S).numbers == [1]
    assert texts(journal) == ["c"]


def test_a_folder_that_is_deleted_in_use_is_made_anew(journal, path):
    before = journal.point()
    shutil.rmtree(path.parent)

    assert journal.append([draft("c")], NOW_S).numbers == [1]
    assert journal.point().copy_id != before.copy_id


def test_two_users_whose_file_is_deleted_meet_in_the_next_one(journal, make, path):
    other = make()
    other.point()
    path.unlink()

    journal.append([draft("c")], NOW_S)
    other.append([draft("d")], NOW_S)
    journal.append([draft("e")], NOW_S)

    assert texts(journal) == texts(other) == texts(make()) == ["c", "d", "e"]
    assert journal.point() == other.point()
    journal.close()
    other.close()
    assert is_sound(path)


def after_a_while(journal: FileJournal, act: Callable[[FileJournal], object]) -> None:
    """Do it as a hub does: again and again until the journal can be used."""
    poll_until(lambda: succeeds(act, journal))


def succeeds(act: Callable[[FileJournal], object], journal: FileJournal) -> bool:
    try:
        act(journal)
    except JournalError:
        return False
    return True


SAYS_X = """
    numbers = []
    while not numbers:
        try:
            numbers = j.append([draft("x")], NOW_S).numbers
        except JournalError:
            time.sleep(0.01)
    print(numbers[0], flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("ending", ["-wal", "-shm"])
def test_when_a_file_beside_it_is_deleted_in_use_nothing_is_lost_in_silence(
    make, journal, path, ending
):
    users = [journal, make(), make()]
    for one in users:
        one.append([draft("c")], NOW_S)
    before = journal.point()
    (path.parent / (path.name + ending)).unlink()

    with run(SAYS_X, path) as newcomer:
        left = users[:]

        def have_all_said() -> bool:
            """Let each try now and then, as hubs do."""
            left[:] = [
                one for one in left if not succeeds(lambda it: it.append([draft("d")], NOW_S), one)
            ]
            return not left

        poll_until(have_all_said)
        newcomer.stdout.readline()
        said, after = texts(journal), journal.point()
        assert [texts(one) for one in users] == [said] * 3
        newcomer.communicate(timeout=WAIT_S)

    assert sorted(said[-4:]) == ["d", "d", "d", "x"]
    assert after.copy_id == before.copy_id
    assert said[:-4] == ["a", "b", "c", "c", "c"]
    for one in users:
        one.close()
    assert is_sound(path)


def test_when_what_sqlite_had_yet_to_move_is_deleted_while_nobody_serves_that_is_seen(path, make):
    code = """
        j.append([draft("a")], NOW_S)
        j.close()
        time.sleep(0.1)
        j.append([draft("b")], NOW_S)
        print(j.point().epoch, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    with run(code, path) as process:
        epoch = process.communicate(timeout=WAIT_S)[0].strip()
    for ending in ("-wal", "-shm"):
        (path.parent / (path.name + ending)).unlink()

    after = make().point()

    assert (after.number, len(epoch)) == (1, 8)
    assert after.epoch != epoch


def test_a_process_that_was_killed_leaves_everything_in_the_same_epoch(path, make):
    code = """
        j.append([draft("a"), draft("b")], NOW_S)
        print(*j.point(), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    with run(code, path) as process:
        point = process.communicate(timeout=WAIT_S)[0].split()

    assert list(map(str, make().point())) == point
    assert texts(make()) == ["a", "b"]


# -- replaced by a copy


def back_up(path: Path, folder: Path) -> Path:
    """Copy the file as it is now."""
    source, copy = sqlite3.connect(path), folder / "backup"
    target = sqlite3.connect(copy)
    source.backup(target)
    source.close()
    target.close()
    return copy


@pytest.mark.parametrize("how", ["in its place", "over it", "deleted before"])
def test_an_older_copy_that_is_put_back_while_nobody_serves_is_a_new_epoch(
    journal, make, path, tmp_path, how
):
    journal.close()
    copy = back_up(path, tmp_path)
    journal.append([draft("c")], NOW_S)
    before = journal.point()
    journal.close()

    if how == "in its place":
        path.write_bytes(copy.read_bytes())
    elif how == "over it":
        copy.rename(path)
    else:
        path.unlink()
        shutil.copy(copy, path)
    after = make().point()

    assert after.epoch != before.epoch
    assert after.copy_id != before.copy_id
    assert texts(journal) == ["a", "b"]


def test_a_copy_that_is_put_back_in_use_is_a_new_epoch_and_sound(journal, make, path, tmp_path):
    other = make()
    copy = back_up(path, tmp_path)
    for number in range(2_000):
        journal.append([draft(str(number) * 50)], NOW_S)
    other.append([draft("d")], NOW_S)
    before = journal.point()

    copy.rename(path)
    after_a_while(other, lambda it: it.append([draft("e")], NOW_S))
    after_a_while(journal, lambda it: it.append([draft("f")], NOW_S))
    after = journal.point()

    assert after == other.point()
    assert after.copy_id != before.copy_id
    assert after.epoch != before.epoch
    assert texts(journal)[-2:] == texts(other)[-2:] == ["e", "f"]
    journal.close()
    other.close()
    assert is_sound(path)


# -- broken


@pytest.mark.parametrize("rubbish", [b"rubbish " * 1_000, b"x"])
def test_rubbish_is_replaced_by_a_new_file(journal, path, rubbish):
    journal.close()
    path.write_bytes(rubbish)

    after_a_while(journal, lambda it: it.append([draft("c")], NOW_S))

    assert texts(journal) == ["c"]


def test_rubbish_in_the_middle_of_a_file_in_use_is_found_and_the_file_replaced(journal, path):
    for number in range(3_000):
        journal.append([draft(str(number) * 20)], NOW_S)
    before = journal.point()
    journal.close()
    with open(path, "r+b") as file:
        file.seek(4_096)
        file.write(b"\xa5" * (path.stat().st_size - 8_192))

    after_a_while(journal, lambda it: it.append([draft("c")], NOW_S))
    after_a_while(journal, lambda it: it.latest(CHAT, 5_000, 1 << 40, LIMITS, NOW_S))
    after_a_while(journal, lambda it: it.append([draft("d")], NOW_S))

    assert journal.point().copy_id != before.copy_id
    assert "d" in texts(journal)


def test_an_empty_file_is_as_good_as_none(path, make):
    path.parent.mkdir()
    path.touch()

    assert make().append([draft("c")], NOW_S).numbers == [1]


def test_a_file_that_does_not_say_where_it_is_is_replaced(journal, path):
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM meta")
    connection.commit()
    connection.close()

    with pytest.raises(JournalError):
        journal.append([draft("c")], NOW_S)

    assert journal.append([draft("d")], NOW_S).numbers == [1]


def test_rows_that_nobody_can_have_written_are_no_error_of_another_kind(journal, path):
    connection = sqlite3.connect(path)
    connection.execute("UPDATE rows SET authors='x,y,z', frames=x'81'")
    connection.commit()
    connection.close()

    with pytest.raises(JournalError):
        journal.news(0)


def test_a_file_in_the_place_of_the_folder_is_an_error_until_it_is_gone(tmp_path, make, path):
    path.parent.write_text("in the way")
    journal = make()
    with pytest.raises(JournalError):
        journal.append([draft("c")], NOW_S)

    path.parent.unlink()

    assert journal.append([draft("c")], NOW_S).numbers == [1]


def test_a_journal_that_failed_is_doubted_by_who_opens_it_next(journal, make, path):
    before = journal.point()
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalError):
        journal.append([draft("c")], NOW_S)
    holder.execute("ROLLBACK")
    holder.close()

    after = make().point()

    assert after.epoch != before.epoch
    assert after[1:] == before[1:]
    assert make().point() == after


def test_a_new_epoch_ends_the_doubt(journal, make, path):
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalError):
        journal.append([draft("c")], NOW_S)
    holder.close()

    renewed = journal.renew()

    assert make().point() == renewed


# -- declarations outlive the file


def test_what_is_declared_is_said_in_the_next_file_too(journal, make, path):
    declared = [Declared(2, "/ws/chat", LIMITS)]
    journal.declare(declared)
    path.unlink()

    journal.point()

    assert make().declared() == declared


# -- a full disk


def run(code: str, path: Path) -> subprocess.Popen[str]:
    """Run a program that has a journal `j` in this file."""
    program = f"""
        import os, signal, sys, time, resource
        from pathlib import Path
        from tests.journal.conftest import CHAT, LIMITS, NOW_S, draft, drafts, file_journal
        from tina4_wsgi.errors import JournalError
        j = file_journal(Path({str(path)!r}))
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program) + textwrap.dedent(code)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_on_a_full_disk_a_message_is_not_kept_and_later_ones_are_again(path):
    code = """
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        kept, failed = 0, 0
        while not failed:
            try:
                j.append([draft("x" * 10_000)], NOW_S)
                kept += 1
            except JournalError:
                failed += 1
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        numbers = j.append([draft("c")], NOW_S).numbers
        found = j.missed(CHAT, 0, 1 << 40, LIMITS, NOW_S)
        print(kept, numbers[0], len(found))
    """
    with run(code, path) as process:
        out, _ = process.communicate(timeout=WAIT_S)

    kept, number, found = map(int, out.split())
    assert kept > 2
    assert number == found == kept + 1
    assert is_sound(path)


def test_the_limit_of_this_process_is_as_it_was():
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


# -- other processes


def stopped_writer(path: Path) -> subprocess.Popen[str]:
    """A process that stops in the middle of a change."""
    code = """
        def stop(connection):
            connection.execute("UPDATE meta SET top=99")
            print("in it", flush=True)
            os.kill(os.getpid(), signal.SIGSTOP)
        try:
            j._database.write(stop)
        except JournalError:
            pass
        print("done", flush=True)
    """
    process = run(code, path)
    assert process.stdout is not None
    assert process.stdout.readline() == "in it\n"
    return process


def test_a_writer_that_stands_still_is_not_waited_for(journal, path):
    process = stopped_writer(path)
    try:
        with pytest.raises(JournalError, match="locked"):
            journal.append([draft("c")], NOW_S)
        assert texts(journal) == ["a", "b"]

        process.send_signal(signal.SIGCONT)
        assert process.communicate(timeout=WAIT_S)[0] == "done\n"
    finally:
        process.kill()
        process.communicate()

    assert journal.append([draft("c")], NOW_S).numbers == [100]


def test_a_writer_that_is_killed_while_it_stands_still_leaves_nothing(journal, path):
    process = stopped_writer(path)

    process.kill()
    process.communicate()

    assert journal.append([draft("c")], NOW_S).numbers == [3]
    assert texts(journal) == ["a", "b", "c"]


def write_until_killed(path: Path, name: int, log: Path) -> None:
    """Say three messages at a time, and note which number each has got."""
    journal, many, count = file_journal(path), KeptLimits(10_000, 1e9), 0
    with open(log, "wb", buffering=0) as out:
        while True:
            said = [f"{name} {count + place}" for place in range(3)]
            try:
                numbers = journal.append(drafts(*said, limits=many), time.time()).numbers
            except JournalError:
                continue  # another one was killed, or has not got its turn, at a bad moment
            told = [f"{n} {text}\n" for n, text in zip(numbers, said, strict=True)]
            out.write("".join(told).encode())
            count += 3
            time.sleep(0.001)  # a hub has other things to do, too


def start_writer(path: Path, name: int, log: Path) -> int:
    pid = os.fork()
    if not pid:
        try:
            write_until_killed(path, name, log)
        finally:
            os._exit(1)
    return pid


def hear_all(reader: FileJournal, heard: list[tuple[int, str]], copies: set[int]) -> None:
    """Read what is new, as a hub does."""
    while True:
        news = reader.news(heard[-1][0] if heard else 0)
        assert news.is_whole
        if not news.rows:
            return
        copies.add(news.point.copy_id)
        for row in news.rows:
            heard.extend((one.number, str(message_of(one.frame))) for one in row.messages)


KILLS = 60


@pytest.mark.deadline(60)
def test_writers_that_are_killed_leave_no_hole_and_nothing_out_of_order(path, tmp_path):
    logs = [tmp_path / f"log{number}" for number in range(KILLS + 4)]
    reader, heard, copies = file_journal(path), list[tuple[int, str]](), set[int]()
    running = [(start_writer(path, number, logs[number]), number) for number in range(4)]
    try:
        for number in range(4, KILLS + 4):
            victim, name = running[0]
            log = logs[name]
            poll_until(lambda log=log: log.exists() and log.stat().st_size)
            os.kill(victim, signal.SIGKILL)
            os.waitpid(victim, 0)
            running.pop(0)
            after_a_while(reader, lambda it: hear_all(it, heard, copies))
            running.append((start_writer(path, number, logs[number]), number))
    finally:
        for pid, _ in running:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    after_a_while(reader, lambda it: hear_all(it, heard, copies))
    reader.close()

    assert len(copies) == 1
    assert [number for number, _ in heard] == list(range(1, len(heard) + 1))
    by_writer: dict[str, list[int]] = {}
    for _, text in heard:
        name, number = text.split()
        by_writer.setdefault(name, []).append(int(number))
    assert all(numbers == list(range(len(numbers))) for numbers in by_writer.values())
    told = {
        (int(number), text)
        for log in logs
        if log.exists()  # the last one may have been killed before it began
        for number, text in (line.split(" ", 1) for line in log.read_text().split("\n")[:-1])
    }
    assert len(told) > 3 * KILLS
    assert told <= set(heard)
    assert is_sound(path)


# -- forks


def in_a_child(act: Callable[[], None]) -> None:
    """Run it in a forked child, and have the test fail if it raises."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            act()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0


def test_a_child_uses_a_connection_of_its_own(journal):
    in_a_child(lambda: journal.append([draft("c")], NOW_S))

    journal.append([draft("d")], NOW_S)
    assert texts(journal) == ["a", "b", "c", "d"]


def test_what_a_child_writes_outlives_that_its_parent_closes_the_file(journal, make, path):
    ours, childs = os.pipe(), os.pipe()
    pid = os.fork()
    if not pid:
        try:
            journal.append([draft("c")], NOW_S)
            os.write(childs[1], b"x")
            os.read(ours[0], 1)
            journal.append([draft("d")], NOW_S)
        finally:
            os._exit(0)
    os.read(childs[0], 1)

    journal.append([draft("p")], NOW_S)
    journal.close()
    os.write(ours[1], b"x")
    os.waitpid(pid, 0)
    for descriptor in (*ours, *childs):
        os.close(descriptor)

    assert texts(make()) == ["a", "b", "c", "p", "d"]


def test_a_fork_waits_for_a_transaction_of_another_thread(journal):
    is_in, may_go = threading.Event(), threading.Event()

    def slow(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE meta SET top=9")
        is_in.set()
        may_go.wait(WAIT_S)

    thread = threading.Thread(target=lambda: journal._database.write(slow))
    thread.start()
    is_in.wait(WAIT_S)
    threading.Timer(0.05, may_go.set).start()

    in_a_child(lambda: journal.append([draft("c")], NOW_S))
    thread.join()

    assert journal.append([draft("d")], NOW_S).numbers == [11]


# -- the clock


def test_a_clock_that_was_set_back_neither_fails_nor_drops_what_is_news(journal):
    few = KeptLimits(most_messages=2, longest_s=300.0)
    for number in range(40):
        journal.append([draft(str(number), limits=few)], NOW_S)
    reached = journal.point().number

    for number in range(40):
        journal.append([draft(f"back {number}", limits=few)], NOW_S - 3_600 + number / 10)
    journal.sweep(NOW_S - 3_590)

    assert journal.news(reached).is_whole
    assert len(journal.news(reached).rows) == 40
    assert journal.missed(CHAT, journal.point().number - 2, 1 << 40, few, NOW_S - 3_600)


def test_a_clock_that_was_set_back_does_not_end_the_trimming_for_long(journal):
    few = KeptLimits(most_messages=2, longest_s=300.0)
    for number in range(20):
        journal.append([draft(str(number), limits=few)], NOW_S + number)

    for number in range(60):
        journal.append([draft(f"back {number}", limits=few)], NOW_S - 86_400 + number)

    kept = journal._database.read(
        lambda one: one.execute("SELECT count(*) FROM rows").fetchone()[0]
    )
    assert kept < 20 + 2 * NEWS_S
    assert len(journal._ages) < 2 * NEWS_S


# -- sizes over many one-time users


def test_publishers_that_each_say_one_message_keep_to_the_size_too(path):
    for number in range(60):
        publisher = file_journal(path, most_bytes=65_536)
        publisher.append([draft(f"{number} {'x' * 4_000}", limits=KeptLimits(1_000, 1e6))], NOW_S)
        publisher.close()

    journal = file_journal(path)
    kept = journal.latest(CHAT, 1_000, 1 << 40, KeptLimits(1_000, 1e6), NOW_S)
    size = journal.size_bytes()
    journal.close()
    assert str(message_of(kept[-1].frame)).startswith("59 ")
    assert size < 100_000


# -- forgetting


def bytes_of(path: Path) -> bytes:
    """All that the files hold, free pages and remains included."""
    return b"".join(one.read_bytes() for one in sorted(path.parent.iterdir()))


def test_what_is_forgotten_has_left_the_files_when_that_returns(journal, make, path):
    reader = make()
    for number in range(200):
        journal.append([draft(f"secret {number} {'x' * (number * 7 % 5_000)}")], NOW_S)
        journal.append([draft(f"other {number}", OTHER)], NOW_S)
    reader.news(0)
    assert b"secret 7 " in bytes_of(path)

    journal.forget(CHAT)

    assert b"secret" not in bytes_of(path)
    assert b"other 199" in bytes_of(path)
    assert reader.point().number == 402


@pytest.mark.parametrize("seed", [24, 39, 49, 54])
def test_what_was_dropped_long_ago_is_not_left_in_the_remains_of_pages_either(make, path, seed):
    random = Random(seed)
    journal, now_s, said = make(), NOW_S, dict[bytes, int]()
    for _ in range(400):
        now_s += random.choice([0.01, 0.3, 2])
        said_now = []
        for _ in range(random.randrange(1, 6)):
            room = random.randrange(6)
            mark = f"<{len(said)} {random.getrandbits(40)}>"
            said[mark.encode()] = room
            limits = KeptLimits(random.choice([5, 100]), random.choice([20.0, 60.0]))
            text = f"{mark}{'y' * random.choice([10, 50, 300, 3_000, 9_000])}{mark}"
            said_now.append(draft(text, (2, f"/{room}"), limits))
        journal.append(said_now, now_s)
        if random.random() < 0.05:
            journal.sweep(now_s)

    journal.forget((2, "/3"))

    content = bytes_of(path)
    assert [mark for mark, room in said.items() if room == 3 and mark in content] == []


def test_while_another_process_reads_all_is_dropped_and_the_rest_is_said(journal, path):
    journal.append([draft("secret")], NOW_S)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM rows").fetchone() == (2,)

    with pytest.raises(JournalError, match="all is dropped, but"):
        journal.forget(CHAT)

    assert texts(journal) == []
    assert journal.append([draft("c")], NOW_S).numbers == [4]
    reader.close()
    journal.forget(CHAT)
    assert b"secret" not in bytes_of(path)


def test_to_forget_begins_no_new_epoch(journal, make):
    before = journal.point()

    journal.forget(CHAT)
    journal.close()

    assert make().point() == before
