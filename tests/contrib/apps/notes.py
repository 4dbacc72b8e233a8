"""What the frameworks' applications have in common: a small database that counts how its
connections are used.
"""

from __future__ import annotations

import json
import os

from sqlalchemy import String, create_engine, event, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker

engine = create_engine(f"sqlite:///{os.environ['NOTES_DB']}", pool_size=5, max_overflow=5)
Session = sessionmaker(engine)
checkouts = 0


class Base(DeclarativeBase):
    """All tables."""


class Login(Base):
    """Who is logged in; a row goes with the log-out."""

    __tablename__ = "login"
    token: Mapped[str] = mapped_column(String, primary_key=True)
    user: Mapped[str]


class Note(Base):
    """What a callback wrote."""

    __tablename__ = "note"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]


Base.metadata.create_all(engine)


@event.listens_for(engine, "checkout")
def _count(*_: object) -> None:
    global checkouts
    checkouts += 1


def user_of(session, token):
    """Give the user of a token, None for nobody."""
    return session.scalar(select(Login.user).where(Login.token == token))


def notes(session):
    """Give the texts of all notes."""
    return list(session.scalars(select(Note.text).order_by(Note.id)))


def with_state(app):
    """Put `/state` before an app, so that no part of the app takes a connection for it."""

    def call(environ, start_response):
        if environ["PATH_INFO"] != "/state":
            return app(environ, start_response)
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(state()).encode()]

    return call


def state():
    """Say how many connections of the pool are in use, how often one was taken, and what notes
    there are.
    """
    checked_out = engine.pool.checkedout()
    with Session() as session:
        return {"checked_out": checked_out, "checkouts": checkouts, "notes": notes(session)}


def on_board(connection, event, data, session, facts):
    """Do at a WebSocket of a board what the client says; `session` is the framework's for this
    event.
    """
    if event == "open":
        connection.send_json({"opened by": connection.auth, "notes": len(notes(session))})
    if event == "close":
        session.add(Note(text=f"closed by {connection.auth}"))
    if event != "message":
        return
    command, _, text = data.partition(":")
    if command == "facts":
        connection.send_json(facts())
    if command in ("note", "fail"):
        session.add(Note(text=text))
        session.flush()
    if command == "fail":
        raise RuntimeError("on purpose")
    connection.send(f"{command} done")
