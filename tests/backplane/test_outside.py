"""A publisher from outside: which way it goes, what it keeps, and what a child of it begins anew."""

from __future__ import annotations

import pickle
import weakref

import pytest

from tina4_wsgi.backplane import outside as outside_module
from tina4_wsgi.backplane.bus.directory import BusDirectory, socket_name
from tina4_wsgi.backplane.bus.outside import BusOutsider
from tina4_wsgi.backplane.contract import Receipt
from tina4_wsgi.backplane.envelope import Kind
from tina4_wsgi.backplane.isolation import WithinProcess, isolation
from tina4_wsgi.backplane.outside import Outsider, check_settings
from tina4_wsgi.backplane.redis.keeping import RedisKeepingPublisher
from tina4_wsgi.backplane.redis.outside import RedisOutsider
from tina4_wsgi.config import Config
from tina4_wsgi.errors import BackplaneError, ConfigError

HELLO = b"\x81\x05hello"


class Way:
    """A way that takes everything, or nothing."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.carried: list[tuple[Kind, str, bytes]] = []
        self.closed = 0

    def carry(self, kind: Kind, name: str, frame: bytes, once: str = "") -> Receipt:
        if self.error is not None:
            raise self.error
        self.carried.append((kind, name, frame))
        return Receipt(1, 2)

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def ways(monkeypatch):
    """The ways that are found, one after the other."""
    ways = [Way(), Way()]
    rest = iter(ways)
    monkeypatch.setattr(Outsider, "_find_way", lambda self: next(rest))
    return ways


def test_a_way_is_kept_for_the_next_message(ways):
    outsider = Outsider(Config(), None)

    assert outsider.carry(Kind.PATH, "/x", HELLO) == (1, 2)
    outsider.carry(Kind.ROOM, "r", HELLO)

    assert ways[0].carried == [(Kind.PATH, "/x", HELLO), (Kind.ROOM, "r", HELLO)]
    assert (ways[0].closed, ways[1].carried) == (0, [])


def test_after_a_failure_the_way_is_looked_for_again(ways):
    ways[0].error = BackplaneError("nobody took it")
    outsider = Outsider(Config(), None)

    with pytest.raises(BackplaneError, match="nobody took it"):
        outsider.carry(Kind.PATH, "/x", HELLO)
    outsider.carry(Kind.PATH, "/x", HELLO)

    assert (ways[0].closed, len(ways[1].carried)) == (1, 1)


def test_it_is_closed_once_and_finds_a_way_again_when_it_is_used_again(ways):
    outsider = Outsider(Config(), None)
    outsider.close()
    outsider.carry(Kind.PATH, "/x", HELLO)

    outsider.close()
    outsider.close()
    outsider.carry(Kind.PATH, "/x", HELLO)

    assert (ways[0].closed, len(ways[1].carried)) == (1, 1)


def test_a_forked_child_closes_its_copies_and_finds_a_way_of_its_own(ways, monkeypatch):
    outsider = Outsider(Config(), None)
    outsider.carry(Kind.PATH, "/x", HELLO)

    monkeypatch.setattr(outside_module.os, "getpid", lambda: -1)
    for _ in range(2):
        outsider.carry(Kind.PATH, "/x", HELLO)

    assert (ways[0].closed, len(ways[0].carried)) == (1, 1)
    assert (ways[1].closed, len(ways[1].carried)) == (0, 2)


def test_another_process_that_is_sent_one_finds_a_way_of_its_own(ways):
    outsider = Outsider(Config(bus_dir="/nowhere"), "root", 3)
    outsider.carry(Kind.PATH, "/x", HELLO)

    copy = pickle.loads(pickle.dumps(outsider))
    copy.carry(Kind.PATH, "/x", HELLO)

    assert (ways[0].closed, len(ways[1].carried)) == (0, 1)
    assert (copy._config.bus_dir, copy._root, copy._app_number) == ("/nowhere", "root", 3)


@pytest.fixture
def is_isolated(monkeypatch):
    monkeypatch.setattr(isolation, "is_on", True)
    monkeypatch.setattr(isolation, "receivers", weakref.WeakSet())


def test_an_isolated_process_reaches_itself_alone(is_isolated):
    assert type(Outsider(Config(), None)._find_way()) is WithinProcess


def test_an_app_of_an_isolated_process_has_told_its_own_process_already(is_isolated, tmp_path):
    assert type(Outsider(Config(), tmp_path, 0)._find_way()) is BusOutsider


class Hall:
    def __init__(self, size: int) -> None:
        self.size = size
        self.heard: list[tuple[Kind, str, bytes]] = []

    def count_here(self, kind: Kind, name: str) -> int:
        return self.size

    def say(self, kind: Kind, name: str, frame: bytes, once: str) -> None:
        self.heard.append((kind, name, frame))
        self.size = 0  # a client that closes when it hears it


def test_all_apps_of_an_isolated_process_hear_it_and_count_as_one_process(is_isolated):
    halls = [Hall(2), Hall(3)]
    for hall in halls:
        isolation.receivers.add(hall)

    receipt = Outsider(Config(), None).carry(Kind.PATH, "/x", HELLO)

    assert receipt == (1, 5)
    assert [hall.heard for hall in halls] == [[(Kind.PATH, "/x", HELLO)]] * 2


def test_without_a_backplane_it_says_which_there_are():
    with pytest.raises(BackplaneError, match=r"backplane is 'none'.*expected 'local' or 'redis'"):
        Outsider(Config(backplane="none"), None).carry(Kind.PATH, "/x", HELLO)


@pytest.mark.parametrize(("app_number", "channel"), [(None, "t:path:/x"), (2, "t.2:path:/x")])
def test_with_redis_it_speaks_to_the_same_app_or_to_the_first(app_number, channel):
    config = Config(backplane="redis", backplane_prefix="t", backplane_url="redis://h")

    way = Outsider(config, None, app_number)._find_way()
    if app_number is None:
        assert type(way) is RedisKeepingPublisher  # an app keeps what it says itself
        way = way._way

    assert type(way) is RedisOutsider
    assert way._channels.of(Kind.PATH, "/x") == channel


def test_a_root_names_the_folder(tmp_path):
    named = Outsider(Config(), tmp_path)._find_place()[0]

    assert str(named) == str(outside_module.directory_of(Config(), tmp_path))


def test_a_folder_that_is_set_goes_before_all_others(tmp_path):
    config = Config(bus_dir=str(tmp_path / "bus"))

    assert str(Outsider(config, None)._find_place()[0]) == str(tmp_path / "bus")


def test_without_a_root_the_first_folder_with_a_server_is_taken(tmp_path, monkeypatch):
    directories = [BusDirectory(str(tmp_path / name)) for name in "abc"]
    for directory in directories[1:]:
        directory.make()
        directory.listen(socket_name(0)).close()
    monkeypatch.setattr(outside_module, "likely_roots", lambda: (0, 1, 2))
    monkeypatch.setattr(outside_module, "directory_of", lambda config, root: directories[root])

    assert Outsider(Config(), None)._find_place()[0] is directories[1]


def test_where_there_is_no_server_it_is_the_likeliest_folder(tmp_path, monkeypatch):
    directories = [BusDirectory(str(tmp_path / name)) for name in "ab"]
    monkeypatch.setattr(outside_module, "likely_roots", lambda: (0, 1))
    monkeypatch.setattr(outside_module, "directory_of", lambda config, root: directories[root])

    assert Outsider(Config(), None)._find_place()[0] is directories[0]


def test_settings_of_redis_are_checked_only_where_redis_is_used():
    url = "redis://host?db=x"

    check_settings(Config(backplane_url=url))
    with pytest.raises(ConfigError, match="backplane_url can't be used"):
        check_settings(Config(backplane="redis", backplane_url=url))
