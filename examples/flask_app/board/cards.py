"""The board: a page, what changes it, and the WebSocket that shows each change to everybody."""

from __future__ import annotations

import json

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask_login import current_user, login_required

import tina4_wsgi
from tina4_wsgi.contrib import flask as live_flask

from .models import COLUMNS, Card, cards_by_column, db

MOST_TEXT_LENGTH = 200
LIVE = "/ws/board"

blueprint = Blueprint("cards", __name__)


# Each message is a whole board: a page that has missed more than one gets the present one.
@live_flask.websocket(blueprint, LIVE, auth=live_flask.login_required, history=1)
def live(connection, event, data):
    if event == "open" and not connection.resumed:
        connection.send(message())


@blueprint.before_request
@login_required
def only_for_users():
    """Send everybody else to the log-in page."""


@blueprint.get("/")
def board():
    # Before the cards are read: the WebSocket brings what changes from here on.
    since = tina4_wsgi.position(LIVE)
    return render_template("board.html", since=since, columns=COLUMNS, cards=cards_by_column())


@blueprint.post("/cards")
def add():
    text = " ".join(request.form["text"].split())
    if not 1 <= len(text) <= MOST_TEXT_LENGTH:
        abort(422, f"A card has 1 to {MOST_TEXT_LENGTH} characters.")
    db.session.add(Card(text=text, author_id=current_user.id))
    return saved(f"{current_user.name} added “{text}”")


@blueprint.post("/cards/<int:number>/move")
def move(number):
    card, column = card_or_404(number), request.form["column"]
    if column not in COLUMNS:
        abort(422, "There is no such column.")
    card.column = column
    return saved(f"{current_user.name} moved “{card.text}” to {COLUMNS[column]}")


@blueprint.post("/cards/<int:number>/remove")
def remove(number):
    card = card_or_404(number)
    db.session.delete(card)
    return saved(f"{current_user.name} removed “{card.text}”")


def card_or_404(number):
    return db.get_or_404(Card, number)


def saved(note):
    """Commit, show the change to everybody, and answer; a page's script wants no page."""
    db.session.commit()
    tina4_wsgi.broadcast(LIVE, message(note))
    if request.accept_mimetypes.best == "application/json":
        return "", 204
    return redirect(url_for("cards.board"), 303)


def message(note=""):
    """Return the whole board as the message that pages show."""
    html = render_template("_columns.html", columns=COLUMNS, cards=cards_by_column())
    return json.dumps({"html": html, "note": note})
