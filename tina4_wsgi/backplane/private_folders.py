"""Where the processes of one user and project meet without being told: private folders of known
names.

A cron job, a service and a shell have other variables, so the names depend on the user's number and
the project alone, not on TMPDIR or XDG_RUNTIME_DIR. There are two of them. `/run/user/UID` is the
user's alone, so nobody else can take the name first; but logind makes it when the user logs in and
may remove it afterwards. `/tmp` is always there. So whoever looks for others looks in both, and
whoever makes a folder takes the first that can be made.
"""

from __future__ import annotations

import hashlib
import os
import stat

from ..errors import Tina4Error

_RUNTIME = "/run/user"
_SHARED = "/tmp"


class NotPrivateError(Tina4Error):
    """A folder isn't this user's alone; the message says whose it is and what is expected."""


def default_places(root: str | os.PathLike[str], ending: str = "") -> tuple[str, ...]:
    """Give the folders of the project at `root` for the current user, the preferred one first."""
    project = hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:16] + ending
    return tuple(os.path.join(parent, project) for parent in _parents())


def _parents() -> tuple[str, str]:
    uid = os.geteuid()
    return os.path.join(_RUNTIME, str(uid), "tina4-wsgi"), os.path.join(
        _SHARED, f"tina4-wsgi-{uid}"
    )


def make_private(path: str, forbidden: int = 0o077) -> None:
    """Make a folder if need be, and see that it is this user's alone; so are the parents of a
    default place.

    Args:
        forbidden: the bits of its mode that must not be set.
    Raises:
        NotPrivateError: it isn't.
        OSError: it can't be made.
    """
    parent = os.path.dirname(path)
    runtime, shared = _parents()
    if parent == runtime:
        check_private(os.path.dirname(runtime))  # logind's, which we don't make
    if parent in (runtime, shared):
        _make_one(parent)
    _make_one(path, forbidden)


def check_private(path: str, forbidden: int = 0o077) -> None:
    """See that a folder is this user's alone; raises as `make_private` does."""
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
