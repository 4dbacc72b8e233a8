"""What an `auth` may be: any function of the request, with any user."""

# pyright: strict

from __future__ import annotations

from dataclasses import dataclass

from werkzeug.exceptions import Forbidden

from tina4_wsgi import ANONYMOUS, App, Connection, Request, Router, ask


@dataclass
class User:
    name: str


def logged_in(request: Request) -> User | None:
    if request.query.get("token") == "bad":
        raise Forbidden("not you")
    return User("ada") if "token" in request.query else None


@Router.websocket("/a", auth=logged_in, reauth_every=30)
def private(connection: Connection, event: str, data: str | bytes) -> None:
    assert isinstance(connection.auth, User)
    connection.send(connection.auth.name)


Router.websocket("/b", private, auth=lambda request: request.cookies.get("user") or ANONYMOUS)
App(live=logged_in)
App(live=False)
Router.websocket("/c", private, auth=ask("/api/session", lambda found: found["user"]))
