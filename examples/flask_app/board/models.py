"""The tables of the database."""

from __future__ import annotations

import secrets
from collections import defaultdict

from flask_login import UserMixin
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import ForeignKey, String, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

COLUMNS = {"todo": "To do", "doing": "In progress", "done": "Done"}


class Base(DeclarativeBase):
    """The tables."""


db = SQLAlchemy(model_class=Base)


def new_token() -> str:
    """Return a token that stands for a user in sessions."""
    return secrets.token_urlsafe(24)


class User(UserMixin, db.Model):
    """Somebody of the team."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40), unique=True)
    password_hash: Mapped[str]
    # Sessions hold this instead of the id. A log-out changes it, so every copy of the cookie is
    # worthless, and that of an open WebSocket, too.
    token: Mapped[str] = mapped_column(default=new_token, unique=True)
    is_enabled: Mapped[bool] = mapped_column(default=True)

    def get_id(self) -> str:
        """Return the id that flask-login puts into the session."""
        return self.token

    @property
    def is_active(self) -> bool:
        """Whether this user may log in."""
        return self.is_enabled


class Card(db.Model):
    """One thing to do."""

    __tablename__ = "cards"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(String(200))
    column: Mapped[str] = mapped_column(default="todo")
    author_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    author: Mapped[User] = relationship(lazy="joined")


def cards_by_column() -> dict[str, list[Card]]:
    """Return the cards of each column, in the order in which they were added."""
    found: dict[str, list[Card]] = defaultdict(list)
    for card in db.session.scalars(select(Card).order_by(Card.id)):
        found[card.column].append(card)
    return found
