"""A Flask app with logins by flask-login, and sessions in cookies, for several workers."""

from __future__ import annotations

import os

import flask_login
from flask import Flask, request

from tina4_wsgi import Router
from tina4_wsgi.contrib.flask import login_required, websocket, wrap

flask_app = Flask(__name__)
flask_app.secret_key = "logins"
manager = flask_login.LoginManager(flask_app)


class User(flask_login.UserMixin):
    """Anybody, by name."""

    def __init__(self, name: str) -> None:
        self.id = name


@manager.user_loader
def load(name: str) -> User:
    return User(name)


@flask_app.get("/login/<name>")
def login(name):
    flask_login.login_user(User(name), remember="remember" in request.args)
    return "in"


@flask_app.get("/logout")
def logout():
    flask_login.logout_user()
    return "out"


@websocket(flask_app, "/ws/live", auth=login_required)
def live(connection, event, data):
    if event != "close":
        connection.send(f"{os.getpid()}")


app = wrap(flask_app, router=Router())
