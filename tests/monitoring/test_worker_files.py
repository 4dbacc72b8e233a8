"""The folder in which workers put their numbers together."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import gevent
import pytest

from tina4_wsgi.backplane.private_folders import default_places
from tina4_wsgi.errors import ConfigError
from tina4_wsgi.monitoring.metrics import Sums
from tina4_wsgi.monitoring.worker_files import _STALE_S, WorkerFiles
from tina4_wsgi.websocket.counters import Histogram


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
    one, two = WorkerFiles(folder), WorkerFiles(folder)

    one.write(sums(3), {"pid": 7})
    (told,), past = two.others()

    assert told.about == {"pid": 7}
    assert told.sums.as_dict() == sums(3).as_dict()
    assert past.counters == {}
    one.close(), two.close()


def test_only_this_user_may_look_in(folder):
    own = WorkerFiles(folder)
    own.write(sums(1), {})
    own.close()

    modes = {stat.S_IMODE(os.stat(path).st_mode) for path in Path(folder).iterdir()}
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    assert modes == {0o600}


def test_one_that_has_ended_leaves_its_counters_and_no_gauge(folder):
    asker, ended = WorkerFiles(folder), WorkerFiles(folder)
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
    asker = WorkerFiles(folder)
    asker.write(sums(1), {})
    for _ in range(5):
        ended = WorkerFiles(folder)
        ended.write(sums(2), {})
        ended.close()
        asker.others()

    assert asker.others()[1].counters["messages_received"] == {"/ws": 10}
    assert len(os.listdir(folder)) == 4  # the folder's lock, the past, and the asker's two
    asker.close()


def age(folder, seconds):
    """Make all files of a folder so much older."""
    for path in Path(folder).iterdir():
        found = path.stat()
        os.utime(path, (found.st_atime - seconds, found.st_mtime - seconds))


def test_after_a_reload_in_which_nobody_was_left_counters_go_on(folder):
    for number in (3, 4):
        worker = WorkerFiles(folder)
        worker.write(sums(number), {})
        worker.close()

    asker = WorkerFiles(folder)
    alive, past = asker.others()

    assert alive == []
    assert past.counters["messages_received"] == {"/ws": 7}
    assert past.gauges == {}
    asker.close()


def test_when_nobody_was_there_for_long_it_begins_anew(folder):
    first = WorkerFiles(folder)
    first.write(sums(3), {})
    first.close()
    age(folder, _STALE_S + 60)

    second = WorkerFiles(folder)
    alive, past = second.others()

    assert (alive, past.counters) == ([], {})
    second.close()


def test_one_that_has_not_written_yet_says_nothing(folder):
    asker, silent = WorkerFiles(folder), WorkerFiles(folder)
    asker.write(sums(1), {})
    silent.others()

    (told,), _ = asker.others()
    assert told.sums.counters == {}
    asker.close(), silent.close()


def test_what_another_version_wrote_is_left_out(folder):
    asker, other = WorkerFiles(folder), WorkerFiles(folder)
    asker.write(sums(1), {})
    other.write(sums(1), {})
    for path in Path(folder).glob(f"{other._name}.json"):
        path.write_text('{"other": 1}')

    assert asker.others()[0] == []
    asker.close(), other.close()


def test_one_that_ended_before_it_told_anything_leaves_nothing(folder):
    asker, silent = WorkerFiles(folder), WorkerFiles(folder)
    asker.write(sums(1), {})
    silent.others()
    silent.close()
    silent.close()  # harmless

    assert (asker.others()[0], asker.others()[1].counters) == ([], {})
    assert len(list(Path(folder).glob("*.lock"))) == 1
    asker.close()


def test_the_default_folder_is_one_per_user_and_project_and_is_made_with_its_parent(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("tina4_wsgi.backplane.private_folders._SHARED", str(tmp_path))
    here, there = (default_places(name, ".metrics")[1] for name in "ab")
    assert here != there

    own = WorkerFiles(here)
    own.write(sums(1), {})
    own.close()

    (parent,) = tmp_path.iterdir()
    assert parent.name == f"tina4-wsgi-{os.geteuid()}"
    assert [stat.S_IMODE(os.stat(path).st_mode) for path in (parent, here)] == [0o700, 0o700]


def test_a_link_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "numbers").symlink_to(tmp_path / "real")

    with pytest.raises(ConfigError, match="expected a folder that this user alone may write to"):
        WorkerFiles(str(tmp_path / "numbers")).others()


def test_a_folder_that_can_not_be_made_is_named(tmp_path):
    with pytest.raises(ConfigError, match="can't make"):
        WorkerFiles(str(tmp_path / "missing" / "numbers")).others()


def test_a_folder_that_stays_locked_is_an_error(folder, monkeypatch):
    monkeypatch.setattr("tina4_wsgi.monitoring.worker_files._PATIENCE_S", 0.05)
    one, two = WorkerFiles(folder), WorkerFiles(folder)
    one.write(sums(1), {})

    with one._whole_folder(), pytest.raises(TimeoutError, match="was locked"):
        two.others()
    one.close()


def test_two_greenlets_that_come_first_share_one_place(folder):
    holder, own = WorkerFiles(folder), WorkerFiles(folder)
    holder.write(sums(1), {})
    with holder._whole_folder():
        both = [gevent.spawn(own.write, sums(2), {}) for _ in range(2)]
        gevent.sleep(0)
    gevent.joinall(both, raise_error=True)

    (told,), _ = holder.others()
    assert told.sums.counters == sums(2).counters
    holder.close(), own.close()


# -- files that go


def pass_time(folder, seconds=60):
    age(folder, seconds)


@pytest.fixture
def pair(folder):
    asker, other = WorkerFiles(folder), WorkerFiles(folder)
    gone = WorkerFiles(folder)
    for own, number in ((gone, 100), (asker, 1), (other, 20)):
        own.write(sums(number), {})
    gone.close()
    asker.others()  # takes in what the one that has ended left
    asker.write(sums(1), {})
    other.write(sums(20), {})
    yield asker, other
    asker.close(), other.close()


def total(asker, own):
    alive, past = asker.others()
    for told in alive:
        past.add(told.sums)
    past.add(own)
    return past.counters["messages_received"]["/ws"]


def rewrite(own, number):
    assert not own.is_whole()
    own.write(sums(number), {})
    assert own.is_whole()


def test_a_folder_that_was_removed_is_made_again_and_the_ended_still_count(pair, folder):
    asker, other = pair
    assert total(asker, sums(1)) == 121

    shutil.rmtree(folder)
    rewrite(other, 21)
    rewrite(asker, 1)
    with pytest.raises(OSError, match="are putting them back"):
        asker.others()
    pass_time(folder)

    assert total(asker, sums(1)) == 122
    assert total(other, sums(21)) == 122


def test_a_folder_that_another_user_holds_is_an_error_until_it_is_gone(pair, folder):
    asker, other = pair
    shutil.rmtree(folder)
    Path(folder).mkdir()
    Path(folder).chmod(0o777)
    with pytest.raises(ConfigError, match="has mode 0777"):
        asker.write(sums(1), {})

    Path(folder).rmdir()
    rewrite(asker, 1)
    rewrite(other, 20)
    pass_time(folder)

    assert total(asker, sums(1)) == 121


def test_one_whose_lock_was_removed_still_counts_and_takes_it_again(pair, folder):
    asker, other = pair
    (Path(folder) / f"{other._name}.lock").unlink()

    assert total(asker, sums(1)) == 121
    rewrite(other, 25)
    pass_time(folder)
    assert total(asker, sums(1)) == 126


def test_one_whose_numbers_were_removed_makes_all_sums_wait(pair, folder):
    asker, other = pair
    (Path(folder) / f"{other._name}.json").unlink()

    with pytest.raises(FileNotFoundError):
        asker.others()
    rewrite(other, 22)
    assert total(asker, sums(1)) == 123


def test_the_common_file_of_the_ended_is_not_missed_for_long(pair, folder):
    asker, other = pair
    shutil.rmtree(folder)
    rewrite(other, 20)
    rewrite(asker, 1)
    pass_time(folder)
    third = WorkerFiles(folder)
    third.write(sums(1_000), {})
    third.close()

    assert total(other, sums(20)) == 1_121


def test_one_that_was_killed_without_a_lock_is_taken_in(pair, folder):
    asker, _ = pair
    killed = WorkerFiles(folder)
    killed._name = f"{2**22 + 1}-00"  # no process has this number
    killed.write(sums(5), {})
    killed.close()
    (Path(folder) / f"{killed._name}.lock").unlink()

    assert total(asker, sums(1)) == 126
    assert not list(Path(folder).glob(f"{killed._name}*"))


def test_one_that_has_nothing_to_write_shows_that_it_lives(folder):
    idle = WorkerFiles(folder)
    idle.write(sums(3), {})
    age(folder, _STALE_S + 60)
    idle.touch()
    idle.close()

    later = WorkerFiles(folder)
    assert total(later, sums(0)) == 3
    later.close()


def test_newcomers_take_the_folder_in_which_others_are(tmp_path, monkeypatch):
    monkeypatch.setattr("tina4_wsgi.backplane.private_folders._RUNTIME", str(tmp_path / "run"))
    monkeypatch.setattr("tina4_wsgi.backplane.private_folders._SHARED", str(tmp_path))
    folders = default_places("a", ".metrics")
    early = WorkerFiles(*folders)
    early.write(sums(3), {})
    (tmp_path / "run" / str(os.geteuid())).mkdir(parents=True, mode=0o700)

    late = WorkerFiles(*folders)
    assert total(late, sums(1)) == 4
    assert late._folder == early._folder == folders[1]
    early.close(), late.close()

    first_after_all = WorkerFiles(*folders)
    first_after_all.write(sums(1), {})
    assert first_after_all._folder == folders[0]
    first_after_all.close()
