"""A Flask app with a database, whose WebSocket uses it at every event.

DATABASE is its address, POOL the name of SQLAlchemy's pool class, "QueuePool" being what
Flask-SQLAlchemy has.
"""

from __future__ import annotations

import os

import sqlalchemy
from flask import Flask, jsonify
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Mapped, mapped_column

from tina4_wsgi import Router
from tina4_wsgi.contrib.flask import websocket, wrap

flask_app = Flask(__name__)
flask_app.config.update(
    SQLALCHEMY_DATABASE_URI=os.environ["DATABASE"],
    SQLALCHEMY_ENGINE_OPTIONS={"poolclass": getattr(sqlalchemy.pool, os.environ["POOL"])},
)
db = SQLAlchemy(flask_app)


class Order(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]


with flask_app.app_context():
    db.create_all()


def count():
    return db.session.scalar(sqlalchemy.select(sqlalchemy.func.count()).select_from(Order))


@flask_app.get("/pool")
def pool():
    return jsonify(checked_out=db.engine.pool.checkedout())


@websocket(flask_app, "/ws/orders")
def orders(connection, event, data):
    if event == "open":
        connection.send_json(count())
    if event == "message":
        COMMANDS[data](connection)
    if event == "close":
        count()


def add(connection):
    db.session.add(Order(text="an order"))
    db.session.commit()
    connection.send_json(count())  # begins another transaction, which nobody ends


def fail(connection):
    db.session.add(Order(text="half an order"))
    db.session.flush()
    connection.send("it is in the transaction")
    raise RuntimeError("on purpose")


def wait_for_lock(connection):
    db.session.execute(sqlalchemy.text("SELECT pg_advisory_lock(1), pg_advisory_unlock(1)"))
    connection.send("got it")


COMMANDS = {"add": add, "fail": fail, "wait": wait_for_lock}

app = wrap(flask_app, router=Router())
