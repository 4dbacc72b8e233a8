"""What is published: the package with its data, and nothing of the house around it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from tina4_wsgi.version import __version__

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_every_file_of_the_package(names):
    inside = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "tina4_wsgi").rglob("*")
        if path.is_file()
        and path.suffix not in (".pyc", ".pxd", ".pyx")  # these are for the build alone
    }

    assert inside - names == set()


def test_the_wheel_holds_nothing_else(names):
    tops = {name.partition("/")[0] for name in names}

    assert tops == {"tina4_wsgi", f"tina4_wsgi-{__version__}.dist-info"}


def test_the_wheel_is_marked_as_typed(names):
    assert "tina4_wsgi/py.typed" in names


def test_the_metadata_say_what_it_is_and_what_it_needs(wheel):
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(f"tina4_wsgi-{__version__}.dist-info/METADATA").decode()
        entry_points = archive.read(f"tina4_wsgi-{__version__}.dist-info/entry_points.txt").decode()
    metadata = Parser().parsestr(text)
    needed = {
        line.partition(";")[0].strip()
        for line in metadata.get_all("Requires-Dist", [])
        if "extra" not in line
    }

    assert metadata["Name"] == "tina4-wsgi"
    assert metadata["Version"] == __version__
    assert metadata["License-Expression"] == "MIT"
    assert {one.partition(">=")[0] for one in needed} == {
        "gevent",
        "gevent-websocket",
        "werkzeug",
        "jinja2",
    }
    assert "tina4-wsgi = tina4_wsgi.cli.main:main" in entry_points


def test_setup_py_still_knows_the_version():
    done = subprocess.run(
        [sys.executable, "setup.py", "--version"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout.split()[-1] == __version__
