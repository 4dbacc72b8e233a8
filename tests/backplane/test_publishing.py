"""Publishing from outside: what is reported as taken is what clients got."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections import Counter, deque
from pathlib import Path

import pytest

import tina4_wsgi
from tests.backplane.conftest import APPS, ask, environment, settle, spread, wait_for
from tests.support import redis, servers
from tests.support.crowd import Crowd

PATH = "/ws/hall/a"
COUNT = 10_000
CLIENTS = 6


@pytest.fixture
def bus(tmp_path):
    """A bus directory for one test, by way of the variable that servers and publishers read."""
    return {"TINA4_WS_BUS_DIR": str(tmp_path / "bus")}


@pytest.fixture
def server(tmp_path, bus):
    env = environment(max_connections=CLIENTS // 2) | bus
    with servers.gunicorn(
        "hall:app", APPS, tmp_path / "log", "-w", "2", "--graceful-timeout", "5", env=env
    ) as server:
        yield server
        server.end()


@pytest.fixture
def crowd(server):
    with Crowd(server.address) as crowd:
        yield crowd


def run(*command: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run Python in another folder than the server's, and without a warning."""
    return subprocess.run(
        [sys.executable, "-W", "error", *command],
        env={**os.environ, "PYTHONPATH": str(servers.ROOT), **env},
        capture_output=True,
        text=True,
        timeout=25,
        check=False,
    )


def command_line(bus: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return run("-m", "tina4_wsgi", "publish", *arguments, **bus)


def test_one_message_from_a_process_without_gevent(server, crowd, bus):
    members = spread(crowd, server, PATH, 4)

    done = run(str(APPS / "outside.py"), "1", **bus)
    crowd.listen_until(lambda: all(one.texts for one in members), "the message")

    assert done.stderr == ""
    assert json.loads(done.stdout) == [[2, 4]]
    assert all(one.texts == ["number 0"] for one in members)


@pytest.mark.deadline(240)
def test_what_is_reported_as_taken_is_what_clients_got_while_workers_restart(
    server, crowd, bus, tmp_path
):
    result = tmp_path / "result"
    for _ in range(CLIENTS):
        settle(crowd, server, PATH)
    env = {**os.environ, "PYTHONPATH": str(servers.ROOT), **bus}
    with (
        result.open("wb") as output,
        subprocess.Popen(
            [sys.executable, str(APPS / "outside.py"), str(COUNT), str(CLIENTS)],
            env=env,
            stdout=output,
        ) as publisher,
    ):
        try:
            disturbances = deque(
                [(COUNT // 10, "HUP"), (COUNT * 3 // 10, "kill"), (COUNT // 2, "HUP")]
            )
            while publisher.poll() is None:
                hear_for_a_while(crowd, publisher)
                replace_the_gone(crowd, server)
                if disturbances and latest(crowd) >= disturbances[0][0]:
                    disturb(server, disturbances.popleft()[1])
            while len(crowd.members) <= 2 * CLIENTS:  # on a slow machine some are still going
                crowd.listen_until(lambda: leavers(crowd), "a client that is told to go")
                replace_the_gone(crowd, server)
        finally:
            publisher.kill()
    reported = [clients for _, clients in json.loads(result.read_text())]
    crowd.listen_until(lambda: sum(got(crowd).values()) >= sum(reported), "what was reported")
    heard = got(crowd)

    assert not disturbances
    assert len(crowd.members) > 2 * CLIENTS  # they did go, and others came
    assert len(reported) == COUNT
    assert [number for number in range(COUNT) if reported[number] > heard[number]] == []
    more = [number for number in range(COUNT) if reported[number] < heard[number]]
    assert (
        len(more) <= 1
    )  # the one that was on the way when a worker was killed before it could answer
    assert sum(clients == CLIENTS for clients in reported) > COUNT // 2  # mostly all was well
    for member in crowd.members:
        numbers = [int(text.split()[1]) for text in member.texts]
        assert numbers == sorted(set(numbers))  # in order, and never twice


def latest(crowd):
    """The last number that anybody has heard."""
    return max(
        (int(member.texts[-1].split()[1]) for member in crowd.members if member.texts), default=0
    )


def got(crowd):
    """How many clients have heard each number."""
    return Counter(int(text.split()[1]) for member in crowd.members for text in member.texts)


def disturb(server, how):
    if how == "HUP":
        server.process.send_signal(signal.SIGHUP)
    else:
        os.kill(ask(server, "/state/a")["pid"], signal.SIGKILL)


def hear_for_a_while(crowd, publisher):
    """Hear until there is something to do."""
    before = latest(crowd)
    crowd.listen_until(
        lambda: latest(crowd) > before + 100 or publisher.poll() is not None or leavers(crowd),
        "a while",
        100,
    )


def replace_the_gone(crowd, server):
    """Say goodbye to those who are told to go, and let others in for them."""
    for member in leavers(crowd):
        if not member.has_ended:
            crowd.close(member)
        settle(crowd, server, PATH)
        member.name = "gone"


def leavers(crowd):
    return [
        one for one in crowd.members if one.name != "gone" and (one.close_frame or one.has_ended)
    ]


def test_the_command_line_says_how_many_took_it(server, crowd, bus):
    members = spread(crowd, server, PATH, 4)

    done = command_line(bus, PATH + "/", "hello")
    crowd.listen_until(lambda: all(one.texts for one in members), "the message")

    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        "taken by 2 processes, for 4 clients\n",
        "",
    )
    assert all(one.texts == ["hello"] for one in members)


def test_the_command_line_checks_json_and_sends_it_compact(server, crowd, bus):
    (member,) = spread(crowd, server, PATH, 1)

    bad = command_line(bus, PATH, '{"a": 1', "--json")
    good = command_line(bus, PATH, ' {"a": "ä"} ', "--json")
    crowd.listen_until(lambda: member.texts, "the message")

    assert bad.returncode == 1
    assert bad.stderr.startswith("tina4-wsgi: the message is not JSON: ")
    assert good.stdout == "taken by 1 process, for 1 client\n"
    assert member.texts == ['{"a":"ä"}']


def test_a_path_where_nobody_is_is_no_failure(server, crowd, bus):
    spread(crowd, server, PATH, 1)

    done = command_line(bus, "/ws/hall/empty", "hello")

    assert (done.returncode, done.stdout) == (0, "taken by 1 process, for 0 clients\n")


def test_nobody_to_take_it_is_a_failure_that_says_where_was_looked(bus):
    done = command_line(bus, PATH, "hello")

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(
        "tina4-wsgi: nobody took the message: no process with WebSockets is in "
    )
    assert bus["TINA4_WS_BUS_DIR"] in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_folder_that_others_may_enter_is_a_failure(bus):
    Path(bus["TINA4_WS_BUS_DIR"]).mkdir(mode=0o755)

    done = command_line(bus, PATH, "hello")

    assert done.returncode == 1
    assert "has mode 0755, expected 0700" in done.stderr


def test_a_room_is_reached_too(server, crowd, bus):
    inside, outside = spread(crowd, server, PATH, 2)
    inside.send_text("room quiet")
    crowd.listen_until(lambda: inside.texts, "the way in")

    with tina4_wsgi.Publisher(bus_dir=bus["TINA4_WS_BUS_DIR"]) as publisher:
        receipt = publisher.publish_to_room("quiet", b"psst")
    crowd.listen_until(lambda: len(inside.frames) == 2, "the whisper")

    assert receipt.clients == 1
    assert inside.frames[1] == (0x82, b"psst")
    assert outside.texts == []


def test_what_can_not_be_sent_is_refused():
    with pytest.raises(tina4_wsgi.UsageError, match="expected str, bytes, or a list or dict"):
        tina4_wsgi.publish(PATH, 7)
    with pytest.raises(tina4_wsgi.BackplaneError, match="backplane is 'none'"):
        tina4_wsgi.publish(PATH, "hello", backplane="none")
    with pytest.raises(tina4_wsgi.ConfigError, match="unknown app setting 'colour'"):
        tina4_wsgi.publish(PATH, "hello", colour="red")


# -- through Redis


def test_redis_carries_it_and_counts_who_took_it(tmp_path, tmp_path_factory):
    with redis.running(tmp_path_factory.mktemp("redis"), "--requirepass", "s3/cret") as broker:
        settings = {
            "backplane": "redis",
            "backplane_url": f"redis://:s3%2Fcret@127.0.0.1:{broker.port}",
        }
        variables = environment(**settings)
        with pytest.raises(
            tina4_wsgi.BackplaneError, match="no process with WebSockets is subscribed"
        ):
            tina4_wsgi.publish(PATH, "hello", **settings)
        with (
            servers.gunicorn(
                "hall:app", APPS, tmp_path / "log", "-w", "1", env=variables
            ) as server,
            Crowd(server.address) as crowd,
        ):
            member = settle(crowd, server, PATH)
            taken = tina4_wsgi.publish(PATH, "hello", **settings)
            elsewhere = tina4_wsgi.publish("/ws/hall/b", "hello", **settings)
            line = run("-m", "tina4_wsgi", "publish", PATH, "again", **variables)
            crowd.listen_until(lambda: len(member.texts) == 2, "both messages")
            server.end()

    assert (taken, elsewhere) == ((1, None), (1, 0))
    assert line.stdout == "taken by 1 process\n"
    assert member.texts == ["hello", "again"]


def test_a_redis_that_is_not_there_is_a_failure_without_the_password(tmp_path):
    done = run(
        "-m", "tina4_wsgi", "publish", PATH, "hello", "--url", "redis://ada:s3cret@127.0.0.1:1"
    )

    assert done.returncode == 1
    assert done.stderr.startswith(
        "tina4-wsgi: redis can't be reached: ConnectionError: Error 111 connecting to "
    )
    assert "s3cret" not in done.stderr


@pytest.mark.parametrize(
    "url",
    ["redis://:s3/cret@127.0.0.1:6379", "http://:s3/cret@localhost", "redis://:s3/cret@[::1", ""],
)
def test_a_url_that_can_not_be_read_is_a_failure_without_the_password(url):
    done = run(
        "-m",
        "tina4_wsgi",
        "publish",
        PATH,
        "hello",
        TINA4_WS_BACKPLANE="redis",
        TINA4_WS_BACKPLANE_URL=url,
    )

    assert done.returncode == 1
    assert done.stderr.startswith("tina4-wsgi: backplane_url")
    assert "expected" in done.stderr
    assert "s3" not in done.stderr


def test_a_message_is_acknowledged_by_a_worker_that_is_busy_elsewhere(server, crowd, bus):
    spread(crowd, server, PATH, CLIENTS)

    with tina4_wsgi.Publisher(bus_dir=bus["TINA4_WS_BUS_DIR"]) as publisher:
        receipts = [publisher.publish(PATH, str(number)) for number in range(100)]

    assert set(receipts) == {(2, CLIENTS)}
    wait_for(lambda: ask(server, "/state/a")["count"] == CLIENTS, "all are still there")


@pytest.fixture(scope="module", params=["bus", "redis"])
def way(request, tmp_path_factory):
    """A server that clients of the module share, and the variables of those who publish to it."""
    folder = tmp_path_factory.mktemp(request.param)
    with contextlib.ExitStack() as opened:
        if request.param == "bus":
            env = {"TINA4_WS_BUS_DIR": str(folder / "bus")}
        else:
            broker = opened.enter_context(redis.running(folder))
            env = {"TINA4_WS_BACKPLANE": "redis", "TINA4_WS_BACKPLANE_URL": broker.url}
        server = opened.enter_context(
            servers.gunicorn("hall:app", APPS, folder / "log", "-w", "1", env=environment() | env)
        )
        yield server, env
        server.end()


@pytest.mark.parametrize(
    "how",
    [
        "fork",
        "patched fork",
        "twice",
        "threads",
        "closing",
        "multiprocessing",
        "spawn",
        "forkserver",
    ],
)
def test_a_publisher_may_be_used_in_the_children_of_its_process(way, how):
    server, env = way
    with Crowd(server.address) as crowd:
        (member,) = spread(crowd, server, PATH, 1)
        done = run(str(APPS / "forked_publisher.py"), how, **env)

        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == "1\n"
        said = [
            "before",
            *(f"{child}-{number}" for child in range(3) for number in range(10)),
            "after",
        ]
        crowd.listen_until(lambda: len(member.texts) >= len(said), "all of it")
        assert sorted(member.texts) == sorted(said)
        for child in range(3):
            ours = [text for text in member.texts if text.startswith(f"{child}-")]
            assert ours == [f"{child}-{number}" for number in range(10)]
