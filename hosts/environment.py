"""The virtualenvs of a run: one for each version of gunicorn and one for uWSGI, under .cache/hosts,
made when they are missing.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from .host import NEWEST, UWSGI

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache" / "hosts"
INSTALL_S = 300.0

NEEDS_PKG_RESOURCES = frozenset({"20.1.0"})  # which setuptools 81 has no more

VERSION_OF = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))"


class EnvironmentFailed(Exception):
    """A virtualenv could not be made; the text says why."""


def python_of(version: str) -> Path:
    """Give the interpreter of a virtualenv with one version of gunicorn, or with uWSGI, making it
    if need be.

    Args:
        version: one of `GUNICORNS`, or `UWSGI`; "newest" asks pip each time whether there is a
            newer one.
    Raises:
        EnvironmentFailed: pip said no.
    """
    needs = [*_runtime_needs(), *_host_needs(version)]
    basis = "\n".join(
        [sys.version, str(CACHE), *needs]
    )  # scripts in a virtualenv hold absolute paths
    name = version if version == UWSGI else f"gunicorn-{version}"
    folder = CACHE / f"{name}-{hashlib.sha256(basis.encode()).hexdigest()[:12]}"
    python = folder / "bin" / "python"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests ask for the same one at once
        _make(name, folder, python, needs)
    return python


def _make(name: str, folder: Path, python: Path, needs: list[str]) -> None:
    is_made = (folder / "complete").exists()
    if not is_made:
        for old in CACHE.glob(f"{name}-*/"):
            shutil.rmtree(old)
        say(f"making {folder.relative_to(ROOT)}")
        _run([sys.executable, "-m", "venv", str(folder)])
    is_newest = name == f"gunicorn-{NEWEST}"
    if not is_made or is_newest:
        upgrade = ["--upgrade"] if is_newest else []
        _run(
            [
                str(python),
                "-m",
                "pip",
                "--disable-pip-version-check",
                "-qq",
                "install",
                *upgrade,
                *needs,
            ]
        )
        (folder / "complete").touch()


def installed_version(python: Path, distribution: str) -> str:
    """Ask an interpreter which version it has of a distribution."""
    return _run([str(python), "-c", VERSION_OF, distribution]).strip()


def _runtime_needs() -> list[str]:
    """What the package itself needs; it is not installed there but found through PYTHONPATH."""
    listed = metadata.requires("tina4-wsgi") or []
    return [line.partition(";")[0].strip() for line in listed if "extra ==" not in line]


def _host_needs(version: str) -> list[str]:
    if version == NEWEST:
        return ["gunicorn[gevent]", "django", "waitress"]
    if version == UWSGI:
        return ["uwsgi"]
    needs = [f"gunicorn[gevent]=={version}"]
    return [*needs, "setuptools<81"] if version in NEEDS_PKG_RESOURCES else needs


def _run(command: list[str]) -> str:
    clean = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "PYTHONWARNINGS")
    }
    done = subprocess.run(
        command, env=clean, capture_output=True, text=True, timeout=INSTALL_S, check=False
    )
    if done.returncode:
        raise EnvironmentFailed(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
    return done.stdout


def say(text: str) -> None:
    """Tell how far the run is; the table alone goes to stdout."""
    print(text, file=sys.stderr, flush=True)
