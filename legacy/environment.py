"""The virtualenvs of a run: one for each subject, under .cache/legacy, made when missing."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from hosts.environment import ROOT, EnvironmentFailed, say

from .subject import Subject

CACHE = ROOT / ".cache" / "legacy"
INSTALL_S = 900.0
"""pgAdmin brings a hundred distributions."""

SERVER = ("gunicorn[gevent]",)


def python_of(subject: Subject, *, is_fresh: bool = False) -> Path:
    """Return the interpreter of a virtualenv with the subject in it, making it if need be.

    Args:
        is_fresh: makes it anew, with the newest versions of the day.
    Raises:
        EnvironmentFailed: pip said no.
    """
    needs = [*_runtime_needs(), *SERVER, *subject.needs]
    basis = "\n".join([sys.version, str(CACHE), *needs])  # its scripts hold absolute paths
    folder = CACHE / f"{subject.key}-{hashlib.sha256(basis.encode()).hexdigest()[:12]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{subject.key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_fresh or not (folder / "complete").exists():
            _make(subject.key, folder, needs)
    return folder / "bin" / "python"


def _make(key: str, folder: Path, needs: Sequence[str]) -> None:
    for old in CACHE.glob(f"{key}-*/"):
        shutil.rmtree(old)
    say(f"making {folder.relative_to(ROOT)}")
    _run([sys.executable, "-m", "venv", str(folder)])
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "-qq"]
    _run([*pip, "install", *needs])
    (folder / "complete").touch()


def _runtime_needs() -> list[str]:
    """What the package itself needs; it is not installed there but found through PYTHONPATH."""
    listed = metadata.requires("tina4-wsgi") or []
    return [line for line in listed if "extra ==" not in line]


def _run(command: Sequence[str]) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        command, env=clean, capture_output=True, text=True, timeout=INSTALL_S, check=False
    )
    if done.returncode:
        raise EnvironmentFailed(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
