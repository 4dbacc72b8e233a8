"""Accounts, log-in and log-out."""

from __future__ import annotations

import click
from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_login import LoginManager, current_user, login_required, login_user, logout_user
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from werkzeug.security import check_password_hash, generate_password_hash

from .models import User, db, new_token

MOST_NAME_LENGTH = 40
LEAST_PASSWORD_LENGTH = 8

blueprint = Blueprint("accounts", __name__, cli_group=None)
manager = LoginManager()
manager.login_view = "accounts.login"
manager.login_message = None


@manager.user_loader
def load_user(token):
    return db.session.scalar(select(User).where(User.token == token))


@blueprint.get("/login")
def login():
    return (
        redirect(url_for("cards.board"))
        if current_user.is_authenticated
        else render_template("login.html")
    )


@blueprint.post("/login")
def log_in():
    user = db.session.scalar(select(User).where(User.name == request.form["name"].strip()))
    if (
        user is None
        or not check_password_hash(user.password_hash, request.form["password"])
        or not login_user(user)
    ):
        return _try_again("There is no such account, or the password is another.")
    return redirect(url_for("cards.board"))


@blueprint.post("/join")
def join():
    name, password = request.form["name"].strip(), request.form["password"]
    if not 1 <= len(name) <= MOST_NAME_LENGTH:
        return _try_again(f"A name has 1 to {MOST_NAME_LENGTH} characters.")
    if len(password) < LEAST_PASSWORD_LENGTH:
        return _try_again(f"A password has at least {LEAST_PASSWORD_LENGTH} characters.")

    user = User(name=name, password_hash=generate_password_hash(password))
    db.session.add(user)
    try:
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        return _try_again("Somebody has this name already.")

    login_user(user)
    return redirect(url_for("cards.board"))


@blueprint.post("/logout")
@login_required
def logout():
    current_user.token = new_token()
    db.session.commit()
    logout_user()
    return redirect(url_for("accounts.login"))


@blueprint.cli.command("deactivate")
@click.argument("name")
def deactivate(name):
    """Keep a user out from now on."""
    user = db.session.scalar(select(User).where(User.name == name))
    if user is None:
        raise click.ClickException(f"there is no user {name!r}")
    user.is_enabled = False
    db.session.commit()


def _try_again(why):
    flash(why)
    return render_template("login.html", name=request.form["name"]), 422
