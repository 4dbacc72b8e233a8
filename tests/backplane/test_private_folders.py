"""Where processes of one machine meet when a folder comes, goes, or is somebody else's; and that
the bus comes back.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import gevent
import pytest

from tests.backplane.bus.test_bus import HELLO, Ears, wait_until
from tina4_wsgi.backplane import private_folders
from tina4_wsgi.backplane import relay as relay_module
from tina4_wsgi.backplane.bus.bus import LocalBus
from tina4_wsgi.backplane.bus.directory import BusDirectory
from tina4_wsgi.backplane.envelope import Kind
from tina4_wsgi.backplane.outside import Outsider
from tina4_wsgi.backplane.relay import Relay, isolation
from tina4_wsgi.config import Config
from tina4_wsgi.errors import BackplaneError


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine of its own: /run/user and /tmp in a folder; nobody has logged in."""
    with tempfile.TemporaryDirectory(prefix="t4") as name:
        root = Path(name)
        (root / "run").mkdir()
        (root / "tmp").mkdir()
        monkeypatch.setattr(private_folders, "_RUNTIME", str(root / "run"))
        monkeypatch.setattr(private_folders, "_SHARED", str(root / "tmp"))
        yield root


def log_in(machine: Path) -> Path:
    folder = machine / "run" / str(os.geteuid())
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def join() -> Iterator[Callable[[], LocalBus]]:
    buses: list[LocalBus] = []

    def join() -> LocalBus:
        ears = Ears()
        bus = LocalBus(
            gevent.get_hub(),
            BusDirectory(*private_folders.default_places("project")),
            0,
            ears,
            1 << 20,
        )
        bus.start()
        bus.ears = ears
        buses.append(bus)
        return bus

    yield join
    for bus in buses:
        bus.close()


def hear_each_other(one: LocalBus, other: LocalBus) -> None:
    one._scan()
    other._scan()
    wait_until(lambda: not one.is_alone and not other.is_alone, "the links")
    for speaker, listener in ((one, other), (other, one)):
        listener.ears.heard.clear()
        speaker.carry(Kind.PATH, "/x", HELLO)
        wait_until(
            lambda listener=listener: listener.ears.heard == [(Kind.PATH, "/x", HELLO)],
            "the message",
        )


def test_a_user_who_has_logged_in_gets_the_folder_that_nobody_else_can_take(machine, join):
    log_in(machine)

    assert join()._directory.path.startswith(str(machine / "run"))


def test_without_a_login_it_is_the_shared_folder(machine, join):
    assert join()._directory.path.startswith(str(machine / "tmp"))


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o710])
def test_a_runtime_folder_that_others_may_enter_is_not_used(machine, join, mode):
    log_in(machine).chmod(mode)

    assert join()._directory.path.startswith(str(machine / "tmp"))


def test_who_came_before_the_login_and_who_came_after_hear_each_other(machine, join):
    service = join()
    log_in(machine)
    shell = join()

    assert service._directory.path != shell._directory.path
    hear_each_other(service, shell)


def test_who_loses_its_folder_at_the_logout_meets_the_others_in_the_shared_one(
    machine, join, caplog
):
    folder = log_in(machine)
    one, other = join(), join()
    hear_each_other(one, other)

    shutil.rmtree(folder)
    one._scan()
    other._scan()

    assert (
        one._directory.path == other._directory.path == private_folders.default_places("project")[1]
    )
    hear_each_other(one, other)
    wait_until(lambda: "it is there again" in caplog.text, "the log line")


def test_a_guest_finds_processes_in_both_folders(machine, join):
    buses = [join()]
    log_in(machine)
    buses.append(join())
    guest = Outsider(Config(), "project")

    receipt = gevent.get_hub().threadpool.apply(guest.carry, (Kind.PATH, "/x", HELLO))

    assert receipt.processes == 2
    assert all(bus.ears.heard for bus in buses)
    guest.close()


def test_a_folder_that_another_user_has_made_hides_nobody_in_the_other_one(
    machine, join, monkeypatch
):
    log_in(machine)
    squatted = machine / "tmp" / f"tina4-wsgi-{os.geteuid()}"
    squatted.mkdir(mode=0o755)
    one, other = join(), join()

    hear_each_other(one, other)
    assert BusDirectory(*private_folders.default_places("project")).exists()


def test_where_all_folders_are_taken_the_last_one_is_named(machine):
    (machine / "tmp" / f"tina4-wsgi-{os.geteuid()}").mkdir(mode=0o755)

    with pytest.raises(BackplaneError, match=r"bus directory .*/tina4-wsgi-\d+ has mode 0755"):
        BusDirectory(*private_folders.default_places("project")).make()


def test_what_stands_around_a_folder_that_is_named_may_be_anybodys(machine):
    (machine / "tmp" / "app").mkdir(mode=0o755)

    BusDirectory(str(machine / "tmp" / "app" / "bus")).make()

    assert (machine / "tmp" / "app" / "bus").stat().st_mode & 0o777 == 0o700


# -- a bus that can't begin comes back


@pytest.fixture
def relay(machine: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    monkeypatch.setattr(isolation, "is_on", False)
    monkeypatch.setattr(relay_module, "_FIRST_RETRY_S", 0.01)
    monkeypatch.setattr(relay_module, "_LONGEST_RETRY_S", 0.05)
    relay = Relay(Config(), "project", 0, Ears())
    yield relay
    relay.close()


def squat(machine: Path) -> Callable[[], object]:
    folder = machine / "tmp" / f"tina4-wsgi-{os.geteuid()}"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    return folder.rmdir


def put_a_file_there(machine: Path) -> Callable[[], object]:
    file = machine / "tmp" / f"tina4-wsgi-{os.geteuid()}"
    file.touch()
    return file.unlink


def take_the_whole_machine_away(machine: Path) -> Callable[[], object]:
    (machine / "tmp").rename(machine / "elsewhere")
    return lambda: (machine / "elsewhere").rename(machine / "tmp")


@pytest.mark.parametrize("break_it", [squat, put_a_file_there, take_the_whole_machine_away])
def test_what_was_in_the_way_at_the_start_is_told_and_the_bus_comes_when_it_is_gone(
    machine, relay, join, caplog, break_it
):
    mend = break_it(machine)
    relay.start()
    assert not relay.status().is_up
    assert str(machine) in relay.status().error
    relay.carry(Kind.PATH, "/x", HELLO)  # stays here, and nothing is raised

    mend()

    wait_until(lambda: relay.status().is_up, "the bus")
    other = join()
    wait_until(lambda: not relay._core.is_alone, "the link")
    relay.carry(Kind.PATH, "/x", HELLO)
    wait_until(lambda: other.ears.heard == [(Kind.PATH, "/x", HELLO)], "the message")
    wait_until(lambda: "broadcasts reach the other processes now" in caplog.text, "the log line")
    assert caplog.text.count("broadcasts stay in this process") == 1


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_a_system_that_refuses_the_socket_is_asked_again(relay, monkeypatch, number):
    listen, failures = BusDirectory.listen, [3]

    def listen_later(self: BusDirectory, name: str) -> object:
        failures[0] -= 1
        if failures[0] >= 0:
            raise OSError(number, os.strerror(number))
        return listen(self, name)

    monkeypatch.setattr(BusDirectory, "listen", listen_later)
    relay.start()
    assert relay.status().error == f"[Errno {number}] {os.strerror(number)}"

    wait_until(lambda: relay.status().is_up, "the bus")
    assert relay.status().error == ""


def test_an_error_of_ours_at_the_start_fails_no_handshake(relay, monkeypatch):
    monkeypatch.setattr(LocalBus, "start", lambda self: 1 // 0)

    relay.start()

    assert not relay.status().is_up
    assert "division" in relay.status().error


def test_a_relay_that_is_closed_tries_no_more(machine, relay):
    mend = squat(machine)
    relay.start()

    relay.close()
    mend()

    assert relay._retry is None
    assert not (machine / "tmp" / f"tina4-wsgi-{os.geteuid()}").exists()


def test_a_folder_that_can_not_be_made_again_is_told_while_it_is_so(machine, join):
    bus = join()
    shutil.rmtree(machine / "tmp")
    bus._scan()
    assert not bus.status().is_up
    assert "can't be made" in bus.status().error

    (machine / "tmp").mkdir()
    bus._scan()
    assert bus.status().is_up
    assert bus.status().error == ""
