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

from tina4_wsgi.backplane.bus.directory import BusDirectory, socket_name
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
