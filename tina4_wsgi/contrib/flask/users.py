"""Asks flask-login who connects."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask_login import UserMixin as User

    from ...http.request import Request


def login_required(request: Request) -> User | None:
    """Return the user of flask-login: for `auth=`, so that `connection.auth` is the user.

    A client without a user, or whose user's `is_active` is false, is refused: with 401 before the
    101, with 4401 when asked again.

    Returns:
        The user, as loaded at the handshake or the last re-check; in callbacks `current_user` is a
        fresh one.
    """
    from flask_login import current_user  # not everybody has it

    if not (current_user.is_authenticated and current_user.is_active):
        return None
    return current_user._get_current_object()
