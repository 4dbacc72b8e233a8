"""The folder of the bus: who finds which sockets there, and what may be in the way."""

from __future__ import annotations

import errno
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tina4_wsgi.backplane.bus.directory import (
    BusDirectory,
    _address,
    _not_private,
    app_of,
    pid_of,
    sender_of,
    socket_name,
)
from tina4_wsgi.backplane.private_folders import NotPrivateError
from tina4_wsgi.errors import BackplaneError


@pytest.fixture
def directory() -> Iterator[BusDirectory]:
    with tempfile.TemporaryDirectory(prefix="t4") as name:
        directory = BusDirectory(str(Path(name) / "bus"))
        directory.make()
        yield directory


@pytest.fixture
def file_in_the_way(tmp_path: Path) -> Path:
    (tmp_path / "file").write_text("")
    return tmp_path / "file" / "bus"


def test_a_folder_that_can_not_be_made_is_named(file_in_the_way):
    with pytest.raises(BackplaneError, match=r"^bus directory .*/file/bus can't be made: "):
        BusDirectory(str(file_in_the_way)).make()


def test_a_folder_that_can_not_be_looked_at_is_named(file_in_the_way):
    with pytest.raises(
        BackplaneError, match=r"^bus directory .*/file/bus can't be used: Not a directory"
    ):
        BusDirectory(str(file_in_the_way)).exists()


def test_a_socket_that_can_not_be_opened_leaves_no_descriptor(directory):
    os.rmdir(directory.path)

    with pytest.raises(OSError, match="No such file"):
        directory.listen(socket_name(0))


def test_a_name_that_goes_while_it_is_looked_at_is_no_error(directory):
    with socket.socket(socket.AF_UNIX) as sock:
        assert directory.connect(socket_name(0), sock) is False
    directory.unlink(socket_name(0))
    directory._forget_unfinished(f"{directory.path}/.0-1-ab.new")

    assert directory.names() == []


def test_what_a_process_left_that_died_before_it_listened_is_removed_after_a_while(directory):
    unfinished = Path(directory.path) / ".0-1-00000000000000000000000000000000.new"
    unfinished.touch()
    assert (directory.names(), unfinished.exists()) == ([], True)

    long_ago_s = time.time() - 100
    os.utime(unfinished, (long_ago_s, long_ago_s))

    assert (directory.names(), unfinished.exists()) == ([], False)


def test_a_process_that_is_too_busy_keeps_its_name(directory, monkeypatch):
    name = socket_name(0)
    raw = directory.listen(name)

    class Busy:
        def connect(self, address):
            raise OSError(errno.EAGAIN, "try again")

    assert directory.connect(name, Busy()) is False
    assert directory.names() == [name]
    raw.close()


NAME = "3-4711-000102030405060708090a0b0c0d0e0f.sock"


def test_a_name_tells_app_process_and_sender():
    assert (app_of(NAME), pid_of(NAME), sender_of(NAME)) == (3, 4711, bytes(range(16)))


@pytest.mark.parametrize("name", ["", "notes.txt", f".{NAME}", f"{NAME}.new", NAME.upper()])
def test_another_name_tells_nothing(name):
    assert (app_of(name), pid_of(name)) == (None, 0)


def test_a_new_name_is_of_this_process_and_no_second_one_is_alike():
    names = [socket_name(7) for _ in range(2)]

    assert [(app_of(name), pid_of(name)) for name in names] == [(7, os.getpid())] * 2
    assert names[0] != names[1]


def test_the_parents_of_a_folder_that_is_set_are_made(tmp_path, monkeypatch):
    BusDirectory(str(tmp_path / "a" / "b" / "bus")).make()
    monkeypatch.chdir(tmp_path)
    BusDirectory("relative").make()

    assert (tmp_path / "a" / "b" / "bus").is_dir()
    assert (tmp_path / "relative").is_dir()


def test_of_several_folders_the_first_that_can_be_made_is_taken(tmp_path):
    paths = [str(tmp_path / "missing" / "bus"), str(tmp_path / "one"), str(tmp_path / "two")]
    directory = BusDirectory(*paths)
    assert (directory.path, directory.exists()) == (paths[2], False)

    directory.make()

    assert (directory.path, directory.exists()) == (paths[1], True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one"]
    assert str(directory) == " or ".join(paths)


def test_sockets_of_all_folders_are_found_and_reached(tmp_path):
    homes = [BusDirectory(str(tmp_path / name)) for name in "ab"]
    names = [socket_name(number) for number in (2, 1)]
    for home in homes:
        home.make()
    raws = [home.listen(name) for home, name in zip(homes, names, strict=True)]
    both = BusDirectory(*(home.path for home in homes))

    assert both.names() == sorted(names)
    for name in names:
        with socket.socket(socket.AF_UNIX) as sock:
            assert both.connect(name, sock)
    for raw in raws:
        raw.close()


def test_a_folder_that_others_may_enter_has_no_names(directory):
    directory.listen(socket_name(0)).close()
    os.chmod(directory.path, 0o755)

    assert directory.names() == []
    with pytest.raises(BackplaneError, match="expected 0700"):
        directory.exists()


def test_a_folder_that_others_may_enter_hides_no_other(directory, tmp_path):
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o755)

    assert BusDirectory(str(open_to_all), directory.path).exists()


def test_files_of_others_are_left_alone_however_old(directory):
    notes = Path(directory.path) / "notes.txt"
    notes.touch()
    os.utime(notes, (0, 0))

    assert (directory.names(), notes.exists()) == ([], True)


@pytest.mark.parametrize(("length", "is_itself"), [(107, True), (108, False)])
def test_an_address_that_is_too_long_for_the_kernel_goes_by_a_descriptor(
    tmp_path, length, is_itself
):
    name = "x" * (length - len(str(tmp_path)) - 1)

    with _address(str(tmp_path), name) as address:
        assert (address == str(tmp_path / name)) is is_itself
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(address)

    assert (tmp_path / name).is_socket()


@pytest.mark.parametrize(
    ("why", "has_hint"),
    [("/x belongs to user 7", True), ("/x may be entered by others", False)],
)
def test_the_folder_of_another_user_is_told_with_what_to_do(why, has_hint):
    told = str(_not_private(NotPrivateError(why)))

    assert told.startswith(f"bus directory {why}")
    assert told.endswith("or name another with TINA4_WS_BUS_DIR") == has_hint
