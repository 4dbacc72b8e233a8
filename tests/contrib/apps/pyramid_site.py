"""A Pyramid app with logins, SQLAlchemy and transactions, and WebSockets that use all of it."""

from __future__ import annotations

import functools
import secrets

import notes
import zope.sqlalchemy
from pyramid.authorization import ACLHelper, Allow, Authenticated
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNotFound
from pyramid.response import Response
from pyramid.security import forget, remember
from pyramid.threadlocal import get_current_request, manager

from tina4_wsgi import Router
from tina4_wsgi.contrib.pyramid import login_required, permission_required, websocket_config, wrap

router = Router()
finished = []


class Policy:
    """Who has the token of a login."""

    def identity(self, request):
        return notes.user_of(request.dbsession, request.cookies.get("token"))

    def authenticated_userid(self, request):
        return self.identity(request)

    def permits(self, request, context, permission):
        principals = ["system.Everyone"]
        user = self.identity(request)
        if user is not None:
            principals += ["system.Authenticated", user]
        return ACLHelper().permits(context, principals, permission)

    def remember(self, request, userid, **options):
        return [("Set-Cookie", f"token={userid}; Path=/; HttpOnly; SameSite=Lax")]

    def forget(self, request, **options):
        return [("Set-Cookie", "token=; Path=/; Max-Age=0")]


class Board:
    """What a permission is asked on."""

    def __init__(self, request):
        self.number = int(request.matchdict["number"])
        if self.number == 404:
            raise HTTPNotFound("no such board")

    def __acl__(self):
        return [(Allow, Authenticated, "view"), (Allow, "ada", "own")]


class Root:
    """The context of what has no other."""

    __acl__ = ((Allow, "ada", "own"),)

    def __init__(self, request):
        pass


def session_of(request):
    """Make the session of a request, part of its transaction."""
    session = notes.Session(info={"request": request})
    zope.sqlalchemy.register(session, transaction_manager=request.tm)
    return session


def facts_of(request):
    """Say what a callback finds around it."""
    return {
        "current": get_current_request() is request,
        "pushed": len(manager.stack),
        "identity": request.identity,
        "matchdict": request.matchdict,
        "context": type(request.context).__name__,
        "url": request.route_url("login"),
        "active": request.environ.get("tm.active", False),
        "finished": len(finished),
    }


def board(request, connection, event, data):
    request.add_finished_callback(lambda request: finished.append(event))
    notes.on_board(connection, event, data, request.dbsession, functools.partial(facts_of, request))


@websocket_config("/ws/open/{number:int}")
def open_to_all(connection, event, data):
    request = get_current_request()
    notes.on_board(connection, event, data, request.dbsession, functools.partial(facts_of, request))


@router.websocket("/ws/plain", auth=login_required, reauth_every=0.1)
@router.websocket("/ws/plain/own", auth=permission_required("own"))
def plain(connection, event, data):
    open_to_all(connection, event, data)


def login(request):
    user = request.params["user"]
    token = f"{user}-{secrets.token_hex(8)}"
    request.dbsession.add(notes.Login(token=token, user=user))
    return Response(status=204, headerlist=remember(request, token))


def logout(request):
    request.dbsession.delete(request.dbsession.get(notes.Login, request.cookies["token"]))
    return Response(status=204, headerlist=forget(request))


def refresh(request):
    """Ask again inside of a view's own transaction, which must not end by that."""
    request.dbsession.add(notes.Note(text="before"))
    request.dbsession.flush()
    for connection in list(everybody):
        connection.refresh_auth()
    request.dbsession.add(notes.Note(text="after"))
    return {}


everybody = []


def remembered(connection, event, data):
    if event == "open":
        everybody.append(connection)
        connection.send(f"here, {connection.auth}")
    if event == "close":
        everybody.remove(connection)


def under_a_prefix(config):
    config.add_websocket("live", board, factory=Root)


def make(**settings):
    # Else pyramid_tm asks for each message, too, who it is from, and that is a query here.
    settings["tm.annotate_user"] = False
    with Configurator(settings=settings, root_factory=Root) as config:
        config.include("pyramid_tm")
        config.include("tina4_wsgi.contrib.pyramid")
        config.set_security_policy(Policy())
        config.set_default_permission("own")
        config.add_request_method(session_of, "dbsession", reify=True)
        config.include(under_a_prefix, route_prefix="/api/v1")
        config.add_websocket(
            "/ws/board/{number:int}", board, permission="view", factory=Board, reauth_every=0.2
        )
        config.add_websocket(
            "/ws/own/{number:int}", "pyramid_site.board", permission="own", factory=Board
        )
        config.add_websocket("/ws/remembered", remembered, permission="__no_permission_required__")
        config.scan("pyramid_site")
        for view, renderer in ((login, None), (logout, None), (refresh, "json")):
            name = view.__name__
            config.add_route(name, f"/{name}")
            config.add_view(
                view, route_name=name, renderer=renderer, permission="__no_permission_required__"
            )
        return config.make_wsgi_app()


app = notes.with_state(
    wrap(make(**{"tm.manager_hook": "pyramid_tm.explicit_manager"}), router=router)
)
shared_manager = notes.with_state(wrap(make(), router=Router()))
