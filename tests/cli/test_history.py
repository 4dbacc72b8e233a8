"""`tina4-wsgi history`: what was said on a path, while nothing serves."""

from __future__ import annotations

import json
import time
from datetime import datetime
from pathlib import Path

import pytest

from tests.cli.kept import History
from tests.support.command import run
from tina4_wsgi.cli.main import main
from tina4_wsgi.routing.names import GroupKind


def history(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run the command in this process, and give its exit code and what it printed."""
    code = main(["history", *arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_each_message_is_a_line_with_its_time_and_position(kept: History, tmp_path: Path) -> None:
    said_at_s = time.time() - 1
    first, second = kept.say("hello", "world", at_s=said_at_s)
    at = datetime.fromtimestamp(said_at_s).isoformat(" ", "milliseconds")

    done = run(tmp_path, "history", "/ws/news/a")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{at}  {first}  hello\n{at}  {second}  world\n"


def test_only_the_last_ones_are_printed(kept, capsys):
    kept.say(*map(str, range(30)))

    _, by_default, _ = history(capsys, "/ws/news/a")
    _, two, _ = history(capsys, "/ws/news/a", "--most", "2")

    assert [line.split()[-1] for line in by_default.splitlines()] == [*map(str, range(10, 30))]
    assert [line.split()[-1] for line in two.splitlines()] == ["28", "29"]


def test_behind_a_position_the_first_ones_are_printed(kept, capsys):
    _, second, *_ = kept.say(*"12345")

    _, all_behind, _ = history(capsys, "/ws/news/a", "--after", second)
    _, one, _ = history(capsys, "/ws/news/a", "--after", second, "--most", "1")

    assert [line.split()[-1] for line in all_behind.splitlines()] == ["3", "4", "5"]
    assert [line.split()[-1] for line in one.splitlines()] == ["3"]


def test_a_room_has_a_history_of_its_own(kept, capsys):
    kept.say("on the path")
    kept.say("in the room", name="orders:7", kind=GroupKind.ROOM)

    _, printed, _ = history(capsys, "--room", "orders:7")

    assert [line.split("  ")[-1] for line in printed.splitlines()] == ["in the room"]


def test_json_has_a_line_for_each_message_as_it_was_said(kept, capsys):
    text, binary = kept.say("Grüße\n\x1b[31m", b"\x00\xff", at_s=(now := time.time()))

    _, printed, _ = history(capsys, "/ws/news/a", "--json")

    assert [json.loads(line) for line in printed.splitlines()] == [
        {"position": text, "said_at_s": round(now, 3), "message": "Grüße\n\x1b[31m"},
        {"position": binary, "said_at_s": round(now, 3), "base64": "AP8="},
    ]


def test_what_clients_said_can_not_change_the_terminal(kept, capsys):
    kept.say("Grüße\n\x1b[31mred\u202e", bytes(range(40)))

    _, printed, _ = history(capsys, "/ws/news/a")

    text, binary = (line.split("  ", 2)[2] for line in printed.splitlines())
    assert text == r"Grüße\n\x1b[31mred\u202e"
    assert binary == f"(40 bytes) {bytes(range(32)).hex(' ')}…"


def test_an_empty_history_is_no_error(kept, capsys):
    assert history(capsys, "/ws/news/b") == (0, "", "nothing is kept of /ws/news/b\n")


def test_forget_drops_what_is_kept_of_one_path(kept, capsys):
    kept.say("dropped")
    kept.say("stays", name="/ws/news/b")

    done = history(capsys, "/ws/news/a", "--forget")

    assert done == (0, "all that was kept of /ws/news/a is forgotten\n", "")
    assert history(capsys, "/ws/news/a")[1] == ""
    assert history(capsys, "/ws/news/b")[1].endswith("  stays\n")


def test_the_folder_may_be_named(kept, capsys, monkeypatch, tmp_path):
    kept.say("hello")
    monkeypatch.delenv("TINA4_WS_HISTORY_DIR")

    _, printed, _ = history(capsys, "/ws/news/a", "--history-dir", str(tmp_path / "kept"))

    assert printed.endswith("  hello\n")


def test_a_path_without_history_is_told_which_have_one(kept, capsys):
    assert history(capsys, "/ws/other") == (
        1,
        "",
        "tina4-wsgi: '/ws/other' keeps no history, expected one of: /ws/news/{name}, "
        "room orders:{id}\n",
    )
    assert history(capsys, "/ws/plain")[2].startswith("tina4-wsgi: '/ws/plain' keeps no history")
    assert history(capsys, "--room", "x")[2].startswith("tina4-wsgi: room 'x' keeps no history")


@pytest.mark.parametrize("command", ["history", "tap"])
def test_a_folder_without_a_history_is_told_where_to_look(command, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("TINA4_WS_BUS_DIR", str(tmp_path / "bus"))
    monkeypatch.chdir(tmp_path)

    code = main([command, "/ws/news/a"])

    assert (code, capsys.readouterr().err) == (
        1,
        "tina4-wsgi: no history was found, since nothing was kept here yet; run this as the "
        f"server's user in its project's folder (this is {tmp_path}), or name the folder of the "
        "file with TINA4_WS_HISTORY_DIR\n",
    )
    assert not (tmp_path / "bus").exists()


def test_a_position_that_history_does_not_reach_is_an_error(kept, capsys):
    kept.say("hello")

    code, printed, error = history(capsys, "/ws/news/a", "--after", "Another.0-1")

    assert (code, printed) == (1, "")
    assert error.startswith("tina4-wsgi: what was said on '/ws/news/a' behind 'Another.0-1' is not")


def test_a_file_that_can_not_be_read_is_an_error(kept, capsys, tmp_path):
    kept.close()
    for file in (tmp_path / "kept").iterdir():
        file.unlink()
    (tmp_path / "kept" / "history-0.sqlite").mkdir()

    code, printed, error = history(capsys, "/ws/news/a")

    assert (code, printed) == (1, "")
    assert error.startswith(f"tina4-wsgi: {tmp_path}/kept/history-0.sqlite can't be used: ")


def test_without_a_backplane_nothing_can_be_found(kept, capsys, monkeypatch):
    monkeypatch.setenv("TINA4_WS_BACKPLANE", "none")

    code, _, error = history(capsys, "/ws/news/a")

    assert code == 1
    assert error.startswith("tina4-wsgi: backplane is 'none', so what is kept is in the memory")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected a path, or --room with the name of a room"),
        (["/ws/a", "--room", "b"], "expected a path, or --room with the name of a room"),
        (["/ws/a", "--after", "x"], "'x', expected a position as in k3x9Qz1a.0-42"),
        (["/ws/a", "--most", "0"], "'0', expected a number from 1 on"),
        (["/ws/a", "--forget", "--json"], "--forget prints no messages"),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["history", *arguments])

    assert caught.value.code == 2
    assert message in capsys.readouterr().err
