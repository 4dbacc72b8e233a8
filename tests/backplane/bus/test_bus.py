"""The bus from inside: processes stand for themselves as two buses in one hub, strangers as bare
sockets.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from gevent import socket as gevent_socket

from tests.support.servers import ROOT
from tina4_wsgi.backplane.bus import bus as bus_module
from tina4_wsgi.backplane.bus import directory as directory_module
from tina4_wsgi.backplane.bus.bus import LocalBus
from tina4_wsgi.backplane.bus.directory import BusDirectory, socket_name
from tina4_wsgi.backplane.bus.interest import IN_VAIN
from tina4_wsgi.backplane.envelope import EnvelopeReader, Kind, pack, pack_json, sized, unpack
from tina4_wsgi.backplane.private_folders import default_places
from tina4_wsgi.errors import BackplaneError

WAIT_S = 15.0
HELLO = b"\x81\x05hello"
SENDER = bytes(range(16))


class Ears:
    """The connections of one process, as a bus sees them."""

    def __init__(self) -> None:
        self.heard: list[tuple[Kind, str, bytes]] = []

    def deliver(self, kind: Kind, name: str, frame: bytes) -> None:
        self.heard.append((kind, name, frame))

    def say(self, kind: Kind, name: str, frame: bytes, once: str) -> None:
        self.heard.append((kind, name, frame))

    def keeps(self, kind: Kind, name: str) -> bool:
        return False

    def count_here(self, kind: Kind, name: str) -> int:
        return 3

    def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        return {"echo": question}


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="t4") as name:
        yield Path(name) / "bus"


@pytest.fixture
def join(folder: Path) -> Iterator[Callable[..., LocalBus]]:
    """Let one more process in."""
    buses: list[LocalBus] = []

    def join(most_bytes: int = 1 << 20, app_number: int = 0) -> LocalBus:
        ears = Ears()
        bus = LocalBus(gevent.get_hub(), BusDirectory(str(folder)), app_number, ears, most_bytes)
        bus.start()
        bus.ears = ears  # type: ignore[attr-defined]
        buses.append(bus)
        return bus

    yield join
    for bus in buses:
        bus.close()


def wait_until(is_done: Callable[[], Any], what: str) -> None:
    with gevent.Timeout(WAIT_S, AssertionError(what)):
        while not is_done():
            gevent.sleep(0.002)


def linked(*buses: LocalBus) -> None:
    wait_until(lambda: all(bus.status().siblings == len(buses) - 1 for bus in buses), "the links")


def stranger(folder: Path, data: bytes = b"", hello: bytes = b"") -> gevent_socket.socket:
    """Connect to the one process that is there, and send these bytes."""
    (name,) = BusDirectory(str(folder)).names()
    sock = gevent_socket.socket(socket.AF_UNIX)
    sock.settimeout(WAIT_S)
    sock.connect(str(folder / name))
    sock.sendall(hello + data)
    return sock


def guest_hello() -> bytes:
    return sized(pack_json(Kind.HELLO, "", {"role": "publisher"}, SENDER))


def test_what_one_says_the_others_hear_in_order(join):
    buses = [join() for _ in range(4)]
    linked(*buses)

    for number in range(100):
        buses[0].carry(Kind.PATH, "/x", b"\x81\x02%02d" % number)
    buses[0].carry(Kind.ROOM, "r", HELLO)

    said = [(Kind.PATH, "/x", b"\x81\x02%02d" % number) for number in range(100)] + [
        (Kind.ROOM, "r", HELLO)
    ]
    wait_until(lambda: all(bus.ears.heard == said for bus in buses[1:]), "what was said")
    assert buses[0].ears.heard == []


def test_a_newcomer_is_let_in_when_all_the_others_have_linked_back(join):
    others = [join() for _ in range(3)]
    linked(*others)

    newcomer = join()
    had_to_wait = [newcomer.wait_until_heard(Kind.PATH, "/x", WAIT_S) for _ in range(2)]

    assert all(bus.status().siblings == 3 for bus in others)
    assert had_to_wait == [True, False]


def test_siblings_that_do_not_link_back_are_waited_for_once(join):
    bus = join()
    bus._is_ready.clear()

    assert [bus.wait_until_heard(Kind.PATH, "/x", 0.001) for _ in range(2)] == [True, False]


def test_who_is_alone_waits_for_nobody(join):
    bus = join()

    had_to_wait = bus.wait_until_heard(Kind.PATH, "/x", WAIT_S)
    bus.carry(Kind.PATH, "/x", HELLO)

    assert bus.is_alone
    assert had_to_wait is False
    assert bus._pending == []


def test_processes_of_another_app_are_not_linked_to(join):
    one, other = join(app_number=0), join(app_number=1)
    gevent.sleep(0)

    assert (one.is_alone, other.is_alone) == (True, True)


def test_a_question_is_answered_by_everybody_else(join):
    buses = [join() for _ in range(3)]
    linked(*buses)

    answers = buses[0].ask({"ask": "count"}, WAIT_S)

    assert answers == [{"echo": {"ask": "count"}}] * 2


def test_who_dies_before_it_answers_is_not_waited_for(join, folder):
    bus, other = join(), join()
    linked(bus, other)
    other.ears.answer = lambda question: other.close() or {}

    assert bus.ask({"ask": "count"}, WAIT_S) == []


def test_who_leaves_is_forgotten_and_leaves_no_socket(join, folder):
    bus, other = join(), join()
    linked(bus, other)

    other.retire(WAIT_S)
    other.close()

    wait_until(lambda: bus.is_alone, "the end of the link")
    assert len(list(folder.iterdir())) == 1


def test_the_socket_of_a_process_that_was_killed_is_unlinked(join, folder):
    directory = BusDirectory(str(folder))
    directory.make()
    dead = socket_name(0)
    directory.listen(dead).close()  # as after kill -9: the name stays, and nobody listens
    assert directory.names() == [dead]

    join()

    assert dead not in directory.names()


def test_a_socket_that_somebody_removed_comes_back(join, folder, caplog):
    bus = join()
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()

    bus._scan()
    other = join()

    linked(bus, other)
    wait_until(lambda: "was gone; it is there again" in caplog.text, "the log line")


def test_what_is_said_while_leaving_still_arrives(join):
    bus, other = join(), join()
    linked(bus, other)

    bus.retire(WAIT_S)
    bus.carry(Kind.PATH, "/x", HELLO)

    wait_until(lambda: other.ears.heard, "the last word")


GARBAGE = {
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "an impossible size": b"\xff" * 64,
    "another version": sized(b"\x09" + bytes(40)),
    "a broadcast before hello": sized(pack(Kind.PATH, "/", HELLO)),
    "hello without a name": sized(pack_json(Kind.HELLO, "", {})),
    "hello with another's name": sized(pack_json(Kind.HELLO, "", {"name": socket_name(0)}, SENDER)),
    "hello with a path for a name": sized(pack_json(Kind.HELLO, "", {"name": "../x"}, SENDER)),
    "hello that is no json": sized(pack(Kind.HELLO, "", b"\xff\xfe")),
    "half a frame": guest_hello() + sized(pack(Kind.PATH, "/", b"\x81\x7d")),
    "hello twice": guest_hello() * 2,
    "a question that is no json": guest_hello() + sized(pack(Kind.ASK, "", b"{")),
}


@pytest.mark.parametrize("case", GARBAGE)
def test_garbage_closes_its_link_with_one_line_and_nobody_else_notices(join, folder, caplog, case):
    bus = join()
    sock = stranger(folder, GARBAGE[case])

    wait_until(lambda: len(bus._in) == 0, "the end of the link")
    sock.close()
    other = join()
    linked(bus, other)
    other.carry(Kind.PATH, "/x", HELLO)
    wait_until(lambda: bus.ears.heard, "an ordinary message")

    wait_until(lambda: caplog.records, "the log line")
    assert len(caplog.records) == 1
    assert "sent garbage and is cut off: " in caplog.text
    assert bus.ears.heard == [(Kind.PATH, "/x", HELLO)]


@pytest.mark.parametrize("is_first", [True, False])
def test_a_sibling_of_a_newer_version_is_heard_and_what_only_it_knows_is_skipped(
    join, folder, caplog, is_first
):
    bus = join()
    newer = sized(b"\x01\x63" + pack(Kind.PATH, "/x", HELLO)[2:])
    said = newer + guest_hello() if is_first else guest_hello() + newer
    with stranger(folder, said + sized(pack(Kind.PATH, "/x", HELLO))):
        wait_until(lambda: bus.ears.heard, "an ordinary message")

    assert bus.ears.heard == [(Kind.PATH, "/x", HELLO)]
    assert caplog.text == ""


def test_a_link_that_ends_in_the_middle_is_closed_in_silence(join, folder, caplog):
    bus = join()
    sock = stranger(folder, guest_hello() + sized(pack(Kind.PATH, "/x", HELLO))[:-2])
    wait_until(lambda: bus._in, "the link")

    sock.close()
    wait_until(lambda: not bus._in, "its end")

    assert (bus.ears.heard, caplog.text) == ([], "")


def test_who_says_nothing_is_sent_away(join, folder, caplog):
    bus = join()
    sock = stranger(folder)
    wait_until(lambda: bus._in, "the link")

    next(iter(bus._in)).opened_at_s -= 60
    bus._scan()

    assert sock.recv(1) == b""
    wait_until(lambda: "said no HELLO" in caplog.text, "the log line")
    sock.close()


def test_a_sibling_that_takes_nothing_is_cut_off_and_never_waited_for(join, folder, caplog):
    bus = join(most_bytes=65_536)
    directory = BusDirectory(str(folder))
    name = socket_name(0)
    deaf = directory.listen(name)  # it accepts nobody
    bus._scan()
    assert not bus.is_alone

    for _ in range(100):
        bus.carry(Kind.PATH, "/x", b"\x82\x7e\xff\xff" + bytes(65_535))

    assert bus.is_alone
    wait_until(lambda: "is cut off" in caplog.text, "the log line")
    assert bus.status().outages == 1
    deaf.close()


def test_a_sibling_that_is_behind_gets_all_of_it_in_order(join):
    bus, other = join(most_bytes=64 << 20), join(most_bytes=64 << 20)
    linked(bus, other)
    frames = [
        b"\x82\x7f" + (100_000).to_bytes(8, "big") + bytes([number]) * 100_000
        for number in range(100)
    ]

    for frame in frames:
        bus.carry(Kind.PATH, "/x", frame)  # 10 MB in one turn: far more than the kernel takes

    wait_until(lambda: len(other.ears.heard) == 100, "all of it")
    assert [frame for _, _, frame in other.ears.heard] == frames


def test_a_guest_hears_how_many_clients_a_message_was_handed_to(join, folder):
    bus = join()
    sock = stranger(folder, sized(pack(Kind.PATH, "/x", HELLO, SENDER, 7)), hello=guest_hello())

    answer = unpack(sock.recv(1_000)[4:])
    sock.close()

    assert (answer.kind, answer.number, answer.json()) == (Kind.ACK, 7, {"clients": 3})
    assert bus.ears.heard == [(Kind.PATH, "/x", HELLO)]


def test_a_process_without_descriptors_goes_on_listening_when_it_has_some(join, folder):
    bus = join()
    listener, bus._listener = bus._listener, Exhausted()

    with stranger(folder, guest_hello()):
        wait_until(lambda: not bus._acceptor.active, "the pause")
        bus._listener = listener
        bus._scan()
        wait_until(lambda: bus._in, "the link")


def test_a_process_without_descriptors_links_to_a_newcomer_when_it_has_some(join, monkeypatch):
    bus = join()

    def no_socket() -> None:
        raise OSError(errno.EMFILE, "too many open files")

    with monkeypatch.context() as patched:
        patched.setattr("tina4_wsgi.backplane.bus.bus.raw_socket", no_socket)
        other = join()
        bus._scan()
        assert (bus.is_alone, other.is_alone) == (True, True)

    bus._scan()
    linked(bus, other)


def test_who_leaves_while_it_is_greeted_is_no_sibling(join, folder, monkeypatch):
    bus = join()
    directory = BusDirectory(str(folder))
    name = socket_name(0)
    leaving = directory.listen(name)
    connect = BusDirectory.connect

    def connect_and_lose(self: BusDirectory, wanted: str, sock: Any) -> bool:
        is_connected = connect(self, wanted, sock)
        leaving.close()  # resets whoever waits to be let in
        return is_connected

    monkeypatch.setattr(BusDirectory, "connect", connect_and_lose)
    bus._scan()

    assert bus.is_alone
    assert bus.status().outages == 0


def test_many_who_come_at_once_are_all_let_in(join, folder):
    bus = join()

    with contextlib.ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(stranger(folder, guest_hello()))
        wait_until(lambda: len([link for link in bus._in if link.is_outsider]) == 100, "the links")


def test_a_guest_that_says_several_things_at_once_hears_of_each(join, folder):
    bus = join()
    said = b"".join(sized(pack(Kind.PATH, "/x", HELLO, SENDER, number)) for number in (7, 8, 9))

    with stranger(folder, said, hello=guest_hello()) as sock:
        answers, found = EnvelopeReader(), []
        while len(found) < 3:
            answers.feed(sock.recv(1_000), found)

    assert [(one.kind, one.number) for one in found] == [
        (Kind.ACK, 7),
        (Kind.ACK, 8),
        (Kind.ACK, 9),
    ]
    assert len(bus.ears.heard) == 3


def test_an_answer_that_nobody_asked_for_changes_nothing(join, folder, caplog):
    bus = join()
    said = sized(pack_json(Kind.ACK, "", {}, SENDER, 1)) + sized(
        pack_json(Kind.ANSWER, "", {}, SENDER, 1)
    )

    with stranger(
        folder, said + sized(pack(Kind.PATH, "/x", HELLO, SENDER, 2)), hello=guest_hello()
    ):
        wait_until(lambda: bus.ears.heard, "what came behind")

    assert caplog.text == ""


def test_who_retires_waits_until_a_slow_sibling_took_all_of_it(join):
    bus, other = join(most_bytes=64 << 20), join(most_bytes=64 << 20)
    linked(bus, other)
    frame = b"\x82\x7f" + (4 << 20).to_bytes(8, "big") + bytes(4 << 20)
    bus.carry(Kind.PATH, "/x", frame)

    bus.retire(WAIT_S)
    assert [link.queued_bytes for link in bus._targets] == [0]
    bus.retire(WAIT_S)
    bus.close()

    wait_until(lambda: other.ears.heard == [(Kind.PATH, "/x", frame)], "all of it")


def test_a_folder_that_can_not_be_made_again_at_once_is_made_later(join, folder, caplog):
    bus = join()
    shutil.rmtree(folder)
    folder.write_text("in the way")
    for _ in range(3):
        bus._scan()
    wait_until(lambda: "looking for siblings failed: bus directory" in caplog.text, "the log line")
    assert caplog.text.count("looking for siblings failed") == 1

    folder.unlink()
    bus._scan()
    other = join()

    linked(bus, other)
    wait_until(lambda: "it is there again" in caplog.text, "the other log line")


def test_who_connects_to_a_forked_child_means_the_parent(join, folder):
    bus = join()
    bus._pid = os.getpid() + 1  # as the child finds it

    with stranger(folder, guest_hello()):
        bus._accept()
        bus._scan()
        assert not bus._in

        bus._pid = os.getpid()
        wait_until(lambda: bus._in, "the link")


class Exhausted:
    """A listener of a process that is out of descriptors."""

    def _accept(self) -> None:
        raise OSError(errno.EMFILE, "too many open files")


# -- the directory


def test_the_folder_is_private(join, folder):
    join()

    assert folder.stat().st_mode & 0o777 == 0o700


def test_the_default_folder_is_one_per_user_and_project():
    here, there = default_places("a"), default_places("b")

    assert [Path(path).parent for path in here] == [Path(path).parent for path in there]
    assert not set(here) & set(there)
    assert str(Path(here[0]).parent) == f"/run/user/{os.geteuid()}/tina4-wsgi"
    assert Path(here[1]).parent == Path("/tmp") / f"tina4-wsgi-{os.geteuid()}"
    assert default_places(Path("b", "..", "a")) == here


def test_a_long_path_is_no_trouble(tmp_path):
    folder = tmp_path / ("long" * 25) / ("path" * 25)
    directory = BusDirectory(str(folder))
    directory.make()
    name = socket_name(0)
    listener = directory.listen(name)

    with socket.socket(socket.AF_UNIX) as sock:
        assert directory.connect(name, sock)

    listener.close()


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o707])
def test_a_folder_that_others_may_enter_is_refused(folder, mode):
    folder.mkdir()
    folder.chmod(mode)

    with pytest.raises(BackplaneError, match=rf"has mode 0{mode:o}, expected 0700: chmod 700"):
        BusDirectory(str(folder)).make()


def test_a_link_to_a_folder_is_refused(folder):
    (folder.parent / "real").mkdir(mode=0o700)
    folder.symlink_to(folder.parent / "real")

    with pytest.raises(BackplaneError, match="no directory"):
        BusDirectory(str(folder)).make()


def test_a_folder_of_another_user_is_refused(folder, monkeypatch):
    folder.mkdir(mode=0o700)
    monkeypatch.setattr(directory_module.os, "geteuid", lambda: 4711)

    with pytest.raises(BackplaneError, match=r"belongs to user .* expected 4711"):
        BusDirectory(str(folder)).make()


def test_another_users_process_is_sent_away(join, folder, monkeypatch, caplog):
    bus = join()
    monkeypatch.setattr("tina4_wsgi.backplane.bus.bus.peer_uid", lambda sock: 4711)

    with stranger(folder, guest_hello()) as sock, contextlib.suppress(ConnectionResetError):
        assert sock.recv(1) == b""

    assert not bus._in
    wait_until(lambda: "another user's process was sent away" in caplog.text, "the log line")


def test_the_kernel_is_asked_who_is_at_the_other_end():
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert directory_module.peer_uid(ours) == os.geteuid()


def test_a_forked_child_leaves_its_parents_links_alone(folder):
    program = f"""
import os, gevent
from tests.backplane.bus.test_bus import Ears, BusDirectory, LocalBus, stranger, guest_hello, Path
bus = LocalBus(gevent.get_hub(), BusDirectory({str(folder)!r}), 0, Ears(), 1 << 20)
bus.start()
pid = os.fork()
if pid == 0:
    gevent.reinit()
    gevent.sleep(0.5)  # its copies of the watchers fire here, too
    os._exit(len(bus._in))
sock = stranger(Path({str(folder)!r}), guest_hello())
with gevent.Timeout(5):
    while not bus._in:
        gevent.sleep(0.01)
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        gevent.sleep(0.01)
print(os.waitstatus_to_exitcode(status), len(bus._in))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert (done.stdout, done.stderr) == ("0 1\n", "")


@pytest.fixture(autouse=True)
def _all_levels(caplog):
    caplog.set_level(logging.INFO, "tina4_wsgi")


def test_who_retires_is_found_by_nobody_any_more_and_may_do_so_twice(join, folder):
    one, two = join(), join()
    linked(one, two)
    assert len(BusDirectory(str(folder)).names()) == 2

    one.retire(WAIT_S)
    one.retire(WAIT_S)

    assert BusDirectory(str(folder)).names() == [two._name]
    wait_until(lambda: two.status().siblings == 0, "the goodbye")


def test_who_is_greeted_links_back_at_once_not_when_it_looks_around_again(join, monkeypatch):
    monkeypatch.setattr(bus_module, "_SCAN_S", 600.0)

    linked(join(), join(), join())


@pytest.mark.parametrize(("more", "is_flushed"), [(0, False), (1, True)])
def test_who_says_much_in_one_turn_is_not_heard_at_its_end_alone(join, more, is_flushed):
    one, two = join(), join()
    linked(one, two)
    overhead = len(sized(pack(Kind.PATH, "/x", b"", SENDER)))

    for _ in range(2):  # the second time as the first
        one.carry(Kind.PATH, "/x", b"x" * (bus_module._FLUSH_BYTES - overhead + more))
        assert (one._pending == []) == is_flushed
        one._flush()
        assert (one._pending, one._pending_bytes) == ([], 0)


def test_after_several_ends_it_looks_around_once_and_after_its_own_never(join, monkeypatch):
    bus, timers = join(), []

    class Loop:
        def timer(self, after_s: float, ref: bool) -> Any:
            timers.append((bus_module._SOON_S * 0.5 <= after_s <= bus_module._SOON_S * 1.5, ref))
            return self

        def start(self, function: Any, timer: Any, update: bool) -> None:
            self.ring = lambda: function(timer)

        def close(self) -> None:
            timers.append("closed")

    loop = Loop()
    monkeypatch.setattr(bus, "_hub", SimpleNamespace(loop=loop))
    for _ in range(2):
        bus._scan_soon()
    assert timers == [(True, False)]
    loop.ring()
    assert timers[1:] == ["closed"]
    bus._scan_soon()
    assert len(timers) == 3
    bus._is_scan_near = False

    bus.retire(0.0)
    bus._scan_soon()

    assert len(timers) == 3


def test_who_retires_waits_for_as_long_as_others_take_what_was_said(join, monkeypatch):
    bus, naps_s = join(), []
    slow = SimpleNamespace(queued_bytes=3)
    now_s = 0.0

    def sleep(for_s: float) -> None:
        nonlocal now_s
        naps_s.append(for_s)
        now_s += for_s
        slow.queued_bytes -= 1

    monkeypatch.setattr(bus, "_targets", (slow,))
    monkeypatch.setattr(bus_module, "gevent", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr(bus_module, "time", SimpleNamespace(monotonic=lambda: now_s))

    bus.retire(1.0)
    assert naps_s == [0.01] * 3
    slow.queued_bytes, bus._is_retired = 1_000, False
    bus.retire(1.0)

    assert 1.0 <= now_s - 0.03 < 1.02


def test_it_looks_around_every_three_seconds_and_keeps_no_process_alive_for_it(folder):
    timers: list[Any] = []
    real = gevent.get_hub().loop

    class Loop:
        io, run_callback, now = real.io, real.run_callback, real.now

        def timer(self, after_s: float, repeat_s: float, ref: bool) -> Any:
            timers.append((after_s, repeat_s, ref))
            return real.timer(after_s, repeat_s, ref=ref)

    hub = SimpleNamespace(loop=Loop())
    bus = LocalBus(hub, BusDirectory(str(folder)), 0, Ears(), 1 << 20)
    bus.start()
    bus._come_back()
    bus.close()

    assert timers[0][1:] == (3.0, False)
    assert 2.4 <= timers[0][0] <= 3.6
    assert timers[1] == (3.0, 3.0, False)


# -- what siblings skip


@pytest.fixture
def pair(join) -> tuple[LocalBus, LocalBus]:
    """One that speaks, and one that has nobody."""
    speaker, deaf = join(), join()
    linked(speaker, deaf)
    deaf.wait_until_heard(Kind.PATH, "/x", WAIT_S)
    deaf.ears.count_here = lambda kind, name: 0
    return speaker, deaf


def skipped(bus: LocalBus) -> set[tuple[Kind, str]]:
    """What a process with one sibling skips for it."""
    (link,) = bus._targets
    return link.skipped


def say(bus: LocalBus, count: int, name: str = "/x", kind: Kind = Kind.PATH) -> None:
    for _ in range(count):
        bus.carry(kind, name, HELLO)
        gevent.sleep(0)


def test_what_is_for_nobody_is_skipped_after_a_while_and_all_else_is_told(pair):
    speaker, deaf = pair

    say(speaker, IN_VAIN)
    wait_until(lambda: skipped(speaker) == {(Kind.PATH, "/x")}, "the request")
    say(speaker, 3)
    say(speaker, 1, "/x", Kind.ROOM)
    say(speaker, 1, "/y")

    wait_until(lambda: (Kind.PATH, "/y", HELLO) in deaf.ears.heard, "what is not skipped")
    assert deaf.ears.heard == [
        *[(Kind.PATH, "/x", HELLO)] * IN_VAIN,
        (Kind.ROOM, "/x", HELLO),
        (Kind.PATH, "/y", HELLO),
    ]


def test_one_turn_of_the_hub_may_tell_some_and_skip_some(pair):
    speaker, deaf = pair
    say(speaker, IN_VAIN)
    wait_until(lambda: skipped(speaker), "the request")
    deaf.ears.heard.clear()

    for name in ("/a", "/x", "/b"):
        speaker.carry(Kind.PATH, name, HELLO)

    wait_until(lambda: len(deaf.ears.heard) == 2, "what is not skipped")
    assert [name for _, name, _ in deaf.ears.heard] == ["/a", "/b"]


def test_one_that_skips_nothing_hears_all_beside_one_that_does(pair, join):
    speaker, deaf = pair
    other = join()
    linked(speaker, deaf, other)

    say(speaker, 2 * IN_VAIN)

    wait_until(lambda: len(other.ears.heard) == 2 * IN_VAIN, "all of it")
    wait_until(lambda: len(deaf.ears.heard) >= IN_VAIN, "what came before the request")


@pytest.mark.parametrize("is_said_before", [True, False])
def test_a_path_with_somebody_is_never_skipped(pair, is_said_before):
    speaker, deaf = pair
    if is_said_before:
        say(speaker, IN_VAIN - 1)
    deaf.enter(Kind.PATH, "/x")

    say(speaker, 3 * IN_VAIN)

    wait_until(lambda: len(deaf.ears.heard) >= 3 * IN_VAIN, "all of it")
    assert skipped(speaker) == set()


def test_a_path_with_a_client_from_before_the_bus_is_never_skipped(pair):
    speaker, deaf = pair
    deaf.ears.count_here = lambda kind, name: 1

    say(speaker, 3 * IN_VAIN)

    wait_until(lambda: len(deaf.ears.heard) == 3 * IN_VAIN, "all of it")


@pytest.mark.parametrize("rounds", [1, 5])
def test_who_comes_misses_nothing_once_it_has_waited(pair, rounds):
    speaker, deaf = pair
    for _ in range(rounds):
        say(speaker, IN_VAIN)
        wait_until(lambda: skipped(speaker), "the request")
        deaf.enter(Kind.PATH, "/x")

        assert deaf.wait_until_heard(Kind.PATH, "/x", WAIT_S) is True
        deaf.ears.heard.clear()
        speaker.carry(Kind.PATH, "/x", HELLO)

        wait_until(lambda: deaf.ears.heard == [(Kind.PATH, "/x", HELLO)], "the broadcast")
        assert deaf.wait_until_heard(Kind.PATH, "/x", WAIT_S) is False
        deaf.leave(Kind.PATH, "/x")


def test_who_comes_while_one_is_asked_to_skip_misses_nothing_either(pair):
    speaker, deaf = pair
    say(speaker, IN_VAIN)
    wait_until(lambda: len(deaf.ears.heard) == IN_VAIN, "all of it")
    deaf.enter(Kind.PATH, "/x")  # the request to skip it may be on its way

    assert deaf.wait_until_heard(Kind.PATH, "/x", WAIT_S) is True
    say(speaker, 3)

    wait_until(lambda: len(deaf.ears.heard) == IN_VAIN + 3, "all of it")


def test_a_sibling_that_is_gone_is_not_waited_for(pair):
    speaker, deaf = pair
    say(speaker, IN_VAIN)
    wait_until(lambda: skipped(speaker), "the request")

    speaker.close()
    wait_until(lambda: deaf.is_alone, "the end of the links")
    deaf.enter(Kind.PATH, "/x")

    assert deaf.wait_until_heard(Kind.PATH, "/x", WAIT_S) is False


def test_a_sibling_that_goes_while_it_is_waited_for_ends_the_wait(pair, monkeypatch):
    speaker, deaf = pair
    say(speaker, IN_VAIN)
    wait_until(lambda: skipped(speaker), "the request")
    monkeypatch.setattr(speaker, "_resume", lambda link, envelope: speaker.close())
    deaf.enter(Kind.PATH, "/x")

    assert deaf.wait_until_heard(Kind.PATH, "/x", WAIT_S) is True
    assert deaf.wait_until_heard(Kind.PATH, "/x", WAIT_S) is False


def test_a_link_that_was_cut_tells_everything_again(pair):
    speaker, deaf = pair
    say(speaker, IN_VAIN)
    wait_until(lambda: skipped(speaker), "the request")
    deaf.ears.heard.clear()

    (link,) = speaker._targets
    link.close()
    wait_until(lambda: speaker._targets, "a new link")
    say(speaker, 1)

    wait_until(lambda: deaf.ears.heard, "the broadcast")


def test_a_request_is_made_again_when_the_link_for_it_was_cut(pair):
    speaker, deaf = pair
    say(speaker, IN_VAIN)
    wait_until(lambda: skipped(speaker), "the request")
    (link,) = deaf._targets
    link.close()  # the other direction stays

    deaf.enter(Kind.PATH, "/x")
    assert deaf.wait_until_heard(Kind.PATH, "/x", WAIT_S) is True
    deaf.ears.heard.clear()
    say(speaker, 1)

    wait_until(lambda: deaf.ears.heard, "the broadcast")
    assert skipped(speaker) == set()


def test_who_has_lost_the_link_of_a_sibling_tells_it_everything(pair):
    speaker, deaf = pair
    say(speaker, IN_VAIN)
    wait_until(lambda: skipped(speaker), "the request")

    (link,) = deaf._targets
    link.close()

    wait_until(lambda: not skipped(speaker), "the end of what was agreed")


def test_a_sibling_that_stands_still_is_waited_for_once(pair, monkeypatch):
    speaker, deaf = pair
    say(speaker, IN_VAIN)
    wait_until(lambda: skipped(speaker), "the request")
    monkeypatch.setattr(speaker, "_resume", lambda link, envelope: None)
    deaf.enter(Kind.PATH, "/x")

    assert deaf.wait_until_heard(Kind.PATH, "/x", 0.01) is True
    assert deaf.wait_until_heard(Kind.PATH, "/x", WAIT_S) is False


def test_a_guest_with_a_siblings_name_ends_nothing_that_was_agreed(pair, folder):
    speaker, deaf = pair
    say(speaker, IN_VAIN)
    wait_until(lambda: skipped(speaker), "the request")
    name = next(iter(speaker._out))
    sock = gevent_socket.socket(socket.AF_UNIX)
    sock.connect(str(folder / name))
    hello = pack_json(Kind.HELLO, "", {"role": "publisher"}, speaker._sender)
    sock.sendall(sized(hello) + sized(pack(Kind.PATH, "/y", HELLO, speaker._sender, 7)))
    assert sock.recv(1_000)
    sock.close()
    wait_until(lambda: len(deaf._in) == 1, "the end of the guest")

    deaf.enter(Kind.PATH, "/x")

    assert deaf.wait_until_heard(Kind.PATH, "/x", WAIT_S) is True
    assert skipped(speaker) == set()


def test_who_hears_all_is_told_all_again(pair):
    speaker, deaf = pair
    say(speaker, IN_VAIN)
    say(speaker, IN_VAIN, "r", Kind.ROOM)
    wait_until(lambda: len(skipped(speaker)) == 2, "the requests")

    deaf.hear_all(WAIT_S)

    assert skipped(speaker) == set()
    say(speaker, 3 * IN_VAIN)
    wait_until(lambda: len(deaf.ears.heard) == 5 * IN_VAIN, "all of it")


def test_a_sibling_remembers_only_so_many_requests(pair, monkeypatch):
    monkeypatch.setattr(bus_module, "MOST_TOPICS", 2)
    speaker, deaf = pair

    for name in ("/a", "/b", "/c"):
        say(speaker, IN_VAIN, name)
    wait_until(lambda: len(deaf.ears.heard) == 3 * IN_VAIN, "all of it")
    deaf.ears.heard.clear()
    say(speaker, 1, "/c")

    wait_until(lambda: deaf.ears.heard, "what there was no room for")
    assert skipped(speaker) == {(Kind.PATH, "/a"), (Kind.PATH, "/b")}


@pytest.mark.parametrize("kind", [Kind.SKIP, Kind.RESUME, Kind.RESUMED])
@pytest.mark.parametrize("body", [{}, {"kind": "HELLO"}, {"kind": ["PATH"]}])
def test_a_request_about_nothing_closes_its_link(join, folder, caplog, kind, body):
    bus = join()
    sock = stranger(folder, sized(pack_json(kind, "/x", body, SENDER)), guest_hello())

    assert sock.recv(100) == b""
    sock.close()
    wait_until(lambda: "of neither a path nor a room" in caplog.text, "the log line")
    assert bus.is_alone


@pytest.mark.parametrize("kind", [Kind.SKIP, Kind.RESUME, Kind.RESUMED])
def test_a_guest_may_say_such_a_thing_and_nothing_comes_of_it(join, folder, kind):
    bus = join()
    said = sized(pack_json(kind, "/x", {"kind": "PATH"}, SENDER, 1))
    sock = stranger(folder, said + sized(pack(Kind.PATH, "/x", HELLO, SENDER, 7)), guest_hello())

    reader, heard = EnvelopeReader(), []
    while not heard:
        reader.feed(sock.recv(1_000), heard)
    sock.close()

    assert [(one.kind, one.number) for one in heard] == [(Kind.ACK, 7)]
    assert bus.ears.heard == [(Kind.PATH, "/x", HELLO)]
