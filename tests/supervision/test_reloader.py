"""`tina4-wsgi serve --reload`: it starts again when code changes, and tells pages to load again."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.support.command import RUN_S, launched, serving
from tests.support.deadline import NEVER_S
from tests.support.servers import Server

ROUTE = """
import os
from tina4_wsgi import Router

@Router.get("/")
def index(request, response):
    return response.html("page.html", {"version": "VERSION", "pid": os.getpid()})

@Router.get("/version")
def version(request, response):
    return {"version": "VERSION"}

@Router.websocket("/ws")
def chat(connection, event, data):
    if event == "open":
        connection.send("VERSION")
"""
WSGI = """
from pathlib import Path
from tina4_wsgi import App
app = App(root=Path(__file__).parent)
"""
LINK = r"/__tina4/live\?token=([\w-]{32})"
TAG = re.compile(r'<script src="/__tina4/reload\.js\?version=(\w+)"></script>')


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return lay_out(tmp_path)


def lay_out(folder: Path) -> Path:
    for name in ("routes", "templates", "public"):
        (folder / "src" / name).mkdir(parents=True)
    (folder / "wsgi.py").write_text(WSGI)
    (folder / "src" / "templates" / "page.html").write_text("<p>{{ version }} {{ pid }}</p>")
    (folder / "src" / "public" / "page.css").write_text("p {}")
    write_version(folder, "one")
    return folder


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose code was broken while it ran, for all that only ask it."""
    folder = lay_out(tmp_path_factory.mktemp("broken"))
    with serving(folder, None, "--reload") as server:
        (folder / "src" / "routes" / "page.py").write_text("secret = 1 / 0\n")
        server.wait_for_log("it starts again when a file has changed")
        yield server


def write_version(folder: Path, version: str) -> None:
    (folder / "src" / "routes" / "page.py").write_text(ROUTE.replace("VERSION", version))


def get(server: Server, path: str, accept: str = "text/html", cookies: str = "") -> str:
    """What a browser gets that opens an address."""
    client = http.client.HTTPConnection(*server.address, timeout=RUN_S)
    fields = {"Cookie": cookies} if cookies else {}
    try:
        client.request("GET", path, headers={"Accept": accept, **fields})
        return client.getresponse().read().decode()
    finally:
        client.close()


def follow_link(server: Server) -> str:
    """Open the link that the log has once code is broken, and give the cookies that come of it."""
    link = server.wait_for_log(LINK)[0]
    client = http.client.HTTPConnection(*server.address, timeout=RUN_S)
    with contextlib.closing(client):
        client.request("GET", link)
        answer = client.getresponse()
        assert (answer.status, answer.headers["Location"]) == (303, "/"), server.log
        return "; ".join(
            field.partition(";")[0] for field in answer.headers.get_all("Set-Cookie", [])
        )


def enter(server: Server, path: str) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{server.address[1]}{path}", open_timeout=RUN_S)


def close_code(websocket: ClientConnection) -> tuple[int, str]:
    with pytest.raises(ConnectionClosed) as closed:
        websocket.recv(timeout=RUN_S)
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code, closed.value.rcvd.reason


def test_changed_code_is_served_and_websockets_hear_1012(folder):
    with serving(folder, None, "--reload") as server, enter(server, "/ws") as before:
        assert before.recv(timeout=RUN_S) == "one"

        write_version(folder, "the second")

        assert close_code(before) == (1012, "restarting; retry in 100 ms")
        with enter(server, "/ws") as after:  # waits until the new one serves
            assert after.recv(timeout=RUN_S) == "the second"
        server.wait_for_log(r"src/routes/page\.py changed, starting again")


def test_a_websocket_has_its_line_in_the_log_at_once(folder):
    with serving(folder, None, "--reload") as server, enter(server, "/ws") as websocket:
        assert websocket.recv(timeout=5) == "one"

        server.wait_for_log(r'tina4_wsgi\.access: 127\.0\.0\.1 "GET /ws HTTP/1\.1" 101 ')


def wait_for_answer(server: Server, path: str, text: str, **asked: str) -> str:
    """Ask until the new process answers, and give its answer: the old one may not have read its
    order yet.
    """
    give_up_at = time.monotonic() + RUN_S
    while text not in (answer := get(server, path, **asked)):
        assert time.monotonic() < give_up_at, server.log
        time.sleep(0.02)
    return answer


def test_a_new_module_is_code_too(folder):
    with serving(folder, None, "--reload") as server:
        (folder / "src" / "routes" / "more.py").write_text(
            ROUTE.replace('"/', '"/more/').replace("VERSION", "more")
        )

        server.wait_for_log(r"more\.py changed, starting again")
        wait_for_answer(server, "/more/version", "more")


BROKEN = {
    "syntax": ("if x\n", "src/routes/page.py:1: SyntaxError"),
    "name": (
        "\nmissing\n",
        "src/routes/page.py:2: NameError: name &#39;missing&#39; is not defined",
    ),
    "import": ("import no_such_module\n", "src/routes/page.py:1: ModuleNotFoundError"),
    "route": (
        "from tina4_wsgi import Router\n@Router.get\ndef f(request, response): ...\n",
        "@get has no path",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_code_shows_where_it_fails_in_the_browser_until_it_is_mended(folder, kind):
    source, told = BROKEN[kind]
    with serving(folder, None, "--reload") as server:
        (folder / "src" / "routes" / "page.py").write_text(source)
        server.wait_for_log(r"it starts again when a file has changed")
        page = wait_for_answer(server, "/any/page", "<h1>", cookies=follow_link(server))

        assert told in page
        assert TAG.search(page)  # so the page loads again when a file has changed

        write_version(folder, "mended again")
        wait_for_answer(server, "/version", '{"version":"mended again"}')


def test_the_last_line_of_the_terminal_says_where_broken_code_fails(folder):
    with serving(folder, None, "--reload") as server:
        (folder / "src" / "routes" / "page.py").write_text("1 / 0\n")
        server.wait_for_log("it starts again when a file has changed")

        last = [line for line in server.log.splitlines() if "access" not in line][-1]
        assert last.endswith(
            "src/routes/page.py:1: ZeroDivisionError: division by zero; it starts again when a "
            "file has changed"
        )


def test_clients_that_take_no_page_get_the_traceback_as_text_while_code_is_broken(broken):
    cookies = follow_link(broken)
    answer = wait_for_answer(
        broken, "/version", "Traceback", accept="application/json", cookies=cookies
    )

    assert answer.endswith("src/routes/page.py:1: ZeroDivisionError: division by zero\n")


def test_a_websocket_that_comes_while_code_is_broken_is_refused_with_503(broken):
    wait_for_answer(broken, "/", "<h1>")

    with pytest.raises(InvalidStatus) as refused:
        enter(broken, "/ws")

    assert refused.value.response.status_code == 503


@pytest.mark.parametrize("cookies", ["", "tina4_debug=x", f"tina4_debug={'0' * 64}"])
@pytest.mark.parametrize("accept", ["text/html", "application/json", "*/*"])
def test_who_has_not_followed_the_link_is_shown_no_line_of_broken_code(broken, accept, cookies):
    """Not from this machine either: behind a proxy on it, everybody comes from here."""
    answer = wait_for_answer(broken, "/", "the terminal says why", accept=accept, cookies=cookies)

    assert "secret" not in answer
    assert "page.py" not in answer
    assert "division" not in answer


def test_another_token_opens_no_line_of_broken_code(broken):
    path = f"/__tina4/live?token={'0' * 32}"

    assert "the terminal says why" in wait_for_answer(broken, path, "<h1>")


def test_the_link_is_good_for_all_of_one_start(folder):
    with serving(folder, None, "--reload") as server:
        (folder / "src" / "routes" / "page.py").write_text("1 / 0\n")
        cookies = follow_link(server)
        write_version(folder, "mended")
        wait_for_answer(server, "/version", "mended")
        (folder / "src" / "routes" / "page.py").write_text("[].pop()\n")

        assert "pop from empty list" in wait_for_answer(server, "/", "IndexError", cookies=cookies)
        assert len(set(re.findall(LINK, server.log))) == 1


def test_with_debug_it_is_the_link_of_the_banner(folder):
    with serving(folder, None, "--reload", "--debug") as server:
        server.wait_for_log(LINK)
        (folder / "src" / "routes" / "page.py").write_text("1 / 0\n")
        server.wait_for_log("it starts again when a file has changed")

        assert "page.py" in wait_for_answer(
            server, "/", "ZeroDivisionError", cookies=follow_link(server)
        )
        assert len(set(re.findall(LINK, server.log))) == 1


def test_code_that_is_broken_from_the_start_is_told_and_served_once_it_is_mended(folder):
    (folder / "wsgi.py").write_text("1 / 0\n")

    with launched(folder, "--reload", "--port", "0", log=folder / "log") as (_, banner):
        assert banner[0].startswith("Tina4 WSGI v")
        wait_for(
            folder / "log",
            "wsgi.py:1: ZeroDivisionError: division by zero; it starts again when a file has",
        )
        (folder / "wsgi.py").write_text(WSGI)

        wait_for(folder / "log", "wsgi.py changed, starting again")


def wait_for(log: Path, text: str) -> None:
    give_up_at = time.monotonic() + RUN_S
    while text not in log.read_text():
        assert time.monotonic() < give_up_at, log.read_text()
        time.sleep(0.02)


@pytest.mark.parametrize("name", ["templates/page.html", "public/page.css"])
def test_a_changed_template_or_static_file_makes_pages_load_again_without_a_restart(folder, name):
    with serving(folder, None, "--reload") as server:
        page = get(server, "/")
        with enter(server, "/ws") as stays, enter(server, "/__tina4/reload") as told:
            first = TAG.findall(page)
            assert [told.recv(timeout=RUN_S)] == first
            file = folder / "src" / name
            file.write_text(f"{file.read_text()}/* changed */")

            second = told.recv(timeout=RUN_S)
            again = get(server, "/")

            assert TAG.findall(again) == [second] != first
            assert re.findall(r"one \d+", again) == re.findall(r"one \d+", page)  # the same process
            assert ("changed" in again) == name.endswith(".html")
            assert stays.ping().wait(RUN_S)


def test_a_restart_is_a_new_version_too(folder):
    with serving(folder, None, "--reload") as server:
        with enter(server, "/__tina4/reload") as told:
            first = told.recv(timeout=RUN_S)
            write_version(folder, "the second")
            assert close_code(told)[0] == 1012

        with enter(server, "/__tina4/reload") as told:
            assert told.recv(timeout=RUN_S) not in ("", first)


def test_another_folder_may_be_watched(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "shared.py").write_text("")

    with serving(folder, None, "--reload", "--reload-dir", str(other)) as server:
        (other / "shared.py").write_text("changed = True\n")

        server.wait_for_log(r"shared\.py changed, starting again")


def test_interrupting_all_processes_stops_them_gracefully(folder):
    """As ^C on a terminal."""
    with serving(folder, None, "--reload") as server, enter(server, "/ws") as websocket:
        websocket.recv(timeout=RUN_S)

        os.killpg(server.pid, signal.SIGINT)

        assert close_code(websocket)[0] == 1001
        assert server.process.wait(RUN_S) == 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(server.address, RUN_S)


def test_closing_the_terminal_ends_all(folder):
    with serving(folder, None, "--reload") as server, enter(server, "/ws") as websocket:
        websocket.recv(timeout=RUN_S)

        os.killpg(server.pid, signal.SIGHUP)

        assert close_code(websocket)[0] == 1001
        assert server.process.wait(RUN_S) == -signal.SIGHUP


def test_the_server_stops_when_the_process_above_it_is_killed(folder):
    with serving(folder, None, "--reload") as server, enter(server, "/ws") as websocket:
        websocket.recv(timeout=RUN_S)

        server.process.kill()

        assert close_code(websocket)[0] == 1001


def test_a_request_that_runs_on_does_not_hold_a_restart_up_for_the_drain_time(folder, monkeypatch):
    monkeypatch.setenv("TINA4_WS_DRAIN_TIMEOUT_S", str(NEVER_S))
    (folder / "src" / "routes" / "slow.py").write_text(
        "import time\nfrom tina4_wsgi import Router\n\n@Router.get('/slow')\ndef slow(request, "
        "response):\n"
        f"    print('slow has begun', flush=True)\n    time.sleep({NEVER_S:g})\n"
    )
    with (
        serving(folder, None, "--reload") as server,
        socket.create_connection(server.address, RUN_S) as client,
    ):
        client.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        server.wait_for_log("slow has begun")

        write_version(folder, "the second")
        server.wait_for_log("starting again")

        wait_for_answer(server, "/version", "the second")
