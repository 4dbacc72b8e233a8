"""Who the user is, and what each may do."""

import secrets
from typing import NamedTuple

from pyramid.authorization import ACLHelper, Allow, Authenticated
from pyramid.request import RequestLocalCache

from .models import Login, User

COOKIE = "desk"


class Person(NamedTuple):
    """A user who is logged in; also `connection.auth` of a WebSocket."""

    name: str
    is_agent: bool


class Root:
    """The context of all permissions."""

    __acl__ = ((Allow, Authenticated, "view"), (Allow, "role:agent", "solve"))

    def __init__(self, request):
        """Ignore the request: the context is the same for each."""


class Policy:
    """Looks the cookie up in the database.

    A log-out deletes the row, so that every copy of the cookie is worthless.
    """

    def __init__(self):
        self._identities = RequestLocalCache(self._load)

    def _load(self, request):
        login = request.dbsession.get(Login, request.cookies.get(COOKIE, ""))
        if login is None:
            return None
        user = request.dbsession.get(User, login.user)
        return Person(user.name, user.is_agent)

    def identity(self, request):
        return self._identities.get_or_create(request)

    def authenticated_userid(self, request):
        person = self.identity(request)
        return None if person is None else person.name

    def permits(self, request, context, permission):
        person = self.identity(request)
        principals = (
            [] if person is None else [Authenticated, *(["role:agent"] if person.is_agent else [])]
        )
        return ACLHelper().permits(context, principals, permission)

    def remember(self, request, userid, **options):
        token = secrets.token_urlsafe(32)
        request.dbsession.add(Login(token=token, user=userid))
        return [("Set-Cookie", f"{COOKIE}={token}; Path=/; HttpOnly; SameSite=Lax")]

    def forget(self, request, **options):
        login = request.dbsession.get(Login, request.cookies.get(COOKIE, ""))
        if login is not None:
            request.dbsession.delete(login)
        return [("Set-Cookie", f"{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax")]
