"""One of the frameworks' applications in tests/contrib/apps under gunicorn, and what all of them
are held to.

Each has logins (`POST /login?user=ada`, `POST /logout`, a cookie), `GET /state` (see apps/notes.py)
and the WebSocket `/ws/board/7`, for those who are logged in, which asks five times a second who
they are.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.support import same_answers, servers
from tests.support.raw import RawClient
from tests.support.servers import Server

APPS = servers.ROOT / "tests" / "contrib" / "apps"
BOARD = "/ws/board/7"
ANSWER_S = 10.0
POLL_S = 0.01

Address = tuple[str, int]
Fields = list[tuple[str, str]]


class FrameworkSite:
    """A running application.

    Attributes:
        server: the process and its address.
    """

    def __init__(self, server: Server) -> None:
        self.server = server

    def ask(
        self, method: str, target: str, *fields: tuple[str, str]
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Make one HTTP request; gives status, header fields and body."""
        connection = http.client.HTTPConnection(*self.server.address, timeout=ANSWER_S)
        with contextlib.closing(connection):
            connection.request(method, target, headers=dict(fields))
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def login(self, user: str) -> Fields:
        """Log in, and give the field with the cookie."""
        status, headers, body = self.ask("POST", f"/login?user={user}")
        assert status == 204, (status, body)
        return [("Cookie", headers["Set-Cookie"].partition(";")[0])]

    def logout(self, fields: Fields) -> None:
        """Log out who has this cookie."""
        status, _, body = self.ask("POST", "/logout", *fields)
        assert status == 204, (status, body)

    def state(self) -> dict[str, Any]:
        """Say what the application holds of its database."""
        status, _, body = self.ask("GET", "/state")
        assert status == 200, body
        return dict(json.loads(body))

    def wait_for_state(self, is_right: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Ask again and again until the answer is right, and give it."""
        give_up_at = time.monotonic() + ANSWER_S
        while not is_right(state := self.state()):
            assert time.monotonic() < give_up_at, f"still {state}"
            time.sleep(POLL_S)
        return state

    def open(self, path: str = BOARD, fields: Fields | None = None) -> RawClient:
        """Connect to a WebSocket."""
        return RawClient.open(self.server.address, path, fields or ())

    def refusal(self, path: str, fields: Fields | None = None) -> int:
        """Ask for a WebSocket, and give the status that comes instead of a 101."""
        with RawClient.dial(self.server.address) as client:
            return client.ask_upgrade(path, "AAAAAAAAAAAAAAAAAAAAAA==", fields or ()).status


@contextlib.contextmanager
def framework_site(target: str, folder: Path, *options: str) -> Iterator[FrameworkSite]:
    """Run `gunicorn -k gevent TARGET` until the block ends; `target` is in tests/contrib/apps."""
    env = {"PYTHONPATH": str(servers.ROOT), "NOTES_DB": str(folder / "notes.db")}
    running = servers.gunicorn(target, APPS, folder / "server.log", "-w", "1", *options, env=env)
    with running as server:
        try:
            servers.wait_until_answering(server)
            yield FrameworkSite(server)
        finally:
            server.end()  # how gunicorn stops has tests of its own, and takes two seconds


@contextlib.contextmanager
def bare_and_wrapped(module: str, folder: Path) -> Iterator[tuple[Address, Address]]:
    """Run `bare` and `wrapped` of a module in tests/contrib/apps, each under gunicorn; gives where
    they listen.
    """
    env = {"PYTHONPATH": str(servers.ROOT), **same_answers.ENVIRONMENT}
    with contextlib.ExitStack() as stack:
        addresses = []
        for name in ("bare", "wrapped"):
            running = servers.gunicorn(
                f"{module}:{name}", APPS, folder / f"{name}.log", "-w", "1", env=env
            )
            server = stack.enter_context(running)
            stack.callback(server.end)
            servers.wait_until_answering(server)
            addresses.append(server.address)
        yield addresses[0], addresses[1]


def facts(client: RawClient) -> dict[str, Any]:
    """Ask a board's callback what it finds around it."""
    client.send_text("facts")
    found = json.loads(client.read_text())
    assert client.read_text() == "facts done"
    return dict(found)


def assert_idle_connections_hold_no_database_connection(
    site: FrameworkSite, count: int = 100
) -> None:
    """Let many connections use the database in "open" and "message", and look at the pool then."""
    fields = site.login("ada")
    before = site.state()["checkouts"]
    with contextlib.ExitStack() as opened:
        clients = [opened.enter_context(site.open(fields=fields)) for _ in range(count)]
        for client in clients:
            client.send_text("note:idle")
        for client in clients:
            assert json.loads(client.read_text())["opened by"] == "ada"
            assert client.read_text() == "note done"

        # Who they are is asked on and on, so a moment without that must be waited for.
        state = site.wait_for_state(lambda state: state["checked_out"] == 0)

        assert state["checkouts"] - before >= 2 * count
        assert state["notes"].count("idle") == count


def assert_log_out_closes_the_sockets(site: FrameworkSite) -> None:
    """Log out one of two users; that one's are closed with 4401, and "close" runs."""
    leaver, bob = site.login("leaver"), site.login("bob")
    with (
        site.open(fields=leaver) as first,
        site.open(fields=leaver) as second,
        site.open(fields=bob) as other,
    ):
        for client in (first, second, other):
            client.read_text()

        site.logout(leaver)

        assert (first.read_close(), second.read_close()) == (4401, 4401)
        first.send_close(4401)
        second.send_close(4401)
        site.wait_for_state(lambda state: state["notes"].count("closed by leaver") == 2)
        assert facts(other)["identity"] == "bob"


def assert_callbacks_that_wait_keep_their_requests_apart(
    site: FrameworkSite, paths: tuple[str, str], texts: tuple[str, str]
) -> None:
    """Have two callbacks wait at the same time; each then tells what its own request says."""
    with site.open(paths[0]) as one, site.open(paths[1]) as two:
        one.read_text()
        two.read_text()

        one.send_text("wait")
        two.send_text("wait")

        assert (one.read_text(), two.read_text()) == texts


def assert_an_odd_error_is_logged_and_the_connection_stays(
    site: FrameworkSite, path: str, text: str, route: str
) -> None:
    """Have a callback answer with what is no refusal; the next one tells what its request says."""
    with site.open(path) as client:
        client.read_text()

        client.send_text("odd")
        client.send_text("wait")

        assert client.read_text() == text
    site.server.wait_for_log(f"callback of {route} raised at 'message'")


def assert_a_raising_callback_leaves_nothing_behind(
    site: FrameworkSite, text: str
) -> dict[str, Any]:
    """Let a callback write and raise; gives what the next one finds around it."""
    with site.open(fields=site.login("ada")) as client:
        client.read_text()

        client.send_text(f"fail:{text}")
        client.send_text(f"note:{text} kept")

        assert client.read_text() == "note done"
        found = facts(client)
        state = site.wait_for_state(lambda state: state["checked_out"] == 0)
        assert text not in state["notes"]
        assert f"{text} kept" in state["notes"]
        site.server.wait_for_log("RuntimeError: on purpose")
        return found
