"""Thermometers: devices put their readings by a JSON API, and open pages show them at once."""

import json
import secrets
from pathlib import Path

import falcon
from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker
from werkzeug.security import check_password_hash, generate_password_hash

from tina4_wsgi import broadcast

HERE = Path(__file__).parent
LIVE = "/live"
COOKIE = "thermometers"
LONGEST_NAME = 40
SHORTEST_PASSWORD = 8
COLDEST_C = -273.15
HOTTEST_C = 1_000.0


class Base(DeclarativeBase):
    """All tables."""


class User(Base):
    """Somebody with an account."""

    __tablename__ = "user"
    name: Mapped[str] = mapped_column(primary_key=True)
    password: Mapped[str]


class Login(Base):
    """A browser or device with which a user is logged in."""

    __tablename__ = "login"
    token: Mapped[str] = mapped_column(primary_key=True)
    user: Mapped[str]


class Thermometer(Base):
    """A device with its last reading."""

    __tablename__ = "thermometer"
    place: Mapped[str] = mapped_column(primary_key=True)
    celsius: Mapped[float]
    user: Mapped[str]


def values(session):
    """Return all thermometers, in the order of their places."""
    found = session.scalars(select(Thermometer).order_by(Thermometer.place))
    return [{"place": one.place, "celsius": one.celsius, "user": one.user} for one in found]


class Sessions:
    """A database session for each request, and for each event of a WebSocket."""

    def __init__(self, url):
        engine = create_engine(url)
        Base.metadata.create_all(engine)
        self._make_session = sessionmaker(engine)

    def process_request(self, req, resp):
        req.context.session = self._make_session()

    def process_response(self, req, resp, resource, req_succeeded):
        req.context.session.close()  # rolls back what wasn't committed


class Logins:
    """Finds out who the user is, and refuses clients without a login.

    The cookie is looked up in the database: a log-out deletes the row, so that every copy of the
    cookie is worthless.
    """

    def process_resource(self, req, resp, resource, params):
        login = req.context.session.get(Login, req.cookies.get(COOKIE, ""))
        req.context.user = login and login.user
        if req.context.user is None and not getattr(resource, "is_open", False):
            raise falcon.HTTPUnauthorized(title="Log in first")


class Live:
    """The WebSocket: sends all values to a page that connects; changes come by `broadcast`."""

    websocket_options = {"reauth_every": 5}  # noqa: RUF012

    def websocket_auth(self, req):
        return req.context.user

    def on_websocket(self, req, connection, event, data):
        if event == "open":
            connection.send_json(values(req.context.session))


class Readings:
    """The readings of devices."""

    def on_get(self, req, resp):
        resp.media = values(req.context.session)

    def on_put(self, req, resp, place):
        body = req.get_media()
        celsius = body.get("celsius") if isinstance(body, dict) else None
        if (
            isinstance(celsius, bool)
            or not isinstance(celsius, int | float)
            or not COLDEST_C <= celsius <= HOTTEST_C
        ):
            raise falcon.HTTPUnprocessableEntity(
                title=f'expected {{"celsius": number}} from {COLDEST_C:g} to 1000'
            )
        if len(place) > LONGEST_NAME:
            raise falcon.HTTPUnprocessableEntity(
                title=f"A place has at most {LONGEST_NAME} characters"
            )

        session = req.context.session
        session.merge(Thermometer(place=place, celsius=celsius, user=req.context.user))
        session.commit()
        broadcast(LIVE, json.dumps(values(session)))
        resp.status = 204


class Accounts:
    """Make an account, log in, log out."""

    is_open = True

    def on_get(self, req, resp):
        resp.media = {"user": req.context.user}

    def on_post_login(self, req, resp):
        name, password = credentials(req)
        user = req.context.session.get(User, name)
        if user is None or not check_password_hash(user.password, password):
            raise falcon.HTTPUnprocessableEntity(
                title="There is no such account, or the password is another."
            )
        log_in(req, resp, name)

    def on_post_join(self, req, resp):
        name, password = credentials(req)
        if not 0 < len(name) <= LONGEST_NAME:
            raise falcon.HTTPUnprocessableEntity(
                title=f"A name has 1 to {LONGEST_NAME} characters."
            )
        if len(password) < SHORTEST_PASSWORD:
            raise falcon.HTTPUnprocessableEntity(
                title=f"A password has at least {SHORTEST_PASSWORD} characters."
            )
        if req.context.session.get(User, name) is not None:
            raise falcon.HTTPUnprocessableEntity(title="Somebody has this name already.")

        req.context.session.add(User(name=name, password=generate_password_hash(password)))
        log_in(req, resp, name)

    def on_post_logout(self, req, resp):
        session = req.context.session
        login = session.get(Login, req.cookies.get(COOKIE, ""))
        if login is not None:
            session.delete(login)
            session.commit()
        resp.unset_cookie(COOKIE, path="/")
        resp.status = 204


def credentials(req):
    """Read name and password from a JSON body."""
    body = req.get_media()
    found = [body.get(key) for key in ("name", "password")] if isinstance(body, dict) else []
    if len(found) != 2 or not all(isinstance(one, str) for one in found):
        raise falcon.HTTPUnprocessableEntity(title='expected {"name": text, "password": text}')
    return found[0].strip(), found[1]


def log_in(req, resp, name):
    """Store a token, and send it to the browser as a cookie."""
    token = secrets.token_urlsafe(32)
    req.context.session.add(Login(token=token, user=name))
    req.context.session.commit()
    # Behind TLS: secure=True.
    resp.set_cookie(COOKIE, token, path="/", secure=False, same_site="Lax")
    resp.media = {"user": name}


class Page:
    """The page itself, the same for everybody; its script asks the API."""

    is_open = True

    def on_get(self, req, resp):
        resp.content_type = "text/html; charset=utf-8"
        resp.text = (HERE / "static" / "index.html").read_text(encoding="utf-8")


def make(database):
    """Make the Falcon app."""
    url = f"sqlite:///{database}"
    app = falcon.App(middleware=[Sessions(url), Logins()])
    app.add_route("/", Page())
    app.add_route(LIVE, Live())
    app.add_route("/readings", Readings())
    app.add_route("/readings/{place}", Readings())
    app.add_route("/me", Accounts())
    for action in ("login", "join", "logout"):
        app.add_route(f"/{action}", Accounts(), suffix=action)
    app.add_static_route("/static", HERE / "static")
    return app
