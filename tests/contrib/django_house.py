"""What the tests of Django projects share: the project in `django_site`, served, and people who use
it.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.support import servers
from tests.support.raw import RawClient
from tests.support.servers import Server

SITE = servers.ROOT / "tests" / "contrib" / "django_site"
OLDEST = "4.2"
VERSIONS = ("newest", OLDEST)
INSTALL_S = 110.0
ANSWER_S = 10.0
POLL_S = 0.02

Json = dict[str, Any]  # Any: what the JSON holds

PREPARE = """
from django.core.management import call_command
call_command("migrate", run_syncdb=True, verbosity=0)
from django.contrib.auth.models import Permission, User
from notes.models import Note
if User.objects.exists(): raise SystemExit
User.objects.bulk_create(User(username=name) for name in ("ada", "grace", "mallory", "editor"))
User.objects.create_user("boss", is_staff=True)
User.objects.get(username="editor").user_permissions.add(Permission.objects.get(codename="change_note"))
"""


@functools.cache
def django_folder(version: str) -> str:
    """Give the folder to import Django from; "" for the one that is installed, another version is
    fetched once.
    """
    if version == "newest":
        return ""
    folder = servers.ROOT / ".cache" / f"django-{version}"
    if not (folder / "complete").exists():
        command = [
            sys.executable,
            "-m",
            "pip",
            "--disable-pip-version-check",
            "-qq",
            "install",
            "--no-deps",
        ]
        command += ["--upgrade", "--target", str(folder), f"django=={version}.*"]
        subprocess.run(command, check=True, timeout=INSTALL_S)
        (folder / "complete").touch()
    return str(folder)


def environment(
    version: str, database: str, settings: Mapping[str, Any] | None = None
) -> dict[str, str]:
    """Give the variables that a process of the project is started with.

    Args:
        version: of Django, one of `VERSIONS`.
        database: the path of the SQLite file.
        settings: laid over those of the project.
    """
    path = os.pathsep.join(filter(None, [django_folder(version), str(SITE), str(servers.ROOT)]))
    return {
        "PYTHONPATH": path,
        "SITE_DATABASE": database,
        "SITE_SETTINGS": json.dumps(settings or {}),
    }


def manage(env: Mapping[str, str], *arguments: str, stdin: str = "") -> str:
    """Run `manage.py` and give what it printed; it must succeed."""
    done = subprocess.run(
        [*servers.PYTHON, "manage.py", *arguments],
        cwd=SITE,
        env={**os.environ, **env},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"manage.py {' '.join(arguments)}:\n{done.stdout}{done.stderr}"
    return done.stdout


@functools.cache
def prepared_database(version: str) -> Path:
    """Give a SQLite file with the tables and the users, to be copied."""
    folder = tempfile.TemporaryDirectory(prefix="django-")
    atexit.register(folder.cleanup)
    path = Path(folder.name, "db.sqlite3")
    manage(environment(version, str(path)), "shell", stdin=PREPARE)
    return path


_prepared: set[str] = set()


def _prepare_once(env: Mapping[str, str], host: str) -> None:
    """Put the tables and the users into a database that other tests may have had before."""
    if host not in _prepared:
        manage(env, "shell", stdin=PREPARE)
        _prepared.add(host)


class Site:
    """The running project.

    Attributes:
        server: its process.
    """

    def __init__(self, server: Server) -> None:
        self.server = server

    def get(self, path: str, cookie: str = "") -> tuple[int, str, bytes]:
        """Ask for a page; gives status, the session cookie that it set, and the body."""
        connection = http.client.HTTPConnection(*self.server.address, timeout=ANSWER_S)
        with contextlib.closing(connection):
            connection.request(
                "GET",
                path,
                headers={"Connection": "close", **({"Cookie": cookie} if cookie else {})},
            )
            answer = connection.getresponse()
            set_cookies = [
                one.partition(";")[0] for one in answer.headers.get_all("Set-Cookie", [])
            ]
            session = next((one for one in set_cookies if one.startswith("sessionid=")), "")
            return answer.status, session, answer.read()

    def log_in(self, user: str) -> str:
        """Log in as a user and give the cookie for it."""
        status, cookie, body = self.get(f"/login?user={user}")
        assert status == 200, body[:1_000]
        return cookie

    def open(self, path: str, cookie: str = "", **fields: str) -> RawClient:
        """Connect a WebSocket; `fields` are header fields, with "_" for "-"."""
        return RawClient.open(self.server.address, path, self._fields(cookie, fields))

    def ask_upgrade(self, path: str, cookie: str = "", **fields: str) -> int:
        """Ask for a WebSocket and give the status of the answer."""
        with RawClient.dial(self.server.address) as client:
            return client.ask_upgrade(
                path, "AAAAAAAAAAAAAAAAAAAAAA==", self._fields(cookie, fields)
            ).status

    @staticmethod
    def _fields(cookie: str, fields: Mapping[str, str]) -> list[tuple[str, str]]:
        named = [(name.replace("_", "-"), value) for name, value in fields.items()]
        return [*named, *([("Cookie", cookie)] if cookie else [])]

    def state(self) -> Json:
        """Ask what the process holds; see `project/views.py`."""
        status, _, body = self.get("/state")
        assert status == 200, body[:1_000]
        return json.loads(body)  # type: ignore[no-any-return]

    def wait_for_note(self, text: str) -> None:
        """Wait until a callback has written a note."""
        give_up_at = time.monotonic() + ANSWER_S
        while text not in self.state()["notes"]:
            assert time.monotonic() < give_up_at, f"no note {text!r}, only {self.state()['notes']}"
            time.sleep(POLL_S)


def ask(client: RawClient, command: str) -> Json:
    """Send a message and give the JSON of the answer."""
    client.send_text(command)
    return hear(client)


def hear(client: RawClient) -> Json:
    """Give the JSON of the next message."""
    return json.loads(client.read_text())  # type: ignore[no-any-return]


@contextlib.contextmanager
def serving(
    folder: Path,
    version: str = "newest",
    target: str = "project.wsgi:application",
    *options: str,
    **settings: Any,
) -> Iterator[Site]:
    """Run the project under stock `gunicorn -k gevent` with a database of its own until the block
    ends.

    Args:
        folder: for the database and the log.
        settings: laid over the project's.
    """
    env = environment(version, str(folder / "db.sqlite3"), settings)
    if "DATABASES" in settings:
        _prepare_once(env, settings["DATABASES"]["default"]["HOST"])
    elif not (folder / "db.sqlite3").exists():
        shutil.copy(prepared_database(version), folder / "db.sqlite3")
    with servers.gunicorn(target, SITE, folder / "log", "-w", "1", *options, env=env) as server:
        try:
            yield Site(server)
        finally:
            server.end()  # how gunicorn stops has tests of its own, and takes two seconds
