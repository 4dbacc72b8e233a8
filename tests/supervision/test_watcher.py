"""Which changed files count, and as what."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from tina4_wsgi.supervision.watcher import Changes, Watcher


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path.resolve()


def write(folder: Path, name: str, text: str = "") -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    "name",
    [
        "wsgi.py",
        "shop/views.py",
        "src/routes/page.py",
        "shop/templates/cards.html",
        "src/public/odd.py",
    ],
)
def test_what_the_server_goes_by_is_code(folder, name):
    watcher = Watcher([folder])
    path = write(folder, name)

    assert watcher.changes() == Changes((path,), ())


@pytest.mark.parametrize(
    "name",
    [
        "src/templates/a/page.html",
        "src/public/app.css",
        "shop/static/app.js",
        "app/src/templates/page.txt",
    ],
)
def test_what_only_pages_show_is_of_pages(folder, name):
    watcher = Watcher([folder])
    path = write(folder, name)

    assert watcher.changes() == Changes((), (path,))


@pytest.mark.parametrize(
    "name",
    [
        "notes.txt",
        "data.sqlite",
        ".git/hook.py",
        "node_modules/x/y.py",
        "__pycache__/x.py",
        "src/public/.app.css.swp",
    ],
)
def test_everything_else_is_not_looked_at(folder, name):
    watcher = Watcher([folder])
    write(folder, name)

    assert watcher.changes() is None


def test_virtual_environments_are_left_out(folder):
    write(folder, "env/pyvenv.cfg")
    watcher = Watcher([folder])
    write(folder, "env/lib/module.py")

    assert watcher.changes() is None


def test_changed_and_removed_files_are_seen_once(folder):
    changed, removed = write(folder, "a.py", "1"), write(folder, "b.py")
    watcher = Watcher([folder])

    write(folder, "a.py", "22")
    Path(removed).unlink()

    assert watcher.changes() == Changes((changed, removed), ())
    assert watcher.changes() is None


def test_a_file_of_the_same_length_is_seen_by_its_time(folder):
    path = write(folder, "a.py", "1")
    watcher = Watcher([folder])

    os.utime(path, ns=(1, 1))

    assert watcher.changes() == Changes((path,), ())


def test_a_file_that_replaces_another_is_seen(folder):
    path, other = write(folder, "a.py", "1"), write(folder, "b.txt", "1")
    state = os.stat(path)
    watcher = Watcher([folder])

    os.utime(other, ns=(state.st_atime_ns, state.st_mtime_ns))
    os.replace(other, path)

    assert watcher.changes() == Changes((path,), ())


def test_a_folder_that_leads_to_itself_is_walked_once(folder):
    (folder / "again").symlink_to(folder)
    watcher = Watcher([folder])
    path = write(folder, "a.py")

    assert watcher.changes() == Changes((path,), ())


def test_what_can_not_be_looked_at_is_passed_over(folder):
    write(folder, "wsgi.py")
    (folder / "gone.py").symlink_to(folder / "nowhere.py")
    watcher = Watcher([folder, folder / "missing"])
    path = write(folder, "more.py")

    assert watcher.changes() == Changes((path,), ())


def test_a_file_that_is_written_without_end_is_not_waited_for_without_end(folder, monkeypatch):
    monkeypatch.setattr("tina4_wsgi.supervision.watcher._SETTLE_S", 0.001)
    path = write(folder, "wsgi.py")
    watcher = Watcher([folder])
    is_over = threading.Event()

    def write_on() -> None:
        while not is_over.wait(0.0002):
            with open(path, "a") as file:
                file.write("# more\n")

    writing = threading.Thread(target=write_on)
    writing.start()
    while os.stat(path).st_size < 100:
        time.sleep(0.001)

    found = watcher.changes()

    is_over.set()
    writing.join()
    assert found == Changes((path,), ())
