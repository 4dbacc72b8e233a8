"""A worker's life under gunicorn: what it serves, how it is replaced, and how it stops."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from tests.support import servers
from tests.support.front_worker import WORKER, ask, asked, serving
from tests.support.raw import CLOSE, RawClient
from tests.support.workers import one_on_each

# Earlier, a worker of gunicorn may miss a signal.
LISTENS_TO_SIGNALS = """
def post_worker_init(worker):
    print("is ready", flush=True)
"""
BOOTED = r"Booting worker with pid: (\d+)"


def wait_until(is_so):
    give_up_at = time.monotonic() + servers.READY_S
    while not is_so():
        assert time.monotonic() < give_up_at
        time.sleep(servers.POLL_S)


def test_it_serves_http_and_websockets_on_all_its_listeners(tmp_path):
    with serving(tmp_path, "--bind", f"unix:{tmp_path}/web.sock") as server:
        assert asked(server)[1] == "hello"
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(servers.READY_S)
            sock.connect(f"{tmp_path}/web.sock")
            assert ask(RawClient(sock))[1] == "hello"
        with RawClient.open(server.address, "/ws/red") as client:
            client.read_text()
            client.send_text("hi")
            assert client.read_text() == "hi"

    assert "Worker graceful timeout" not in server.log


def test_a_broadcast_reaches_the_clients_of_all_workers(tmp_path):
    with serving(tmp_path, "-w", "2") as server, contextlib.ExitStack() as opened:
        clients = one_on_each(2, lambda: RawClient.open(server.address, "/ws/red"), opened)
        first, second = clients.values()

        first.send_text("all")

        assert [first.read_text(), second.read_text()] == ["to all", "to all"]
        server.end()


@pytest.mark.parametrize("preloads", [(), ("--preload",)])
def test_sigterm_closes_websockets_with_1001_and_lets_requests_and_callbacks_finish(
    tmp_path, preloads
):
    with (
        serving(tmp_path, *preloads) as server,
        RawClient.dial(server.address) as asker,
        RawClient.open(server.address, "/ws/red") as client,
    ):
        client.read_text()
        asker.send_bytes(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        server.wait_for_log("slow has begun")

        server.process.send_signal(signal.SIGTERM)

        assert client.read_close() == 1001
        client.send_frame(CLOSE, b"\x03\xe9")
        head = asker.read_head()
        assert (head.status, head.headers["connection"]) == (200, "close")
        assert asker.read_to_end() == b"done"
        assert server.stop() == 0

    assert "left with 1001" in server.log
    assert "Worker graceful timeout" not in server.log


def test_a_connection_that_was_accepted_still_gets_its_first_request(tmp_path):
    with serving(tmp_path) as server, RawClient.dial(server.address) as client:
        # Whoever is answered came later, so the first connection is accepted by now.
        asked(server)
        server.process.send_signal(signal.SIGTERM)
        server.wait_for_log("Handling signal: term")

        head, body = ask(client)

        assert (head.status, body) == (200, "hello")


def test_no_request_is_lost_when_workers_are_replaced(tmp_path):
    with serving(tmp_path, "-w", "2", conf=LISTENS_TO_SIGNALS) as server:
        lost, heard, is_over = [], set(), threading.Event()

        def keep_asking(is_kept):
            while not is_over.is_set():
                try:
                    with RawClient.dial(server.address) as client:
                        ask_on(client, is_kept)
                except OSError as exc:
                    lost.append(exc)

        def ask_on(client, is_kept):
            while not is_over.is_set():
                head, body = ask(client, "/pid")
                heard.add(body)
                if not is_kept or head.headers.get("connection") == "close":
                    break

        askers = [threading.Thread(target=keep_asking, args=(is_kept,)) for is_kept in (0, 1)]
        server.wait_for_log(r"(?s)(is ready.*){2}")
        for asker in askers:
            asker.start()
        try:
            wait_until(lambda: heard)
            for round_ in (1, 2):
                server.process.send_signal(signal.SIGHUP)
                server.wait_for_log(rf"(?s)(Worker exiting.*){{{2 * round_}}}")
                server.wait_for_log(rf"(?s)(is ready.*){{{2 + 2 * round_}}}")
            wait_until(lambda: len(heard) > 1)
        finally:
            is_over.set()
            for asker in askers:
                asker.join()

        assert lost == []


def test_a_worker_ends_after_its_number_of_requests_and_a_new_one_serves(tmp_path):
    with serving(tmp_path, "--max-requests", "3") as server:
        with RawClient.dial(server.address) as client:
            answers = [ask(client, "/pid") for _ in range(3)]

        after = asked(server, "/pid")[1]

        assert len({body for _, body in answers}) == 1
        assert [head.headers.get("connection") for head, _ in answers] == [None, None, "close"]
        assert after != answers[0][1]
        assert "Autorestarting worker after current request." in server.log
        server.end()


def test_what_no_application_was_asked_is_not_counted(tmp_path):
    with serving(tmp_path, "--max-requests", "2") as server:
        for _ in range(3):
            with RawClient.dial(server.address) as client:
                client.send_bytes(b"nonsense\r\n\r\n")
                assert client.read_head().status == 400

        assert "Autorestarting" not in server.log
        server.end()


def test_sigquit_ends_it_at_once_and_websockets_hear_1001(tmp_path):
    with serving(tmp_path) as server, RawClient.open(server.address, "/ws/red") as client:
        client.read_text()

        server.process.send_signal(signal.SIGQUIT)

        assert client.read_close() == 1001
        client.send_frame(CLOSE, b"\x03\xe9")
        server.process.wait(servers.STOP_S)


def test_a_request_that_never_ends_is_cut_within_graceful_timeout(tmp_path):
    conf = """
def post_worker_init(worker):
    import gevent

    def stuck(environ, start_response):
        print("has begun", flush=True)
        gevent.sleep(3600)

    worker.wsgi = stuck
"""
    with (
        serving(tmp_path, "--graceful-timeout", "3", conf=conf) as server,
        RawClient.dial(server.address) as client,
    ):
        client.send_bytes(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        server.wait_for_log("has begun")

        assert server.stop() == 0

    assert "Worker graceful timeout" in server.log
    assert "SIGKILL" not in server.log


def test_sigusr1_has_the_log_reopened(tmp_path):
    log = tmp_path / "access.log"
    with serving(tmp_path, "--access-logfile", str(log)) as server:
        asked(server)
        pid = int(server.wait_for_log(BOOTED)[1])
        log.rename(tmp_path / "access.old")

        os.kill(pid, signal.SIGUSR1)
        while not log.exists():
            asked(server)

        assert '"GET / HTTP/1.1" 200' in (tmp_path / "access.old").read_text()
        server.end()


def test_a_changed_module_brings_a_new_worker(tmp_path):
    with serving(tmp_path, "--reload", "--reload-engine", "poll") as server:
        before = asked(server, "/pid")[1]

        module = tmp_path / "site_of_worker.py"
        os.utime(module, (2**31, 2**31))
        server.wait_for_log("Worker reloading")
        server.wait_for_log(rf"(?s){BOOTED}.*{BOOTED}")

        assert asked(server, "/pid")[1] != before
        server.end()


def test_what_it_cannot_do_keeps_gunicorn_from_starting(tmp_path):
    (tmp_path / "gunicorn.conf.py").write_text("proxy_protocol = True")
    command = [sys.executable, "-m", "gunicorn", "-k", WORKER, "-b", "127.0.0.1:0"]

    done = subprocess.run(
        [*command, *servers.quiet_control(sys.executable), "wsgiref.simple_server:demo_app"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(servers.ROOT)},
        capture_output=True,
        text=True,
        timeout=servers.READY_S,
        check=False,
    )

    assert done.returncode == 1
    what = "the PROXY protocol (proxy_protocol)"
    assert f"{WORKER} doesn't speak {what}; gunicorn -k gevent does" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_it_ignores_is_named_once(tmp_path):
    conf = f"header_map = 'dangerous'\n{LISTENS_TO_SIGNALS}"
    with serving(tmp_path, "-w", "2", conf=conf) as server:
        server.wait_for_log(r"(?s)(is ready.*){2}")

        assert len(re.findall("header_map does nothing under", server.log)) == 1
        server.end()


def test_without_gunicorn_its_import_says_what_to_install():
    code = "import sys; sys.modules['gunicorn'] = None; import tina4_wsgi.worker"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(servers.ROOT)},
        capture_output=True,
        text=True,
        timeout=servers.READY_S,
        check=False,
    )

    assert "pip install 'gunicorn[gevent]'" in done.stderr.splitlines()[-1]


def test_gunicorns_own_doctor_takes_it_for_a_class_that_gives_its_sockets(tmp_path):
    (tmp_path / "wsgi.py").write_text(
        "from gevent import monkey; monkey.patch_all()\nfrom tina4_wsgi import App\napp = App()\n"
    )
    (tmp_path / "gunicorn.conf.py").write_text(f"worker_class = {WORKER!r}\n")

    done = subprocess.run(
        [sys.executable, "-m", "tina4_wsgi", "doctor"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(servers.ROOT)},
        capture_output=True,
        text=True,
        timeout=servers.READY_S,
        check=False,
    )

    assert "worker class" not in done.stdout + done.stderr
