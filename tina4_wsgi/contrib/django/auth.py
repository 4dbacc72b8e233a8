"""Who may connect: `auth=` for WebSocket routes, by the users and permissions of the project."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from django.utils.functional import LazyObject
from werkzeug.exceptions import Forbidden

from .handshake import request as current_request

if TYPE_CHECKING:
    from ...http.request import Request
    from ...routing.callbacks import Auth


def login_required(request: Request) -> Any:  # Any: the user model of the project
    """Let in who is logged in: `auth=login_required`. The user becomes `connection.auth`, nobody
    gets 401.

    Asked again (`reauth_every`, `connection.refresh_auth()`), it closes with 4401 who has logged
    out meanwhile, was deactivated, or has changed the password elsewhere.
    """
    user = getattr(current_request(), "user", None)
    if user is None:
        raise RuntimeError(
            "the request has no user, expected "
            "django.contrib.auth.middleware.AuthenticationMiddleware "
            "or one like it in MIDDLEWARE"
        )
    if not user.is_authenticated:
        return None
    # The user itself: what stands for it would keep this event's request and session alive.
    return user._wrapped if isinstance(user, LazyObject) else user


def user_passes_test(test: Callable[[Any], bool]) -> Auth:  # Any: as above
    """Let in who is logged in and passes `test(user)`; others get 403:
    `auth=user_passes_test(is_editor)`.
    """

    def auth(request: Request) -> object:
        user = login_required(request)
        if user is not None and not test(user):
            raise Forbidden("this WebSocket route is not open to this user")
        return user

    return auth


def permission_required(permission: str | Iterable[str]) -> Auth:
    """Let in who has a permission, or all of several:
    `auth=permission_required("board.view_card")`; else 403.
    """
    permissions = (permission,) if isinstance(permission, str) else tuple(permission)
    return user_passes_test(lambda user: bool(user.has_perms(permissions)))
