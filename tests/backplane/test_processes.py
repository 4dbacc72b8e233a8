"""Processes of every kind on one bus: workers without clients, preloaded ones, scripts, threads,
leavers.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from urllib.parse import quote

import pytest

from tests.backplane.conftest import (
    APPS,
    ask,
    by_worker,
    check_exchange,
    check_nothing_is_doubled,
    environment,
    settle,
    spread,
    wait_for,
)
from tests.support import servers
from tests.support.crowd import Crowd
from tests.support.raw import RawClient, request_head
from tina4_wsgi.config import Config
from tina4_wsgi.errors import ConfigError

PATH = "/ws/hall/a"


@pytest.fixture
def bus(tmp_path):
    return {"TINA4_WS_BUS_DIR": str(tmp_path / "bus")}


def run(program: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a script of its own, beside the servers."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=APPS,
        env={**os.environ, "PYTHONPATH": str(servers.ROOT), **env},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


@pytest.mark.parametrize("option", ["", "--preload"])
def test_two_servers_that_share_a_bus_are_one(tmp_path, bus, option):
    env = environment(max_connections=3) | bus
    options = ["-w", "2", *option.split()]
    with (
        servers.gunicorn("hall:app", APPS, tmp_path / "one", *options, env=env) as one,
        servers.own("hall:app", APPS, tmp_path / "two", env=env) as two,
        Crowd(one.address) as crowd,
    ):
        members = spread(crowd, one, PATH, 6) + spread(crowd, two, PATH, 2)
        check_exchange(crowd, members, [members[0], members[-1]], 100)
        one.end()

    assert len(by_worker(members)) == 3


AS_ADA, AS_BOB = {"auth": {"user": "ada"}}, {"auth": {"user": "bob"}}


@pytest.mark.parametrize(
    ("said", "statuses"),
    [
        ([AS_ADA], {"ada": 401, "bob": 101, "eve": 101}),
        ([AS_ADA | {"code": 4403}, AS_BOB | {"code": 1012}], {"ada": 403, "bob": 503, "eve": 101}),
        ([{"path": "/ws/slow/a", "code": 4401}], {"ada": 401, "bob": 401, "eve": 401}),
        ([AS_ADA | {"path": "/ws/slow/other"}], {"ada": 101, "bob": 101, "eve": 101}),
    ],
)
def test_who_is_sent_away_by_one_process_while_another_still_asks_who_it_is_does_not_get_in(
    tmp_path, bus, said, statuses
):
    env = environment() | bus | {"GATE": str(tmp_path / "gate")}
    (tmp_path / "gate").mkdir()
    with (
        servers.own("hall:app", APPS, tmp_path / "one", env=env) as asking,
        servers.own("hall:app", APPS, tmp_path / "two", env=env) as other,
        Crowd(other.address) as crowd,
        contextlib.ExitStack() as opened,
    ):
        settle(crowd, other, PATH)
        clients = {user: opened.enter_context(RawClient.dial(asking.address)) for user in statuses}
        for user, client in clients.items():
            host = f"127.0.0.1:{asking.address[1]}"
            client.send_bytes(
                request_head(f"/ws/slow/a?user={user}", host, "dGhlIHNhbXBsZSBub25jZQ==")
            )
        wait_for(
            lambda: len(os.listdir(tmp_path / "gate")) == len(clients), "all are being asked about"
        )
        wait_for(lambda: ask(other, "/state/a")["status"]["siblings"] == 1, "the link")

        for whom in said:
            ask(other, f"/disconnect?whom={quote(json.dumps(whom))}")
        (tmp_path / "gate" / "open").touch()

        assert {user: client.read_head().status for user, client in clients.items()} == statuses


def test_a_worker_that_has_no_client_speaks_too(tmp_path, bus):
    with (
        servers.gunicorn(
            "hall:app", APPS, tmp_path / "one", "-w", "1", env=environment() | bus
        ) as one,
        servers.gunicorn(
            "hall:app", APPS, tmp_path / "two", "-w", "1", env=environment() | bus
        ) as two,
        Crowd(one.address) as crowd,
    ):
        member = settle(crowd, one, PATH)
        for _ in range(3):
            ask(two, "/broadcast/news")
        crowd.listen_until(lambda: len(member.texts) == 3, "the news")
        count = ask(two, "/state/a")["count"]
        for server in (one, two):
            server.end()

    assert member.texts == ["news"] * 3
    assert count == 1


def test_a_script_that_imports_the_app_speaks_as_a_guest_and_leaves_nothing(tmp_path, bus):
    with (
        servers.own("hall:app", APPS, tmp_path / "one", env=environment() | bus) as server,
        Crowd(server.address) as crowd,
    ):
        member = settle(crowd, server, PATH)
        done = run("import hall; hall.app.broadcast('/ws/hall/a', 'from a script')", **bus)
        crowd.listen_until(lambda: member.texts, "the message")
        left = os.listdir(bus["TINA4_WS_BUS_DIR"])

    assert (done.returncode, done.stderr) == (0, "")
    assert member.texts == ["from a script"]
    assert len(left) == 1


def test_a_script_that_speaks_where_nobody_serves_says_nothing_and_makes_no_folder(bus):
    done = run(
        "import hall; hall.app.broadcast('/ws/hall/a', 'hello'); "
        "print(hall.app.count('/ws/hall/a'))",
        **bus,
    )

    assert (done.stdout, done.stderr) == ("0\n", "")
    assert not os.path.exists(bus["TINA4_WS_BUS_DIR"])


def test_what_a_native_thread_says_reaches_other_processes(tmp_path, bus):
    env = environment(max_connections=1) | bus
    with (
        servers.gunicorn("hall:app", APPS, tmp_path / "log", "-w", "2", env=env) as server,
        Crowd(server.address) as crowd,
    ):
        here, there = spread(crowd, server, PATH, 2)
        for number in range(3):
            here.send_text(f"from-thread {number}")
        crowd.listen_until(lambda: len(here.texts) == len(there.texts) == 3, "the words")
        server.end()

    assert here.name != there.name
    assert sorted(there.texts) == ["0", "1", "2"]


def test_an_app_that_nobody_uses_doubles_nothing_that_is_said_to_all_apps(tmp_path, bus):
    env = environment(max_connections=1) | bus
    with (
        servers.gunicorn("pair:app", APPS, tmp_path / "log", "-w", "2", env=env) as server,
        Crowd(server.address) as crowd,
    ):
        check_nothing_is_doubled(crowd, server)
        server.end()


A_BLOCKED_HUB = """
import threading, gevent, hall
count = lambda: hall.app.count("/ws/hall/a")
print(gevent.spawn(count).get())
asking = threading.Thread(target=lambda: print(count()))
asking.start()
asking.join()  # no greenlet runs meanwhile
print(gevent.spawn(count).get())
"""


def test_a_thread_that_asks_does_not_wait_for_ever_for_a_hub_that_stands_still(tmp_path, bus):
    with (
        servers.own("hall:app", APPS, tmp_path / "log", env=bus) as server,
        Crowd(server.address) as crowd,
    ):
        settle(crowd, server, "/ws/hall/a")
        done = run(A_BLOCKED_HUB, **bus)

    assert (done.stdout, done.stderr) == ("1\n0\n1\n", "")


def test_two_hubs_of_one_process_and_another_process_are_one(tmp_path, bus):
    env = {**os.environ, "PYTHONPATH": str(servers.ROOT), **bus}
    with (
        (tmp_path / "hubs").open("wb") as log,
        subprocess.Popen([sys.executable, "hubs.py"], cwd=APPS, env=env, stdout=log) as process,
    ):
        try:
            ports = wait_for(
                lambda: re.findall(r":(\d+)\n", (tmp_path / "hubs").read_text())[1:], "two servers"
            )
            assert ports
            both = [int(port) for port in re.findall(r":(\d+)\n", (tmp_path / "hubs").read_text())]
            with (
                servers.own("hall:app", APPS, tmp_path / "own", env=bus) as own,
                Crowd(own.address) as crowd,
            ):
                hubs = [
                    servers.Server(process, ("127.0.0.1", port), tmp_path / "hubs") for port in both
                ]
                members = [settle(crowd, server, PATH) for server in (*hubs, own)]
                check_exchange(crowd, members, members, 50)
                counts = [ask(server, "/state/a")["count"] for server in (*hubs, own)]
        finally:
            process.kill()

    assert counts == [3, 3, 3]


def test_a_farewell_of_a_stopping_worker_reaches_the_others(tmp_path, bus):
    env = environment(max_connections=1) | bus
    with (
        servers.gunicorn("hall:app", APPS, tmp_path / "log", "-w", "2", env=env) as server,
        Crowd(server.address) as crowd,
    ):
        leaver = settle(crowd, server, f"{PATH}?farewell=1")
        stayer = settle(crowd, server, PATH)
        leaver.send_text("pid")
        crowd.listen_until(lambda: leaver.texts, "its worker")
        pid = leaver.texts[0].removeprefix("pid ")

        os.kill(int(pid), signal.SIGTERM)
        crowd.listen_until(lambda: leaver.close_frame, "the goodbye")
        crowd.close(leaver)
        crowd.listen_until(lambda: stayer.texts, "the farewell")
        server.end()

    assert stayer.texts == [f"farewell {pid}"]


def test_without_a_backplane_workers_are_on_their_own(tmp_path, bus):
    env = environment(max_connections=1, backplane="none") | bus
    with (
        servers.gunicorn("hall:app", APPS, tmp_path / "log", "-w", "2", env=env) as server,
        Crowd(server.address) as crowd,
    ):
        here, there = spread(crowd, server, PATH, 2)
        here.send_text("hello")
        there.send_text("pid")
        crowd.listen_until(lambda: here.texts and there.texts, "answers")
        state = ask(server, "/state/a")
        server.end()

    assert there.texts == [f"pid {there.name}"]
    assert (state["count"], state["status"]["kind"]) == (1, "none")
    assert not os.path.exists(bus["TINA4_WS_BUS_DIR"])


def test_a_bus_directory_that_can_not_be_used_is_told_once_and_clients_are_served(tmp_path, bus):
    os.mkdir(bus["TINA4_WS_BUS_DIR"], mode=0o755)
    with (
        servers.own("hall:app", APPS, tmp_path / "log", env=environment() | bus) as server,
        Crowd(server.address) as crowd,
    ):
        first, second = spread(crowd, server, PATH, 2)
        first.send_text("hello")
        crowd.listen_until(lambda: second.texts, "a neighbour's word")
        status = ask(server, "/state/a")["status"]
        log = server.log

    assert log.count("broadcasts stay in this process: bus directory ") == 1
    assert (status["is_up"], "expected 0700" in status["error"]) == (False, True)


def test_redis_without_its_package_is_refused_with_the_command_that_helps():
    program = (
        "import sys; sys.modules['redis'] = None; import tina4_wsgi; tina4_wsgi.publish('/', 'x')"
    )

    done = run(program, TINA4_WS_BACKPLANE="redis")

    assert (
        "BackplaneError: backplane 'redis' needs the package redis: pip install 'tina4-wsgi[redis]'"
        in done.stderr
    )


def test_a_url_with_a_password_is_in_no_message():
    config = Config(backplane="redis", backplane_url="redis://ada:s3cret@localhost")

    with pytest.raises(ConfigError) as raised:
        Config(backplane_url="http://ada:s3cret@localhost")

    assert "s3cret" not in repr(config) + str(raised.value)
