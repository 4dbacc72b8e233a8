"""A poll: everybody has one vote and may change it, and the bars move on every page at once."""

import json
import os
import secrets
import sqlite3
from pathlib import Path

from bottle import (
    TEMPLATE_PATH,
    abort,
    get,
    hook,
    post,
    redirect,
    request,
    response,
    static_file,
    view,
)
from werkzeug.security import check_password_hash, generate_password_hash

from tina4_wsgi import Router, broadcast

HERE = Path(__file__).parent
DATABASE = os.environ.get("POLL_DATABASE", "poll.sqlite")
QUESTION = "Where do we have lunch?"
LIVE = "/live"
COOKIE = "poll"
LONGEST_TEXT = 60
LONGEST_NAME = 40
SHORTEST_PASSWORD = 8
TABLES = """
create table if not exists user (name text primary key, password text not null);
create table if not exists login (token text primary key, user text not null references user);
create table if not exists choice (text text primary key);
create table if not exists vote (
    user text primary key references user, choice text not null references choice
);
insert or ignore into choice values ('The Thai place'), ('Pizza'), ('We cook');
"""

TEMPLATE_PATH.insert(0, str(HERE / "views"))
with sqlite3.connect(DATABASE) as made:
    made.executescript(TABLES)
made.close()


# The database: a connection for each request, and for each event of a WebSocket.


@hook("before_request")
def open_database():
    request.db = sqlite3.connect(DATABASE)
    request.user = user_of(request.get_cookie(COOKIE, ""))


@hook("after_request")
def close_database():
    request.db.close()


def user_of(token):
    """Return the user of a token, or None.

    A log-out deletes the row, so that every copy of the cookie is worthless.
    """
    row = request.db.execute("select user from login where token = ?", [token]).fetchone()
    return row and row[0]


def standing():
    """Return the choices with their voters, in the order in which they were added."""
    rows = request.db.execute(
        "select choice.text, vote.user from choice left join vote on choice = text"
        " order by choice.rowid, vote.rowid"
    )
    found = {}
    for choice, user in rows:
        found.setdefault(choice, []).extend([user] if user else [])
    return [{"choice": choice, "voters": voters} for choice, voters in found.items()]


# The WebSocket


@Router.websocket(LIVE, auth=lambda _: request.user)
def live(connection, event, data):
    """Send the bars to a page that connects; changes come by `tell_everybody`."""
    if event == "open":
        connection.send_json(standing())


def tell_everybody():
    """Send the bars to every page; call it after the commit."""
    broadcast(LIVE, json.dumps(standing()))


# Pages and forms


@get("/")
@view("poll")
def page():
    if request.user is None:
        redirect("/login")
    return {"user": request.user, "question": QUESTION, "standing": standing(), "live": LIVE}


@post("/vote")
def vote():
    must_be_logged_in()
    with request.db:
        try:
            request.db.execute("pragma foreign_keys = on")
            request.db.execute(
                "insert or replace into vote values (?, ?)", [request.user, request.forms.choice]
            )
        except sqlite3.IntegrityError:
            abort(400, "There is no such choice.")

    tell_everybody()
    redirect("/")


@post("/choices")
def add():
    must_be_logged_in()
    text = request.forms.text.strip()
    if not 0 < len(text) <= LONGEST_TEXT:
        abort(400, f"A choice has 1 to {LONGEST_TEXT} characters.")

    with request.db:
        request.db.execute("insert or ignore into choice values (?)", [text])
    tell_everybody()
    redirect("/")


@get("/login")
@view("login")
def form():
    return {"problem": ""}


@post("/login")
@view("login")
def login():
    row = request.db.execute(
        "select password from user where name = ?", [request.forms.name]
    ).fetchone()
    if row is None or not check_password_hash(row[0], request.forms.password):
        response.status = 422
        return {"problem": "There is no such account, or the password is another."}
    return log_in(request.forms.name)


@post("/join")
@view("login")
def join():
    name, password = request.forms.name.strip(), request.forms.password
    problem = ""
    if not 0 < len(name) <= LONGEST_NAME:
        problem = f"A name has 1 to {LONGEST_NAME} characters."
    elif len(password) < SHORTEST_PASSWORD:
        problem = f"A password has at least {SHORTEST_PASSWORD} characters."
    else:
        with request.db:
            try:
                request.db.execute(
                    "insert into user values (?, ?)", [name, generate_password_hash(password)]
                )
            except sqlite3.IntegrityError:
                problem = "Somebody has this name already."

    if problem:
        response.status = 422
        return {"problem": problem}
    return log_in(name)


@post("/logout")
def logout():
    with request.db:
        request.db.execute("delete from login where token = ?", [request.get_cookie(COOKIE, "")])
    response.delete_cookie(COOKIE, path="/")
    redirect("/login")


@get("/static/<name>")
def static(name):
    return static_file(name, HERE / "static")


def must_be_logged_in():
    if request.user is None:
        redirect("/login")


def log_in(name):
    token = secrets.token_urlsafe(32)
    with request.db:
        request.db.execute("insert into login values (?, ?)", [token, name])
    response.set_cookie(COOKIE, token, path="/", httponly=True, samesite="lax")
    redirect("/")
