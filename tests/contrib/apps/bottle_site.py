"""A Bottle app with logins and a database session per request, opened and closed by hooks, and
WebSockets beside it.
"""

from __future__ import annotations

import secrets

import gevent
import notes
from bottle import Bottle, HTTPResponse, abort, redirect, request, response

from tina4_wsgi import Router, broadcast
from tina4_wsgi.contrib.bottle import wrap

bottle_app = Bottle()
router = Router()
sessions = 0


@bottle_app.hook("before_request")
def open_session():
    global sessions
    sessions += 1
    request.session = notes.Session()
    if request.path.startswith("/ws/hook/") and request.query.action == "refuse":
        abort(403, "on purpose")
    if request.path.startswith("/ws/hook/") and request.query.action == "redirect":
        redirect("/login")
    if request.path == "/ws/hook/login" and user_of_request() is None:
        abort(401)


@bottle_app.hook("after_request")
def close_session():
    global sessions
    sessions -= 1
    request.session.close()
    response.set_header("X-After", "hook")


def user_of_request():
    return notes.user_of(request.session, request.get_cookie("token"))


def logged_in(_):
    return user_of_request()


def facts():
    return {
        "identity": user_of_request(),
        "path": request.path,
        "args": request.url_args,
        "app": request.app is bottle_app,
        "sessions": sessions,
        "header": response.get_header("X-Set", "none"),
    }


@router.websocket("/ws/board/{number:int}", auth=logged_in, reauth_every=0.2)
def board(connection, event, data):
    session = request.session
    notes.on_board(connection, event, data, session, facts)
    response.set_header("X-Set", "by an event")
    session.commit()


@router.websocket("/ws/hook/{what}")
def hooked(connection, event, data):
    if event == "message" and data == "abort":
        abort(401)
    if event == "message" and data == "odd":
        raise HTTPResponse("teapot", 418)
    if event == "message" and data == "wait":
        gevent.sleep(0.05)
        connection.send(request.path)
    if event == "open":
        connection.send("here")
    if event == "close":
        broadcast("/ws/hook/others", f"gone {connection.params.what}")


@bottle_app.post("/login")
def login():
    user = request.query.user
    token = f"{user}-{secrets.token_hex(8)}"
    request.session.add(notes.Login(token=token, user=user))
    request.session.commit()
    response.set_cookie("token", token, path="/", httponly=True)
    response.status = 204


@bottle_app.post("/logout")
def logout():
    request.session.delete(request.session.get(notes.Login, request.get_cookie("token")))
    request.session.commit()
    response.status = 204


@bottle_app.get("/refresh")
def refresh():
    before = request.path
    for connection in list(everybody):
        connection.refresh_auth()
    return {"before": before, "after": request.path, "header": response.get_header("X-Set", "none")}


everybody = []


@router.websocket("/ws/remembered", auth=lambda request: "anybody")
def remembered(connection, event, data):
    if event == "open":
        everybody.append(connection)
        connection.send("here")
    if event == "close":
        everybody.remove(connection)


app = notes.with_state(wrap(bottle_app, router=router))
