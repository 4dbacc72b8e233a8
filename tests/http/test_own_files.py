"""Our own files for browsers, in a package that lies in a folder, in a zip, or was packed without
them.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "tina4_wsgi"
ADDRESSES = (
    "/__tina4/tina4-ws.js",
    "/__tina4/tina4-ws.mjs",
    "/__tina4/tina4-ws.d.ts",
    "/__tina4/live/live.css",
)

ASK = """
import sys
from werkzeug.test import Client
import tina4_wsgi
from tina4_wsgi import App, Router

client = Client(App(router=Router(), live=lambda request: "ada"))
print(tina4_wsgi.__file__)
for address in sys.argv[1:]:
    answer = client.get(address)
    print(answer.status_code, len(answer.data), answer.headers["Content-Type"])
    again = client.get(address, headers={"If-None-Match": answer.headers.get("ETag", "none")})
    print(again.status_code)
"""


def ask(path: Path, *addresses: str) -> list[str]:
    """Ask an app of the package that `path` has, and give the lines that tell of its answers."""
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-c",
            f"import sys; sys.path.insert(0, {str(path)!r})\n{ASK}",
            *addresses,
        ],
        cwd=path.parent,
        capture_output=True,
        text=True,
        timeout=25,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    where, *lines = done.stdout.splitlines()
    assert where.startswith(str(path))
    return lines


def test_out_of_a_zip_they_are_served_as_from_a_folder(tmp_path):
    archive = tmp_path / "app.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for file in PACKAGE.rglob("*"):
            if file.suffix not in (".pyc", ".so") and file.is_file():
                zipped.write(file, file.relative_to(PACKAGE.parent))

    lines = ask(archive, *ADDRESSES)

    sizes = [
        (PACKAGE / "browser" / name).stat().st_size
        for name in ("tina4-ws.js", "tina4-ws.mjs", "tina4-ws.d.ts", "live/live.css")
    ]
    assert [line.split()[:2] for line in lines[::2]] == [["200", str(size)] for size in sizes]
    assert lines[1::2] == ["304"] * 4


@pytest.fixture
def stripped(tmp_path: Path) -> Path:
    """A folder with the package's Python alone."""
    left_out = shutil.ignore_patterns("__pycache__", "browser", "project", "*.so")
    shutil.copytree(PACKAGE, tmp_path / "lib" / "tina4_wsgi", ignore=left_out)
    return tmp_path / "lib"


def test_a_package_without_them_says_so_and_serves_all_else(stripped):
    lines = ask(stripped, *ADDRESSES, "/__tina4/live", "/nothing")

    assert [line.split()[0] for line in lines[::2]] == ["500"] * 5 + ["404"]


@pytest.mark.parametrize("name", ["tina4-ws.js", "live/index.html", "reload.js"])
def test_what_is_missing_and_what_to_do_is_told_to_whoever_asks_and_logged(
    name, monkeypatch, caplog
):
    from werkzeug.test import Client, EnvironBuilder

    from tina4_wsgi.http import own_files

    monkeypatch.setattr(own_files, "_path_of", lambda wanted: Path("/nowhere") / wanted)
    environ = EnvironBuilder("/").get_environ()

    with caplog.at_level(logging.ERROR, "tina4_wsgi.ownfiles"):
        answer = Client(own_files.send(name, environ)).get("/")

    told = f"tina4_wsgi was packed without its own files: browser/{name} is missing"
    assert answer.status_code == 500
    assert told in answer.text
    assert "PyInstaller" in answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert caplog.records[-1].message.startswith(told)


def test_init_says_that_there_is_no_project_to_begin_with(stripped):
    program = (
        f"import sys; sys.path.insert(0, {str(stripped)!r}); from tina4_wsgi.cli.main import main; "
        "exit(main())"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, "init", "site"],
        cwd=stripped.parent,
        capture_output=True,
        text=True,
        timeout=25,
        check=False,
    )

    assert done.returncode != 0
    assert "was packed without its own files" in done.stderr
    assert not (stripped.parent / "site").exists()
