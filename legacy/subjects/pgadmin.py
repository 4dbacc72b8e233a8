"""pgAdmin 4: Flask with flask-login, sessions on the server, and Flask-SocketIO in it.

It is made for one worker: each process keeps sessions that it has seen, and the keys of its users,
without which a password's login ends at the next request. So answers are compared in one worker,
and logins come from a proxy in front, whose users have no key.
"""

from __future__ import annotations

import json
import os
import re
import subprocess

from ..browser import Browser
from ..subject import ADA, PASSWORD, Site, Subject

CONFIG = """
import os
DATA_DIR = os.getcwd()
LOG_FILE = os.path.join(DATA_DIR, "pgadmin4.log")
SQLITE_PATH = os.path.join(DATA_DIR, "pgadmin4.db")
SESSION_DB_PATH = os.path.join(DATA_DIR, "sessions")
STORAGE_DIR = os.path.join(DATA_DIR, "storage")
KERBEROS_CCACHE_DIR = os.path.join(DATA_DIR, "krbccache")
AZURE_CREDENTIAL_CACHE_DIR = os.path.join(DATA_DIR, "azurecredentialcache")
AUTHENTICATION_SOURCES = ["webserver"]
WEBSERVER_REMOTE_USER = "X-Remote-User"
WEBSERVER_REMOTE_USER_FROM_HEADER = True
WEBSERVER_TRUSTED_PROXIES = ["127.0.0.1"]
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
        "PGADMIN_SETUP_EMAIL": _email("admin"),
        "PGADMIN_SETUP_PASSWORD": PASSWORD,
    }
    environ["PYTHONPATH"] = str(site.folder)
    (program,) = site.python.parents[1].glob("lib/python*/site-packages/pgadmin4/setup.py")
    subprocess.run(
        [str(site.python), "-W", "ignore", str(program), "setup-db"],
        cwd=site.folder, env=environ, check=True, capture_output=True,
    )  # fmt: skip


def _login(browser: Browser, user: str) -> None:
    browser.get("/login", X_Remote_User=_email(user)).must_be(302)
    browser.get("/browser/js/utils.js").must_be(200)


def _dialogue(browser: Browser) -> None:
    for path in PAGES:
        browser.get(path)
    browser.send("HEAD", "/login")
    browser.send("OPTIONS", "/login")
    browser.post("/authenticate/login", {"email": _email(ADA), "password": PASSWORD})
    browser.get("/login", X_Remote_User="")

    _login(browser, ADA)
    browser.fields.update(_token(browser))
    for path in PAGES:
        browser.get(path)
    _make_group(browser, "first")
    nodes = "/browser/server_group/nodes/"
    browser.send("GET", nodes, fields=_token(browser)).must_be(200)
    _leave(browser)
    browser.get("/browser/")


def _token(browser: Browser) -> dict[str, str]:
    """Return the header field that pgAdmin's pages send with each of their requests."""
    found = re.search(r"csrf_token'\] = '([^']+)'", browser.get("/browser/js/utils.js").text)
    assert found is not None, "no token in /browser/js/utils.js"
    return {"X-pgA-CSRFToken": found[1]}


def _make_group(browser: Browser, name: str) -> None:
    fields = {"Content-Type": "application/json", **_token(browser)}
    body = json.dumps({"name": name}).encode()
    browser.send("POST", "/browser/server_group/obj/", body, fields).must_be(200)


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
    http_worker_count=1,
    volatile={
        "session": rb"Set-Cookie: pga4_session=([^;]*)",
        "end of a cookie": rb"Set-Cookie: [^\r]* Expires=([^;\r]+)",
        "token": rb"(?:csrf_token'\] = '|csrfToken\": \")([^'\"]+)",
        "end of a file": rb"\r\nExpires: ([^\r]*)",
        "nonce": rb"nonce[-=]\"?([A-Za-z0-9_-]{22})",
        "Socket.IO's session": rb"\"sid\":\"([^\"]*)",
    },
)
