"""The private folders where processes of one user and project meet without any setting.

A cron job, a service and a shell have different environments, so the names depend only on the user
id and the project, not on TMPDIR or XDG_RUNTIME_DIR. There are two places. `/run/user/UID` belongs
to the user, so nobody else can take the name first; but logind makes it when the user logs in, and
may remove it later. `/tmp` is always there. A process that looks for others looks in both; one that
makes a folder takes the first that it can make.
"""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING

from ..errors import Tina4Error

if TYPE_CHECKING:
    from collections.abc import Sequence

_RUNTIME = "/run/user"
_SHARED = "/tmp"


class NotPrivateError(Tina4Error):
    """A folder isn't private; the message names the owner or mode, and the expected one."""


def default_places(root: str | os.PathLike[str], ending: str = "") -> tuple[str, ...]:
    """Return the folders of the project at `root` for the current user, the preferred one first."""
    project = hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:16] + ending
    return tuple(os.path.join(parent, project) for parent in _parents())


def _parents() -> tuple[str, str]:
    uid = os.geteuid()
    return (
        os.path.join(_RUNTIME, str(uid), "tina4-wsgi"),
        os.path.join(_SHARED, f"tina4-wsgi-{uid}"),
    )


def make_first(paths: Sequence[str], forbidden: int = 0o077) -> str:
    """Make the first of these folders that can be made and is private, and return its path.

    Args:
        forbidden: see `make_private`.
    Raises:
        NotPrivateError, OSError: none can be had; the error is the last one's.
    """
    *preferred, last = paths
    for path in preferred:
        try:
            make_private(path, forbidden)
        except (NotPrivateError, OSError):
            continue
        return path

    make_private(last, forbidden)
    return last


def make_private(path: str, forbidden: int = 0o077) -> None:
    """Make a folder if it is missing, and check that only this user has access.

    The parent of a default place is made and checked, too.

    Args:
        forbidden: bits of the mode that must not be set.
    Raises:
        NotPrivateError: others have access.
        OSError: the folder can't be made.
    """
    parent = os.path.dirname(path)
    runtime, shared = _parents()
    if parent == runtime:
        check_private(os.path.dirname(runtime))  # logind makes this one
    if parent in (runtime, shared):
        _make_one(parent)
    _make_one(path, forbidden)


def check_private(path: str, forbidden: int = 0o077) -> None:
    """Check that only this user has access to a folder; raises as `make_private` does."""
    status = os.lstat(path)
    if not stat.S_ISDIR(status.st_mode):
        raise NotPrivateError(f"{path} is no directory, expected one of mode 0700")
    if status.st_uid != os.geteuid():
        raise NotPrivateError(f"{path} belongs to user {status.st_uid}, expected {os.geteuid()}")

    mode = stat.S_IMODE(status.st_mode)
    if mode & forbidden:
        raise NotPrivateError(f"{path} has mode {mode:04o}, expected 0700: chmod 700 {path}")


def _make_one(path: str, forbidden: int = 0o077) -> None:
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    check_private(path, forbidden)
