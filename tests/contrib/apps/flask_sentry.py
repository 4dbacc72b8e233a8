"""A Flask app with Sentry, as its documentation says, whose WebSockets fail where they are told to.

TRACES is `traces_sample_rate`, "" for none. `GET /events` gives what would have been sent.
"""

from __future__ import annotations

import os
import warnings
from typing import Any

import flask_login
import sentry_sdk
from flask import Flask, abort, request
from sentry_sdk.transport import Transport

from tina4_wsgi import Router
from tina4_wsgi.contrib.flask import login_required, websocket, wrap

sent: list[dict[str, Any]] = []


class Kept(Transport):
    """Keeps what it is given."""

    def capture_envelope(self, envelope: Any) -> None:
        """Take note of errors and transactions."""
        for item in envelope.items:
            event = item.payload.json or {}
            errors = (event.get("exception") or {}).get("values") or [{}]
            sent.append(
                {
                    "type": item.type,
                    "error": errors[-1].get("value"),
                    "transaction": event.get("transaction"),
                    "url": (event.get("request") or {}).get("url"),
                    "user": (event.get("user") or {}).get("id"),
                }
            )


warnings.filterwarnings(
    "ignore", "The send_default_pii option", DeprecationWarning
)  # what apps have
sentry_sdk.init(
    dsn="http://key@127.0.0.1:9/1",
    transport=Kept,
    send_default_pii=True,
    max_breadcrumbs=5,
    traces_sample_rate=float(os.environ["TRACES"]) if os.environ["TRACES"] else None,
)

flask_app = Flask(__name__)
flask_app.secret_key = "sentry"
manager = flask_login.LoginManager(flask_app)


class User(flask_login.UserMixin):
    """Anybody."""

    id = "ada"


@manager.user_loader
def load(number: str) -> User:
    return User()


@flask_app.get("/login")
def login():
    flask_login.login_user(User())
    return "in"


@flask_app.get("/events")
def events():
    return sent


@flask_app.get("/fails")
def fails():
    raise ValueError("view")


def fail(ours):
    if "fail" in request.args:
        raise ValueError("auth")
    return login_required(ours)


@websocket(flask_app, "/ws/live/<room>", endpoint="live", auth=fail)
def live(connection, event, data):
    if event == "message" and data == "refuse":
        abort(403)
    if event == "message" and data == "leave":
        connection.close()
        connection.send("too late")
    if data == "raise" or event in connection.params.room:
        raise ValueError(event)
    if event == "message":
        connection.send(data)


app = wrap(flask_app, router=Router())
