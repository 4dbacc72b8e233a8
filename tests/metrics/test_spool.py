"""The folder in which workers put their numbers together."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import gevent
import pytest

from tina4_wsgi.errors import ConfigError
from tina4_wsgi.metrics import Histogram, Sums
from tina4_wsgi.spool import Spool, default_folder


def sums(number: int) -> Sums:
    made = Sums()
    made.count("messages_received", number, "/ws")
    made.gauge("connections", number, "/ws")
    histogram = Histogram()
    histogram.add(number)
    made.observe("callback_seconds", histogram, "/ws", "open")
    return made


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "numbers")


def test_what_one_writes_the_other_reads(folder):
    one, two = Spool(folder), Spool(folder)

    one.write(sums(3), {"pid": 7})
    (told,), past = two.others()

    assert told.about == {"pid": 7}
    assert told.sums.as_dict() == sums(3).as_dict()
    assert past.counters == {}
    one.close(), two.close()


def test_only_this_user_may_look_in(folder):
    spool = Spool(folder)
    spool.write(sums(1), {})
    spool.close()

    modes = {stat.S_IMODE(os.stat(path).st_mode) for path in Path(folder).iterdir()}
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    assert modes == {0o600}


def test_one_that_has_ended_leaves_its_counters_and_no_gauge(folder):
    asker, ended = Spool(folder), Spool(folder)
    asker.write(sums(1), {})
    ended.write(sums(3), {})
    ended.close()

    for _ in range(2):
        alive, past = asker.others()
        assert alive == []
        assert past.counters == sums(3).counters
        assert past.histograms == sums(3).histograms
        assert past.gauges == {}
    asker.close()


def test_files_of_the_ended_do_not_pile_up(folder):
    asker = Spool(folder)
    asker.write(sums(1), {})
    for _ in range(5):
        ended = Spool(folder)
        ended.write(sums(2), {})
        ended.close()
        asker.others()

    assert asker.others()[1].counters["messages_received"] == {"/ws": 10}
    assert len(os.listdir(folder)) == 4  # the folder's lock, the past, and the asker's two
    asker.close()


def test_when_nobody_was_left_it_begins_anew(folder):
    first = Spool(folder)
    first.write(sums(3), {})
    first.close()

    second = Spool(folder)
    alive, past = second.others()

    assert (alive, past.counters) == ([], {})
    second.close()


def test_one_that_has_not_written_yet_says_nothing(folder):
    asker, silent = Spool(folder), Spool(folder)
    asker.write(sums(1), {})
    silent.others()

    assert asker.others()[0] == []
    asker.close(), silent.close()


def test_what_another_version_wrote_is_left_out(folder):
    asker, other = Spool(folder), Spool(folder)
    asker.write(sums(1), {})
    other.write(sums(1), {})
    for path in Path(folder).glob(f"{other._name}.json"):
        path.write_text('{"other": 1}')

    assert asker.others()[0] == []
    asker.close(), other.close()


def test_one_that_ended_before_it_told_anything_leaves_nothing(folder):
    asker, silent = Spool(folder), Spool(folder)
    asker.write(sums(1), {})
    silent.others()
    silent.close()
    silent.close()  # harmless

    assert (asker.others()[0], asker.others()[1].counters) == ([], {})
    assert len(list(Path(folder).glob("*.lock"))) == 1
    asker.close()


def test_the_default_folder_is_one_per_user_and_project_and_is_made_with_its_parent(tmp_path, monkeypatch):
    monkeypatch.setattr("tina4_wsgi.spool._BASE", str(tmp_path))
    here, there = default_folder("a"), default_folder("b")
    assert here != there

    spool = Spool(here)
    spool.write(sums(1), {})
    spool.close()

    (parent,) = tmp_path.iterdir()
    assert parent.name == f"tina4-wsgi-{os.geteuid()}"
    assert [stat.S_IMODE(os.stat(path).st_mode) for path in (parent, here)] == [0o700, 0o700]


def test_a_link_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "numbers").symlink_to(tmp_path / "real")

    with pytest.raises(ConfigError, match="expected a folder that this user alone may write to"):
        Spool(str(tmp_path / "numbers")).others()


def test_a_folder_that_can_not_be_made_is_named(tmp_path):
    with pytest.raises(ConfigError, match="can't make"):
        Spool(str(tmp_path / "missing" / "numbers")).others()


def test_a_folder_that_stays_locked_is_an_error(folder, monkeypatch):
    monkeypatch.setattr("tina4_wsgi.spool._PATIENCE_S", 0.05)
    one, two = Spool(folder), Spool(folder)
    one.write(sums(1), {})

    with one._whole_folder(), pytest.raises(TimeoutError, match="was locked"):
        two.others()
    one.close()


def test_two_greenlets_that_come_first_share_one_place(folder):
    holder, spool = Spool(folder), Spool(folder)
    holder.write(sums(1), {})
    with holder._whole_folder():
        both = [gevent.spawn(spool.write, sums(2), {}) for _ in range(2)]
        gevent.sleep(0)
    gevent.joinall(both, raise_error=True)

    (told,), _ = holder.others()
    assert told.sums.counters == sums(2).counters
    holder.close(), spool.close()
