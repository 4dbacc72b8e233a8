"""pgAdmin 4: Flask with flask-login, sessions on the server, and Flask-SocketIO in it."""

from __future__ import annotations

import json
import os
import re
import subprocess

from ..browser import Browser
from ..subject import ADA, BOB, PASSWORD, Site, Subject

CONFIG = """
import os
DATA_DIR = os.getcwd()
LOG_FILE = os.path.join(DATA_DIR, "pgadmin4.log")
SQLITE_PATH = os.path.join(DATA_DIR, "pgadmin4.db")
SESSION_DB_PATH = os.path.join(DATA_DIR, "sessions")
STORAGE_DIR = os.path.join(DATA_DIR, "storage")
KERBEROS_CCACHE_DIR = os.path.join(DATA_DIR, "krbccache")
AZURE_CREDENTIAL_CACHE_DIR = os.path.join(DATA_DIR, "azurecredentialcache")
CHECK_EMAIL_DELIVERABILITY = False
ALLOW_SPECIAL_EMAIL_DOMAINS = ["example"]
MASTER_PASSWORD_REQUIRED = False
UPGRADE_CHECK_ENABLED = False
"""

PAGES = (
    "/", "/login", "/misc/ping", "/browser/", "/browser/server_group/nodes/", "/preferences/",
    "/browser/js/utils.js", "/settings/get_tree_state/", "/favicon.ico", "/robots.txt", "/nothing",
    "/static/css/pgadmin.css", "/ws/groups", "/about/", "/socket.io/?EIO=4&transport=polling",
    "/socket.io/?EIO=3", "/user_management/current_user.json",
)  # fmt: skip


def _email(user: str) -> str:
    return f"{user}@legacy.example"


def _prepare(site: Site) -> None:
    (site.folder / "config_local.py").write_text(CONFIG)
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
        "PGADMIN_SETUP_EMAIL": _email(ADA),
        "PGADMIN_SETUP_PASSWORD": PASSWORD,
    }
    environ["PYTHONPATH"] = str(site.folder)
    (program,) = site.python.parents[1].glob("lib/python*/site-packages/pgadmin4/setup.py")
    for command in (("setup-db",), ("add-user", "--admin", _email(BOB), PASSWORD)):
        subprocess.run(
            [str(site.python), "-W", "ignore", str(program), *command],
            cwd=site.folder, env=environ, check=True, capture_output=True,
        )  # fmt: skip


def _login(browser: Browser, user: str) -> None:
    page = browser.get("/login").must_be(200)
    token = re.search(r'csrfToken": "([^"]+)"', page.text)
    assert token is not None, page.text[:3_000]
    form = {
        "csrf_token": token[1],
        "email": _email(user),
        "password": PASSWORD,
        "internal_button": "Login",
    }
    browser.post("/authenticate/login", form).must_be(302)


def _dialogue(browser: Browser) -> None:
    for path in PAGES:
        browser.get(path)
    browser.send("HEAD", "/login")
    browser.send("OPTIONS", "/login")
    browser.post("/authenticate/login", {"email": _email(ADA), "password": PASSWORD})

    _login(browser, ADA)
    for path in PAGES:
        browser.get(path)
    _make_group(browser, "first")
    browser.get("/browser/server_group/nodes/").must_be(200)
    _leave(browser)
    browser.get("/browser/")


def _make_group(browser: Browser, name: str) -> None:
    token = re.search(r"csrf_token'\] = '([^']+)'", browser.get("/browser/js/utils.js").must_be(200).text)
    assert token is not None
    kind = {"Content-Type": "application/json", "X-pgA-CSRFToken": token[1]}
    browser.send(
        "POST", "/browser/server_group/obj/", json.dumps({"name": name}).encode(), kind
    ).must_be(200)


def _change(browser: Browser) -> None:
    _make_group(browser, "pushed")


def _leave(browser: Browser, site: Site | None = None, user: str = ADA) -> None:
    browser.get("/logout").must_be(302)


PGADMIN = Subject(
    key="pgadmin",
    label="pgAdmin 4",
    distribution="pgadmin4",
    needs=("pgadmin4",),
    prepare=_prepare,
    dialogue=_dialogue,
    login=_login,
    change=_change,
    leave=_leave,
    path="/ws/groups",
    pushed="/browser/server_group/obj/",
    leaves="pgAdmin's own log-out, which is flask-login's",
)
