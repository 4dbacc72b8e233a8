"""Kinto: records as JSON, on Pyramid and PostgreSQL, with HTTP's basic authentication.

Nobody logs out; an account can end.
"""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
from collections.abc import Iterator, Mapping

from tests.support import postgres

from ..browser import Answer, Browser
from ..subject import ADA, BOB, PASSWORD, Site, Subject

INI = """
[app:main]
use = egg:kinto
kinto.includes = kinto.plugins.accounts kinto.plugins.history
kinto.userid_hmac_secret = not a secret here
kinto.storage_backend = kinto.core.storage.postgresql
kinto.permission_backend = kinto.core.permission.postgresql
kinto.cache_backend = kinto.core.cache.postgresql
kinto.bucket_create_principals = system.Authenticated
kinto.account_create_principals = system.Everyone
multiauth.policies = account
multiauth.policy.account.use = kinto.plugins.accounts.AccountsPolicy

[loggers]
keys = root
[handlers]
keys = console
[formatters]
keys = plain
[logger_root]
level = WARNING
handlers = console
[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = plain
[formatter_plain]
format = %(message)s
"""

BACKENDS = ("STORAGE", "PERMISSION", "CACHE")
TASKS = "/v1/buckets/work/collections/tasks"
PAGES = (
    "/", "/v1", "/v1/", "/v1/__heartbeat__", "/v1/__lbheartbeat__", "/v1/__version__",
    "/v1/buckets", TASKS, f"{TASKS}/records", f"{TASKS}/records/first", "/v1/nothing", "/nothing",
    "/ws/records", "/v1/buckets/work/history", "/v1/%ff", "/v1/__api__",
)  # fmt: skip


def _prepare(site: Site) -> None:
    (site.folder / "kinto.ini").write_text(INI)


@contextlib.contextmanager
def _database(site: Site) -> Iterator[Mapping[str, str]]:
    """Run a PostgreSQL of its own, empty, with Kinto's tables."""
    with postgres.running() as database:
        url = database.url("postgresql")
        environ = {f"KINTO_{backend}_URL": url for backend in BACKENDS}
        subprocess.run(
            [str(site.python.with_name("kinto")), "migrate", "--ini", "kinto.ini"],
            cwd=site.folder, env=environ, check=True, capture_output=True,
        )  # fmt: skip
        yield environ


def _login(browser: Browser, user: str) -> None:
    secret = base64.b64encode(f"{user}:{PASSWORD}".encode()).decode()
    browser.fields["Authorization"] = f"Basic {secret}"


def _put(browser: Browser, path: str, data: object, **fields: str) -> Answer:
    named = {name.replace("_", "-"): fields[name] for name in fields}
    body = json.dumps({"data": data}).encode()
    return browser.send("PUT", path, body, {"Content-Type": "application/json", **named})


def _dialogue(browser: Browser) -> None:
    for path in PAGES:
        browser.get(path)
    browser.send("HEAD", "/v1/")
    preflight = {"Origin": "http://elsewhere.example", "Access-Control-Request-Method": "PUT"}
    browser.send("OPTIONS", f"{TASKS}/records", fields=preflight)
    _put(browser, "/v1/buckets/work", {}).must_be(401)
    for name in (ADA, BOB):
        _put(browser, f"/v1/accounts/{name}", {"password": PASSWORD}).must_be(201)

    _login(browser, ADA)
    _put(browser, "/v1/buckets/work", {}).must_be(201)
    _put(browser, TASKS, {}).must_be(201)
    made = _put(browser, f"{TASKS}/records/first", {"title": "Grüße"}).must_be(201)
    for path in PAGES:
        browser.get(path)
    browser.get(f"{TASKS}/records/first", If_None_Match=made.headers["etag"]).must_be(304)
    _put(browser, f"{TASKS}/records/first", {}, If_None_Match="*").must_be(412)
    browser.send("PUT", f"{TASKS}/records/bad", b"{", {"Content-Type": "application/json"})
    browser.send("POST", "/v1/", b"{}", {"Content-Type": "application/json"})
    gets = {"requests": [{"method": "GET", "path": path} for path in (TASKS, "/v1/nothing")]}
    browser.send(
        "POST", "/v1/batch", json.dumps(gets).encode(), {"Content-Type": "application/json"}
    )
    browser.send("DELETE", f"{TASKS}/records/first").must_be(200)
    _login(browser, BOB)
    browser.get(f"{TASKS}/records").must_be(403)


def _change(browser: Browser) -> None:
    _put(browser, f"{TASKS}/records/pushed", {"title": "a record"}).must_be(201)


def _leave(browser: Browser, site: Site, user: str) -> None:
    browser.send("DELETE", f"/v1/accounts/{user}").must_be(200)


KINTO = Subject(
    key="kinto",
    label="Kinto",
    distribution="kinto",
    needs=("kinto[postgresql]",),
    prepare=_prepare,
    dialogue=_dialogue,
    login=_login,
    change=_change,
    leave=_leave,
    path="/ws/records",
    pushed="/records/pushed",
    volatile={
        "time of change": rb"Last-Modified(?:: |\":\")([^\r\"]*)",
        "revision": rb"\b(1\d{12})\b",
        "end of a page": rb"\r\nExpires: ([^\r]*)",
        "hash": rb"(\$2b\$[^\"]*)",
        "identifier": rb"\"id\":\"([0-9a-f-]{36})\"",
        "time": rb"\"date\": ?\"([^\"]*)",
    },
    environ={"KINTO_INI": "kinto.ini"},
    around=_database,
)
