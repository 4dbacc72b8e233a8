"""Functions for `auth=` of WebSocket routes, by the users and permissions of the project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.functional import LazyObject
from werkzeug.exceptions import Forbidden

from .handshake import request as current_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from django.contrib.auth.base_user import AbstractBaseUser

    from ...http.request import Request
    from ...routing.callbacks import Auth


def login_required(request: Request) -> AbstractBaseUser | None:
    """Let in clients that are logged in: `auth=login_required`; others get 401.

    The user becomes `connection.auth`. Asked again (`reauth_every`, `connection.refresh_auth()`),
    it closes with 4401 the connection of a user who has logged out meanwhile, was deactivated, or
    has changed the password elsewhere.
    """
    user = getattr(current_request(), "user", None)
    if user is None:
        raise RuntimeError(
            "the request has no user, expected "
            "django.contrib.auth.middleware.AuthenticationMiddleware or one like it in MIDDLEWARE"
        )

    if not user.is_authenticated:
        return None

    # Return the user itself: the lazy object would keep this event's request and session alive.
    return user._wrapped if isinstance(user, LazyObject) else user


def user_passes_test(test: Callable[[AbstractBaseUser], bool]) -> Auth:
    """Let in logged-in users that pass `test(user)`, others get 403: `user_passes_test(is_editor)`.

    A client that isn't logged in gets 401.
    """

    def auth(request: Request) -> object:
        user = login_required(request)
        if user is not None and not test(user):
            raise Forbidden("this WebSocket route is not open to this user")
        return user

    return auth


def permission_required(permission: str | Iterable[str]) -> Auth:
    """Let in users with a permission, or all of several: `permission_required("board.view_card")`.

    Others get 403, and a client that isn't logged in 401.
    """
    permissions = (permission,) if isinstance(permission, str) else tuple(permission)
    return user_passes_test(lambda user: bool(user.has_perms(permissions)))
