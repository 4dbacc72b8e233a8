"""The doctor looks at the file in which an app keeps what was said, and makes nothing."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tests.support.command import run
from tina4_wsgi import App, Router
from tina4_wsgi.cli.doctor.history_file import examine_history
from tina4_wsgi.cli.doctor.ways import Note
from tina4_wsgi.hosting.checks import Finding


def talk(connection, event, data):
    pass


def examined(folder: Path, **settings: object) -> tuple[list[str], list[str]]:
    """Examine an app that keeps history in a folder; give the findings and the notes."""
    router = Router()
    router.websocket("/ws/{room}", talk, history=100)
    router.room("orders:{id}", history=7, replay=7)
    settings = {"history_dir": str(folder), "backplane": "local", **settings}
    found = [*examine_history(App(router=router, **settings))]
    return (
        [str(one) for one in found if isinstance(one, Finding)],
        [str(one) for one in found if isinstance(one, Note)],
    )


def test_a_folder_that_can_be_made_is_right_and_is_not_made(tmp_path):
    findings, notes = examined(tmp_path / "var" / "kept")

    assert findings == []
    assert notes == [
        "note: history is kept of /ws/{room} (100 for 300 s), room orders:{id} (7 for 300 s, "
        f"replay 7), in {tmp_path}/var/kept/history-0.sqlite".replace("history-0", file_name(notes))
    ]
    assert not (tmp_path / "var").exists()


def file_name(notes: list[str]) -> str:
    """Give the name of the file, which depends on how many apps this process has."""
    return Path(notes[0].rpartition(" ")[2]).stem


def test_an_app_that_keeps_nothing_is_not_examined(tmp_path):
    router = Router()
    router.websocket("/ws", talk)

    assert [*examine_history(App(router=router, history_dir=str(tmp_path)))] == []
    assert [*examine_history(talk)] == []


def test_a_folder_that_others_may_read_is_a_fault(tmp_path):
    (tmp_path / "kept").mkdir(mode=0o755)
    (tmp_path / "kept").chmod(0o755)

    (finding,), _ = examined(tmp_path / "kept")

    assert finding == (
        f"warning: history can't be kept: the folder {tmp_path}/kept has mode 0755, expected "
        f"0700: chmod 700 {tmp_path}/kept; nothing is kept until then, and clients that come back "
        "are told of a gap; see history_dir"
    )


def test_a_folder_that_is_a_file_is_a_fault(tmp_path):
    (tmp_path / "kept").write_text("")

    assert "is no directory" in examined(tmp_path / "kept")[0][0]
    assert "can't be read: Not a directory" in examined(tmp_path / "kept" / "deeper")[0][0]


def test_a_folder_that_can_not_be_made_is_a_fault(monkeypatch, tmp_path):
    monkeypatch.setattr("os.access", lambda path, mode: str(path) != str(tmp_path))

    (finding,), _ = examined(tmp_path / "var" / "kept")

    assert f"the folder {tmp_path}/var/kept can't be made in {tmp_path};" in finding


def test_a_file_that_can_not_be_used_is_a_fault(tmp_path):
    folder = tmp_path / "kept"
    folder.mkdir(mode=0o700)
    _, notes = examined(folder)
    (folder / f"{file_name(notes)}.sqlite").mkdir()

    (finding,), _ = examined_again(folder, notes)

    assert "sqlite can't be used: unable to open database file" in finding


def test_a_file_of_a_later_version_is_a_fault(tmp_path):
    folder = tmp_path / "kept"
    folder.mkdir(mode=0o700)
    _, notes = examined(folder)
    connection = sqlite3.connect(folder / f"{file_name(notes)}.sqlite")
    connection.execute("PRAGMA user_version=7")
    connection.close()

    (finding,), _ = examined_again(folder, notes)

    assert "it has tables of version 7, which a later version of tina4_wsgi wrote" in finding


def examined_again(folder: Path, notes: list[str]) -> tuple[list[str], list[str]]:
    """Examine an app that has the same number as that of the notes."""
    number = int(file_name(notes).rpartition("-")[2])
    router = Router()
    router.websocket("/ws/{room}", talk, history=100)
    app = App(router=router, history_dir=str(folder), backplane="local")
    app.number = number
    found = [*examine_history(app)]
    return [str(one) for one in found if isinstance(one, Finding)], []


def test_a_python_without_sqlite_is_a_fault(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    assert "built without sqlite3" in examined(tmp_path / "kept")[0][0]


def test_a_disk_that_is_too_small_is_a_fault(tmp_path):
    (finding,), _ = examined(tmp_path / "kept", max_history_bytes=1 << 40)

    assert finding.startswith(f"warning: {tmp_path} has room for ")
    assert "and history may take 1048576 MiB; make room, or set" in finding


def test_without_a_backplane_it_is_kept_in_memory(tmp_path):
    findings, (note,) = examined(tmp_path, backplane="none")

    assert findings == []
    assert note.endswith(", in the memory of each process, since backplane is 'none'")


def test_in_redis_there_is_no_file(tmp_path):
    findings, (note,) = examined(tmp_path, backplane="redis", backplane_url="redis://127.0.0.1:1")

    assert findings == []
    assert note.endswith(" replay 7), in Redis")


def test_the_command_tells_of_it(tmp_path, monkeypatch):
    monkeypatch.setenv("TINA4_WS_MAX_CONNECTIONS", "100")
    (tmp_path / "wsgi.py").write_text(
        "from gevent import monkey; monkey.patch_all()\n"
        "from tina4_wsgi import App, Router\n\n"
        "Router.websocket('/ws/news', lambda connection, event, data: None, history=10)\n"
        f"app = App(history_dir={str(tmp_path / 'kept')!r})\n"
    )

    done = run(tmp_path, "doctor")

    assert (done.returncode, done.stderr) == (0, "")
    assert (
        "note: history is kept of /ws/news (10 for 300 s), in "
        f"{tmp_path}/kept/history-0.sqlite\n" in done.stdout
    )
