"""Pages, forms, and the WebSocket that keeps the pages fresh."""

import json

from pyramid.httpexceptions import HTTPBadRequest, HTTPForbidden, HTTPFound
from pyramid.security import forget, remember
from pyramid.view import forbidden_view_config, view_config
from sqlalchemy import select
from werkzeug.security import check_password_hash, generate_password_hash

from tina4_wsgi import broadcast
from tina4_wsgi.contrib.pyramid import websocket_config

from .models import Ticket, User, queue

LIVE = "/live"
LONGEST_TEXT = 200
LONGEST_NAME = 40
SHORTEST_PASSWORD = 8


@websocket_config(LIVE, permission="view")
def live(request, connection, event, data):
    """Send the queue to a page that connects; changes come by `tell_everybody`."""
    if event == "open":
        connection.send_json(queue(request.dbsession))


def tell_everybody(request):
    """Send the queue to every page, if and when this request's transaction is committed."""
    request.dbsession.flush()
    message = json.dumps(queue(request.dbsession))
    request.tm.get().addAfterCommitHook(
        lambda is_committed: is_committed and broadcast(LIVE, message)
    )


@view_config(route_name="desk", permission="view", renderer="templates/desk.jinja2")
def desk(request):
    return {"person": request.identity, "tickets": queue(request.dbsession), "live": LIVE}


@view_config(route_name="ask", permission="view", request_method="POST")
def ask(request):
    text = request.POST.get("text", "").strip()
    if not 0 < len(text) <= LONGEST_TEXT:
        raise HTTPBadRequest(f"A question has 1 to {LONGEST_TEXT} characters.")
    request.dbsession.add(Ticket(text=text, author=request.identity.name))
    tell_everybody(request)
    return HTTPFound(request.route_path("desk"))


@view_config(route_name="solve", permission="solve", request_method="POST")
def solve(request):
    ticket = request.dbsession.get(Ticket, int(request.matchdict["number"]))
    if ticket is None:
        raise HTTPBadRequest("There is no such ticket.")
    ticket.solver = request.identity.name
    tell_everybody(request)
    return HTTPFound(request.route_path("desk"))


@view_config(route_name="login", request_method="GET", renderer="templates/login.jinja2")
def form(request):
    return {"problem": ""}


@view_config(route_name="login", request_method="POST", renderer="templates/login.jinja2")
def login(request):
    user = request.dbsession.get(User, request.POST.get("name", ""))
    if user is None or not check_password_hash(user.password, request.POST.get("password", "")):
        request.response.status = 422
        return {"problem": "There is no such account, or the password is another."}
    return HTTPFound(request.route_path("desk"), headers=remember(request, user.name))


@view_config(route_name="join", request_method="POST", renderer="templates/login.jinja2")
def join(request):
    name, password = request.POST.get("name", "").strip(), request.POST.get("password", "")
    problem = ""
    if not 0 < len(name) <= LONGEST_NAME:
        problem = f"A name has 1 to {LONGEST_NAME} characters."
    elif len(password) < SHORTEST_PASSWORD:
        problem = f"A password has at least {SHORTEST_PASSWORD} characters."
    elif request.dbsession.get(User, name) is not None:
        problem = "Somebody has this name already."
    if problem:
        request.response.status = 422
        return {"problem": problem}

    is_first = request.dbsession.scalar(select(User.name).limit(1)) is None
    request.dbsession.add(
        User(name=name, password=generate_password_hash(password), is_agent=is_first)
    )
    request.dbsession.flush()
    return HTTPFound(request.route_path("desk"), headers=remember(request, name))


@view_config(route_name="logout", request_method="POST")
def logout(request):
    return HTTPFound(request.route_path("login"), headers=forget(request))


@forbidden_view_config()
def forbidden(request):
    if request.is_authenticated:
        return HTTPForbidden("Only an agent may do that.")
    return HTTPFound(request.route_path("login"))
