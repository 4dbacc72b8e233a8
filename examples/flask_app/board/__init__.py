"""A board of cards for a team: log in, add cards, move them; everybody sees it at once."""

from __future__ import annotations

from flask import Flask

from . import accounts, cards
from .models import db

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def create_app() -> Flask:
    """Make the app; set BOARD_SECRET_KEY, and other settings of Flask as BOARD_<NAME>."""
    app = Flask(__name__)
    app.config.update(
        SQLALCHEMY_DATABASE_URI="sqlite:///board.sqlite",  # in the instance folder
        SESSION_COOKIE_SAMESITE="Lax",  # no other site's form can act for a user
    )
    app.config.from_prefixed_env("BOARD")
    if not app.config["SECRET_KEY"]:
        raise RuntimeError(
            "BOARD_SECRET_KEY is not set, expected a long random text; README.md has a command for "
            "it"
        )

    db.init_app(app)
    accounts.manager.init_app(app)
    app.register_blueprint(accounts.blueprint)
    app.register_blueprint(cards.blueprint)
    app.after_request(_protect)

    with app.app_context():
        db.create_all()
    return app


def _protect(response):
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return response
