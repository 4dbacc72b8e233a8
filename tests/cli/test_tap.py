"""`tina4-wsgi tap`: what is said on a path, as it is said."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.kept import History
from tests.support.command import PATH, RUN_S
from tests.support.polling import poll_until
from tina4_wsgi.cli.main import main
from tina4_wsgi.routing.names import GroupKind


class Tap:
    """A `tina4-wsgi tap` that runs."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._stderr = folder / "stderr"
        with self._stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "error", "-m", "tina4_wsgi", "tap", *arguments],
                cwd=folder,
                env={**os.environ, **PATH},
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )

    def wait_for_word(self, word: str) -> None:
        """Wait until it has said something on stderr."""

        def has_said() -> bool:
            said = self._stderr.read_text()
            assert word in said or self.process.poll() is None, said
            return word in said

        poll_until(has_said, self._stderr.read_text, RUN_S)

    def read(self) -> str:
        """Read the message of the next line."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n").split("  ", 2)[-1]

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send it a signal, and give its exit code."""
        self.process.send_signal(number)
        return self.process.wait(RUN_S)

    def close(self) -> None:
        """Kill it, if it still runs."""
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def tap(kept: History, tmp_path: Path) -> Iterator[object]:
    """Start a tap, and wait until it listens."""
    taps: list[Tap] = []

    def start(*arguments: str) -> Tap:
        one = Tap(tmp_path, *arguments)
        taps.append(one)
        one.wait_for_word("listening")
        return one

    yield start
    for one in taps:
        one.close()


def test_each_message_is_printed_as_it_is_said_until_it_is_interrupted(kept, tap):
    kept.say("before")
    running = tap("/ws/news/a")

    kept.say("one", "two")
    kept.say("elsewhere", name="/ws/news/b")
    heard = [running.read(), running.read()]
    kept.say("three")

    assert [*heard, running.read()] == ["one", "two", "three"]
    assert running.end() == 0


def test_a_room_may_be_listened_to_with_json(kept, tap):
    running = tap("--room", "orders:7", "--json")

    (position,) = kept.say("paid", name="orders:7", kind=GroupKind.ROOM)

    heard = json.loads(running.read())
    assert (heard["position"], heard["message"]) == (position, "paid")


def test_what_was_said_behind_a_position_comes_first(kept, tap):
    first, *_ = kept.say("one", "two", "three")

    running = tap("/ws/news/a", "--since", first)
    kept.say("four")

    assert [running.read() for _ in range(3)] == ["two", "three", "four"]


def test_a_position_that_is_gone_is_an_error(kept, capsys):
    code = main(["tap", "/ws/news/a", "--since", "Another.0-1"])

    assert code == 1
    assert "is not there any more" in capsys.readouterr().err


def test_more_than_one_page_is_printed_in_order(kept, tap):
    running = tap("/ws/news/a")

    for number in range(600):
        kept.say(str(number))

    assert [running.read() for _ in range(600)] == [*map(str, range(600))]


def test_a_history_that_is_replaced_is_a_gap(kept, tap, tmp_path):
    running = tap("/ws/news/a")
    kept.say("old")
    assert running.read() == "old"
    kept.close()
    for file in (tmp_path / "kept").iterdir():
        file.unlink()

    running.wait_for_word("messages are missing here")
    kept.say("new")

    assert running.read() == "new"


def test_while_the_file_can_not_be_read_it_tries_again(kept, tap, tmp_path):
    running = tap("/ws/news/a")
    kept.close()
    (tmp_path / "kept").rename(tmp_path / "away")
    (tmp_path / "kept").write_text("no folder")

    running.wait_for_word("trying again")
    (tmp_path / "kept").unlink()
    (tmp_path / "away").rename(tmp_path / "kept")
    kept.say("back")

    assert running.read() == "back"
