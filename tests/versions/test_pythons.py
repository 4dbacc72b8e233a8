"""The package imports and serves without a warning on each supported Python, and on its oldest
dependencies.

Interpreters are looked for in $TINA4_PYTHONS (paths, separated as in $PATH), among those of `make
pythons`, among pyenv's, and as `python3.X` on the PATH; the one that runs this test is always among
them. Each gets a venv under `.cache/pythons`, made once per pyproject.toml, into which the wheel of
the tree as it is now is installed.
"""

from __future__ import annotations

import functools
import hashlib
import http.client
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support import servers
from tests.support.raw import RawClient

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
VENVS = ROOT / ".cache" / "pythons"
SUPPORTED = ("3.10", "3.11", "3.12", "3.13", "3.14", "3.15")
RUNNING = f"{sys.version_info[0]}.{sys.version_info[1]}"
INSTALL_S = 110

# Up to 23, gunicorn's workers end without closing a socket of theirs, whatever the app is.
GUNICORN_23_LEAVES = "ignore:unclosed <socket.socket:ResourceWarning"

CAN_MAKE_A_VENV = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"

IMPORT_EVERYTHING = """
import importlib, pkgutil, tina4_wsgi
for module in pkgutil.walk_packages(tina4_wsgi.__path__, "tina4_wsgi."):
    # Frameworks are extras, pytest brings its own plugins: neither is installed here.
    if not module.name.startswith("tina4_wsgi.contrib.") and not module.name.endswith(("__main__", "pytest_plugin")):
        importlib.import_module(module.name)
print(tina4_wsgi.__path__[0])
"""


def version_of(python: str) -> str | None:
    """Its version, or None when it does not run or cannot make a venv: one of pyenv's shims may
    not.
    """
    try:
        done = subprocess.run(
            [python, "-c", CAN_MAKE_A_VENV], capture_output=True, text=True, timeout=20, check=False
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


@functools.cache
def interpreters() -> dict[str, str]:
    """One interpreter for each supported version that is here."""
    candidates = [os.path.realpath(sys.executable)]
    candidates += os.environ.get("TINA4_PYTHONS", "").split(os.pathsep)
    candidates += map(str, sorted((ROOT / ".cache" / "interpreters").glob("*/usr/bin/python3.??")))
    candidates += map(str, sorted(Path.home().glob(".pyenv/versions/3.1[0-5].*/bin/python")))
    candidates += [found for version in SUPPORTED if (found := shutil.which(f"python{version}"))]
    found = {RUNNING: sys.executable}
    for candidate in filter(None, candidates):
        version = version_of(candidate)
        if version in SUPPORTED:
            found.setdefault(version, candidate)
    return found


def venv_for(python: str, name: str, wheel: Path, *requirements: str) -> Path:
    """Give the interpreter of a venv with the wheel, gunicorn and `requirements` in it."""
    key = hashlib.sha256(
        (ROOT / "pyproject.toml").read_bytes() + repr((python, requirements)).encode()
    ).hexdigest()
    folder = VENVS / f"{name}-{key[:12]}"
    inside, complete, content = folder / "bin" / "python", folder / "complete", content_of(wheel)
    pip = [str(inside), "-m", "pip", "--disable-pip-version-check", "-qq", "install"]
    if not complete.exists():
        for old in VENVS.glob(f"{name}-*"):
            shutil.rmtree(old)
        run([python, "-m", "venv", str(folder)])
        run([*pip, f"{wheel}[gunicorn]", *requirements])
    elif complete.read_text() != content:
        complete.write_text("")
        run([*pip, "--no-deps", "--force-reinstall", str(wheel)])
    complete.write_text(content)
    return inside


def content_of(wheel: Path) -> str:
    """Sum up the files in a wheel, which is another file each time that it is built."""
    with zipfile.ZipFile(wheel) as archive:
        files = sorted((one.filename, one.CRC) for one in archive.infolist())
    return hashlib.sha256(repr(files).encode()).hexdigest()


def run(command: list[str], cwd: Path = ROOT) -> str:
    """Run a command without our PYTHONPATH; give its output."""
    env = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "PYTHONWARNINGS")
    }
    done = subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, timeout=INSTALL_S, check=False
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def lowest_requirements() -> list[str]:
    """The lower bound of each dependency, as a requirement of just that version."""
    needed = [Requirement(line) for line in metadata.requires("tina4-wsgi") or []]
    needed = [
        one for one in needed if one.marker is None or one.marker.evaluate({"extra": "gunicorn"})
    ]
    return [re.sub(r">=([\d.]+).*", r"==\1", str(one).partition(";")[0].strip()) for one in needed]


@pytest.fixture(scope="module", params=[*sorted(interpreters()), "lowest"])
def python(request: pytest.FixtureRequest, wheel: Path) -> Path:
    if request.param == "lowest":
        oldest = min(interpreters())  # old dependencies have no wheels for new interpreters
        return venv_for(interpreters()[oldest], f"{oldest}-lowest", wheel, *lowest_requirements())
    return venv_for(interpreters()[request.param], request.param, wheel)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder away from the tree, so that the installed package is what is imported."""
    shutil.copy(HERE / "smoke_app.py", tmp_path)
    return tmp_path


def test_everything_imports_without_a_warning(python, folder):
    printed = run([str(python), "-W", "error", "-c", IMPORT_EVERYTHING], folder)

    assert Path(printed.strip()).is_relative_to(python.parent.parent)


def test_our_own_server_serves_without_a_warning(python, folder):
    with servers.own(
        "smoke_app:app", folder, folder / "log", python=(str(python), "-W", "error")
    ) as server:
        ask_both(server)
        exit_code = server.stop()

    assert exit_code == 0
    assert "Warning" not in server.log


def test_gunicorn_serves_without_a_warning(python, folder):
    options = ["-W", "error", *(["-W", GUNICORN_23_LEAVES] if "lowest" in str(python) else [])]
    with servers.gunicorn(
        "smoke_app:app", folder, folder / "log", python=(str(python), *options)
    ) as server:
        ask_both(server)
        exit_code = server.stop()

    assert exit_code == 0
    assert "Warning" not in server.log


def ask_both(server: servers.Server) -> None:
    """Ask the page once, and the WebSocket for one echo and a clean close."""
    page = http.client.HTTPConnection(*server.address, timeout=10)
    try:
        page.request("GET", "/hello/Ada")
        assert page.getresponse().read() == b"Hello, Ada"
    finally:
        page.close()
    with RawClient.open(server.address, "/ws/echo/red") as client:
        client.send_text("hi")
        assert client.read_text() == "red: hi"
        client.send_close()
        assert client.read_close() == 1000
