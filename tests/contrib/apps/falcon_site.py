"""A Falcon app with logins by middleware, a database session for each request, and resources with
WebSockets.
"""

from __future__ import annotations

import secrets

import falcon
import gevent
import notes

from tina4_wsgi import Router, broadcast
from tina4_wsgi.contrib.falcon import current_request, wrap

sessions = 0
router = Router()


class SessionMiddleware:
    """Opens a session ahead of each request, and closes it behind, however it ended."""

    def process_request(self, req, resp):
        global sessions
        sessions += 1
        req.context.session = notes.Session()

    def process_response(self, req, resp, resource, req_succeeded):
        global sessions
        sessions -= 1
        if req_succeeded:
            req.context.session.commit()
        req.context.session.close()


class NotAllowedError(Exception):
    """Has a handler of its own."""


class LoginMiddleware:
    """Finds out who this is, and keeps people out."""

    def process_request(self, req, resp):
        req.context.user = notes.user_of(req.context.session, req.cookies.get("token"))
        if req.get_param("mood") == "bad":
            raise falcon.HTTPStatus(falcon.HTTP_429)
        if req.get_param("mood") == "handled":
            raise NotAllowedError
        if req.get_param("mood") == "complete":
            resp.status = 402
            resp.complete = True
        if req.get_param("mood") == "redirect":
            raise falcon.HTTPFound("/login")
        if req.get_param("mood") == "broken":
            raise RuntimeError("broken on purpose")

    def process_resource(self, req, resp, resource, params):
        if "number" in params:
            params["by_middleware"] = True
        if getattr(resource, "needs_login", False) and req.context.user is None:
            raise falcon.HTTPUnauthorized
        if params.get("number") == 403:
            raise falcon.HTTPForbidden(title="not that one")


def not_allowed(req, resp, error, params):
    raise falcon.HTTPForbidden


class Board:
    """For who is logged in."""

    needs_login = True
    websocket_options = {"reauth_every": 0.2}  # noqa: RUF012

    def on_get(self, req, resp, number, by_middleware):
        resp.media = {"page": number}

    def websocket_auth(self, req, **params):
        return req.context.user

    def on_websocket(self, req, connection, event, data, number, by_middleware):
        def facts():
            return {
                "identity": req.context.user,
                "path": req.path,
                "template": req.uri_template,
                "number": number,
                "by_middleware": by_middleware,
                "sessions": sessions,
                "current": current_request() is req,
            }

        notes.on_board(connection, event, data, req.context.session, facts)


class Talk:
    """Anybody's."""

    websocket_subprotocols = ("talk",)

    def on_websocket_live(self, req, connection, event, data, name):
        if event == "open":
            connection.send(f"here, {connection.auth.user}")
        if event == "message" and data == "unauthorized":
            raise falcon.HTTPUnauthorized
        if event == "message" and data == "odd":
            raise falcon.HTTPConflict
        if event == "message" and data == "wait":
            gevent.sleep(0.05)
            connection.send(f"{req.path} {current_request() is req}")
        if event == "close":
            broadcast("/talk/others/live", f"gone {name}")


class OnlyPages:
    """Without a WebSocket."""

    def on_get(self, req, resp):
        resp.text = "page"


class Login:
    """Log in and out."""

    def on_post(self, req, resp):
        user = req.get_param("user")
        token = f"{user}-{secrets.token_hex(8)}"
        req.context.session.add(notes.Login(token=token, user=user))
        resp.set_cookie("token", token, path="/", secure=False)
        resp.status = 204

    def on_post_out(self, req, resp):
        session = req.context.session
        session.delete(session.get(notes.Login, req.cookies["token"]))
        resp.status = 204


@router.websocket(
    "/ws/plain", auth=lambda request: current_request().context.user, reauth_every=0.1
)
def plain(connection, event, data):
    if event == "open":
        connection.send(f"{current_request().context.user} {connection.auth}")


def make(**options):
    app = falcon.App(middleware=[SessionMiddleware(), LoginMiddleware()], **options)
    app.add_error_handler(NotAllowedError, not_allowed)
    app.add_route("/ws/board/{number:int}", Board())
    app.add_route("/talk/{name}/live", Talk(), suffix="live")
    app.add_route("/pages", OnlyPages())
    app.add_route("/login", Login())
    app.add_route("/logout", Login(), suffix="out")
    return app


app = notes.with_state(wrap(make(), router=router))
dependent = notes.with_state(wrap(make(independent_middleware=False), router=Router()))
