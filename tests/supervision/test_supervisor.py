"""`tina4-wsgi serve --workers N`: several processes on one socket, and the one above them."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.support.command import RUN_S, ask_unix_socket, launched, run, serving
from tests.support.deadline import NEVER_S
from tests.support.servers import Server
from tina4_wsgi.supervision.worker import Worker

APP = """
import os
from gevent import sleep
from gevent.monkey import get_original
from tina4_wsgi import App, Router, broadcast

VERSION = "one"
print("loaded in", os.getpid(), flush=True)

@Router.websocket("/ws")
def chat(connection, event, data):
    if event == "open":
        connection.send(f"{VERSION} {os.getpid()}")
    if event == "close":
        print("left with", connection.close_code, flush=True)

@Router.get("/who")
def who(request, response):
    return {"pid": os.getpid(), "version": VERSION, "many": request.environ["wsgi.multiprocess"]}

@Router.get("/tell")
def tell(request, response):
    broadcast("/ws", "to everybody")
    return ""

@Router.get("/block")
def block(request, response):
    print("blocked", os.getpid(), flush=True)
    get_original("time", "sleep")(1.0)  # holds up all of this process
    return "done"

@Router.get("/hold")
def hold(request, response):
    print("held", flush=True)
    sleep(600)

app = App()
"""

HELLO = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""

LOADED = re.compile(r"loaded in (\d+)")
PATIENCE_S = 20.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "wsgi.py").write_text(APP)
    return tmp_path


@contextlib.contextmanager
def two_workers(folder: Path, *options: str) -> Iterator[Server]:
    with serving(folder, None, "--workers", "2", *options) as server:
        yield server


def eventually(look: Callable[[], object], what: str) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while not look():
        assert time.monotonic() < give_up_at, f"still not so: {what}"
        time.sleep(0.02)


def pids(server: Server) -> list[int]:
    """The workers that have loaded the application, dead ones too, oldest first."""
    return [int(pid) for pid in LOADED.findall(server.log)]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def get(server: Server, path: str) -> str:
    with urllib.request.urlopen(server.url + path, timeout=10) as answer:
        return str(answer.read().decode())


def enter(server: Server) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{server.address[1]}/ws")


def close_code(websocket: ClientConnection) -> int:
    with pytest.raises(ConnectionClosed) as closed:
        websocket.recv(timeout=10)
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code


def test_another_worker_answers_while_one_is_held_up(folder):
    with two_workers(folder) as server, socket.create_connection(server.address, RUN_S) as client:
        client.sendall(b"GET /block HTTP/1.1\r\nHost: a\r\n\r\n")
        blocked = server.wait_for_log(r"blocked (\d+)")[1]

        answer = get(server, "/who")

        assert f'"pid":{blocked},' not in answer
        assert '"many":true' in answer
        assert len(set(pids(server))) == 2
        assert server.log.index("2 workers") > server.log.index("HTTP server running at")


def test_a_worker_that_dies_is_replaced(folder):
    with two_workers(folder) as server:
        dead = pids(server)[0]
        os.kill(dead, signal.SIGKILL)

        server.wait_for_log(rf"worker {dead} ended by SIGKILL, another one is started")
        eventually(lambda: len(pids(server)) == 3, "there is a third")
        assert get(server, "/who")


def test_sigterm_drains_all_workers(folder):
    with two_workers(folder) as server, contextlib.ExitStack() as stack:
        inside = [stack.enter_context(enter(server)) for _ in range(6)]
        for websocket in inside:
            websocket.recv(timeout=RUN_S)

        server.process.send_signal(signal.SIGTERM)

        assert [close_code(websocket) for websocket in inside] == [1001] * 6
        assert server.process.wait(RUN_S) == 0
        assert server.log.count("left with 1001") == 6
        assert not [pid for pid in pids(server) if is_alive(pid)]


def test_signals_that_come_to_all_processes_stop_them_gracefully(folder):
    """As ^C on a terminal, and systemd's default."""
    with two_workers(folder) as server, enter(server) as websocket:
        websocket.recv(timeout=RUN_S)

        os.killpg(server.pid, signal.SIGINT)

        assert close_code(websocket) == 1001
        assert server.process.wait(RUN_S) == 0
        server.wait_for_log("left with 1001")


def test_sighup_brings_in_new_code_and_refuses_nobody(folder):
    with two_workers(folder) as server, enter(server) as websocket:
        websocket.recv(timeout=RUN_S)
        first = pids(server)
        (folder / "wsgi.py").write_text(APP.replace('"one"', '"the second"'))

        server.process.send_signal(signal.SIGHUP)
        versions = []
        while any(map(is_alive, first)):
            versions.append("second" in get(server, "/who"))

        assert close_code(websocket) == 1001
        assert versions[0] is False
        assert len(pids(server)) == 4
        assert all("the second" in get(server, "/who") for _ in range(5))


def test_sighup_with_code_that_can_not_be_loaded_changes_nothing(folder):
    with two_workers(folder) as server, enter(server) as websocket:
        websocket.recv(timeout=RUN_S)
        (folder / "wsgi.py").write_text("1 / 0\n")

        server.process.send_signal(signal.SIGHUP)

        server.wait_for_log(
            "ended with exit code 1 before it served, so the others go on with what they have"
        )
        assert "ZeroDivisionError" in server.log
        assert '"version":"one"' in get(server, "/who")
        assert websocket.ping().wait(RUN_S)
        assert all(map(is_alive, pids(server)))


SLOW = "import os, time\nprint('begun in', os.getpid(), flush=True)\ntime.sleep(60)\n"


def test_a_second_sighup_begins_anew_with_the_newest_code(folder):
    with two_workers(folder) as server:
        first = pids(server)
        (folder / "wsgi.py").write_text(SLOW)
        server.process.send_signal(signal.SIGHUP)
        too_old = int(server.wait_for_log(r"begun in (\d+)")[1])
        (folder / "wsgi.py").write_text(APP.replace('"one"', '"the newest"'))

        server.process.send_signal(signal.SIGHUP)

        eventually(lambda: not any(map(is_alive, [*first, too_old])), "the old ones have gone")
        eventually(lambda: len(pids(server)) == 4, "there are two new ones")
        assert all("the newest" in get(server, "/who") for _ in range(5))
        assert "ended with exit code" not in server.log


def test_a_worker_that_dies_while_its_successor_loads_is_succeeded_by_it(folder):
    gate = folder / "gate"
    held = (
        "import os, pathlib, time\nprint('begun in', os.getpid(), flush=True)\ngate = "
        f"pathlib.Path({str(gate)!r})\n"
    )
    held += "while not gate.exists():\n    time.sleep(0.01)\n"
    with two_workers(folder) as server:
        first = pids(server)
        (folder / "wsgi.py").write_text(held + APP)
        server.process.send_signal(signal.SIGHUP)
        server.wait_for_log("begun in")
        for dead in first:
            os.kill(dead, signal.SIGKILL)
            server.wait_for_log(rf"worker {dead} ended by SIGKILL, another one is started")

        gate.touch()

        eventually(lambda: len(pids(server)) == 4, "there are two new ones")
        assert get(server, "/who")
        assert server.log.count("begun in") == 2


def test_an_order_to_a_worker_that_has_ended_is_lost(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        worker = Worker(lambda option: [sys.executable, "-c", "pass"], listener)
    worker.wait()

    worker.order(b"stop")

    assert worker.look() == 0


def test_code_that_can_not_be_loaded_at_first_ends_it(folder):
    (folder / "wsgi.py").write_text("1 / 0\n")

    done = run(folder, "serve", "--port", "0", "--workers", "2")

    assert done.returncode == 1
    assert done.stdout == ""
    assert re.fullmatch(
        r"tina4-wsgi: worker \d+ ended with exit code 1 before it served",
        done.stderr.splitlines()[-1],
    )


def test_a_second_signal_ends_all_at_once(folder, monkeypatch):
    monkeypatch.setenv("TINA4_WS_DRAIN_TIMEOUT_S", str(NEVER_S))

    with two_workers(folder) as server, socket.create_connection(server.address, RUN_S) as client:
        client.sendall(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
        server.wait_for_log("held")
        server.process.send_signal(signal.SIGTERM)
        eventually(lambda: sum(map(is_alive, pids(server))) == 1, "the idle one has gone")
        server.process.send_signal(signal.SIGTERM)

        assert server.process.wait(RUN_S) == 143
        assert not [pid for pid in pids(server) if is_alive(pid)]


def test_a_worker_that_hangs_is_killed(folder, monkeypatch):
    monkeypatch.setenv("TINA4_WS_DRAIN_TIMEOUT_S", "0")
    (folder / "wsgi.py").write_text(APP.replace("(1.0)", "(60.0)"))

    with two_workers(folder) as server, socket.create_connection(server.address, RUN_S) as client:
        client.sendall(b"GET /block HTTP/1.1\r\nHost: a\r\n\r\n")
        server.wait_for_log("blocked")
        server.process.send_signal(signal.SIGTERM)

        assert server.process.wait(RUN_S) == 0
        assert not [pid for pid in pids(server) if is_alive(pid)]


def test_workers_stop_when_the_process_above_them_is_killed(folder):
    with serving(folder, None, "--workers", "2") as server:
        with enter(server) as websocket:
            websocket.recv(timeout=RUN_S)
            server.process.kill()

            assert close_code(websocket) == 1001
        eventually(lambda: not any(map(is_alive, pids(server))), "they are gone")
        assert "the supervising process is gone" in server.log


def test_a_unix_socket_is_served_by_all_and_removed_at_the_end(tmp_path):
    (tmp_path / "wsgi.py").write_text(HELLO)
    path = tmp_path / "web.sock"

    with launched(tmp_path, "--workers", "2", "--bind", f"unix:{path}") as (process, banner):
        assert ask_unix_socket(path).endswith(b"hello")

    assert banner[1:] == [f"HTTP and WebSocket server running at unix:{path}", "2 workers"]
    assert process.returncode == 0
    assert not path.exists()


def test_a_broadcast_reaches_the_clients_of_all_workers(folder):
    with two_workers(folder) as server, contextlib.ExitStack() as stack:
        inside, homes = [], set()
        while len(homes) < 2:
            inside.append(stack.enter_context(enter(server)))
            homes.add(inside[-1].recv(timeout=RUN_S))

        get(server, "/tell")

        assert [websocket.recv(timeout=RUN_S) for websocket in inside] == ["to everybody"] * len(
            inside
        )
        assert "broadcasts reach the clients of one worker only" not in server.log


def test_workers_without_anything_between_them_are_warned_of(folder, monkeypatch):
    monkeypatch.setenv("TINA4_WS_BACKPLANE", "none")

    with two_workers(folder) as server:
        server.wait_for_log(
            'broadcasts reach the clients of one worker only, for the backplane is "none"; '
        )


def test_a_port_that_is_taken_is_said_once(folder):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        done = run(folder, "serve", "--workers", "2", "--port", str(port))

    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"tina4-wsgi: port {port} on 127.0.0.1 is already in use; "
        "stop the program that listens there, or choose another port with --port"
    ]
