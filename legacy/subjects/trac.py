"""Trac: tickets and a wiki; a cookie of its own after a login by HTTP's basic authentication."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import sqlite3
import subprocess

from ..browser import Browser
from ..subject import ADA, BOB, PASSWORD, Site, Subject

PROJECT = "project"
ADMIN = (
    ("initenv", "Legacy", "sqlite:db/trac.db"),
    ("permission", "remove", "anonymous", "WIKI_VIEW"),
    ("permission", "add", "authenticated", "WIKI_VIEW"),
    ("component", "add", "engine"),
)
LONG_AGO_US = 1_600_000_000_000_000
PAGES = (
    "/", "/wiki", "/wiki/WikiStart", "/wiki/WikiStart?format=txt", "/report", "/report/1",
    "/report/1?format=csv", "/query?status=new", "/timeline", "/roadmap", "/search?q=wiki",
    "/newticket", "/prefs", "/about", "/admin", "/ticket/99", "/nothing", "/ws/tickets", "/%ff",
    "/chrome/common/css/trac.css", "/chrome/common/nothing.css",
)  # fmt: skip


def _prepare(site: Site) -> None:
    digest = base64.b64encode(hashlib.sha1(PASSWORD.encode()).digest()).decode()
    passwords = "".join(f"{name}:{{SHA}}{digest}\n" for name in (ADA, BOB))
    (site.folder / "htpasswd").write_text(passwords)
    admin = [str(site.python), "-W", "ignore", "-m", "trac.admin.console", PROJECT]
    for command in ADMIN:
        subprocess.run([*admin, *command], cwd=site.folder, check=True, capture_output=True)
    with contextlib.closing(sqlite3.connect(site.folder / PROJECT / "db" / "trac.db")) as database:
        database.execute("UPDATE wiki SET time = ?", [LONG_AGO_US])  # pages tell their age
        database.commit()


def _login(browser: Browser, user: str) -> None:
    secret = base64.b64encode(f"{user}:{PASSWORD}".encode()).decode()
    browser.get("/login", Authorization=f"Basic {secret}").must_be(302)


def _dialogue(browser: Browser) -> None:
    for path in PAGES:
        browser.get(path)
    browser.send("HEAD", "/about")
    browser.send("OPTIONS", "/about")
    style = browser.get(PAGES[-2])
    browser.get(PAGES[-2], If_Modified_Since=style.headers["last-modified"])
    browser.get("/login")
    browser.get("/login", Authorization="Basic bm9ib2R5OndpdGhvdXQ=")

    _login(browser, ADA)
    for path in PAGES:
        browser.get(path)
    browser.post("/newticket", {"field_summary": "without a token"})
    _order(browser, "the first ticket")
    browser.get("/ticket/1")
    browser.get("/ticket/1?format=tab")
    _leave(browser)
    browser.get("/wiki")


def _order(browser: Browser, summary: str) -> None:
    token = browser.get("/newticket").field("__FORM_TOKEN")
    form = {
        "__FORM_TOKEN": token,
        "field_summary": summary,
        "field_description": "Grüße",
        "field_type": "defect",
        "field_component": "engine",
        "field_status": "new",
        "submit": "Create ticket",
    }
    browser.post("/newticket", form).must_be(303)


def _change(browser: Browser) -> None:
    _order(browser, "a ticket that is pushed")


def _leave(browser: Browser, site: Site | None = None, user: str = ADA) -> None:
    token = browser.get("/about").field("__FORM_TOKEN")
    browser.post("/logout", {"__FORM_TOKEN": token}).must_be(303)


TRAC = Subject(
    key="trac",
    label="Trac",
    distribution="trac",
    needs=("trac",),
    prepare=_prepare,
    dialogue=_dialogue,
    login=_login,
    change=_change,
    leave=_leave,
    path="/ws/tickets",
    pushed="/newticket",
    volatile={
        "form's token": rb"(?:__FORM_TOKEN\"[^>]* value=\"|form_token=\"?)([0-9a-f]+)",
        "session": rb"Set-Cookie: trac_(?:auth|session)=([0-9a-f]+)",
        "age": rb"(\d+ (?:second|minute)s? ago)",
        "time": rb"(\d\d/\d\d/\d\d \d\d:\d\d(?::\d\d)?)",
        "microsecond": rb"\b(\d{16})\b",
        "ISO time": rb"(\d{4}-\d\d-\d\dT\d\d(?::|%3A)\d\d(?::|%3A)\d\dZ)",
        "end of a cookie": rb"Set-Cookie: trac_[^\r]* expires=([^;\r]+)",
    },
)
