"""Tables, and `request.dbsession`: a session in the request's transaction."""

import zope.sqlalchemy
from sqlalchemy import ForeignKey, engine_from_config, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker


class Base(DeclarativeBase):
    """All tables."""


class User(Base):
    """Somebody with an account; the first user is the agent."""

    __tablename__ = "user"
    name: Mapped[str] = mapped_column(primary_key=True)
    password: Mapped[str]
    is_agent: Mapped[bool]


class Login(Base):
    """A browser with which a user is logged in."""

    __tablename__ = "login"
    token: Mapped[str] = mapped_column(primary_key=True)
    user: Mapped[str] = mapped_column(ForeignKey(User.name))


class Ticket(Base):
    """A question."""

    __tablename__ = "ticket"
    number: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    author: Mapped[str]
    solver: Mapped[str | None]


def queue(session):
    """Return all tickets for a page, open ones first."""
    tickets = session.scalars(select(Ticket).order_by(Ticket.solver.is_not(None), Ticket.number))
    names = ("number", "text", "author", "solver")
    return [{name: getattr(ticket, name) for name in names} for ticket in tickets]


def includeme(config):
    """Give each request a session of its own, which pyramid_tm commits or rolls back."""
    engine = engine_from_config(config.get_settings(), "sqlalchemy.")
    Base.metadata.create_all(engine)
    make_session = sessionmaker(engine)

    def dbsession(request):
        session = make_session(info={"request": request})
        zope.sqlalchemy.register(session, transaction_manager=request.tm)
        return session

    config.add_request_method(dbsession, reify=True)
