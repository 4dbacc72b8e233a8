"""The load generator speaks TLS, deflate and marks with our server, Socket.IO with its own, and reports
a server that does not.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks import measuring, returning, setting_up
from benchmarks.machine import choose_cpus
from benchmarks.measuring import Bench
from benchmarks.peers import BY_KEY, DEFLATE, FOLDER, OURS, OWN, PLAIN, TLS
from benchmarks.runner import take
from benchmarks.scenarios import BY_KEY as SCENARIO_BY_KEY
from benchmarks.scenarios import HISTORY, MISSED, Scenario
from benchmarks.servers import Server, running
from benchmarks.setting_up import Kit

ROOMS = ("--path-template", "/ws/chat/room{i}")

pytestmark = pytest.mark.optional("the load generator needs libssl-dev and zlib1g-dev")


@pytest.fixture(scope="module")
def bench() -> Bench:
    """What runs very short samples of this checkout."""
    for _, header, _, package in setting_up.LIBRARIES.values():
        if not setting_up.has_header("cc", header):
            pytest.skip(f"{package} is not installed")
    kit = Kit(Path(sys.executable), setting_up.build_wsload(), has_ours_installed=False)
    return Bench(kit, choose_cpus(), seconds=0.2, warmup_s=0.1)


@pytest.fixture
def serve(bench: Bench) -> Iterator[Callable[[str, str], Server]]:
    """Run servers until the test ends."""
    with contextlib.ExitStack() as stack:
        yield lambda key, mode: stack.enter_context(
            running(BY_KEY[key], bench.kit, bench.cpus.server, mode)
        )


def loaded_with(scenario: str, *load: str) -> Scenario:
    """Give a scenario with another load."""
    return dataclasses.replace(SCENARIO_BY_KEY[scenario], load=load)


@pytest.mark.deadline(60)
@pytest.mark.parametrize(
    ("scenario", "peer"),
    [
        ("wss-echo", OWN),
        ("wss-room", OURS),
        ("deflate-echo", OURS),
        ("deflate-room", OWN),
    ],
)
def test_messages_come_and_go_over_tls_and_compressed(bench, serve, scenario, peer):
    how = SCENARIO_BY_KEY[scenario]

    found = measuring.closed_loop(bench, how, serve(peer, how.mode))

    assert found["errors"] == 0
    assert found["per_cpu_s"] > 0
    assert found["foreign_cpu"] >= 0
    assert found["foreign_load_cpu"] >= 0
    if how.mode == DEFLATE:
        assert found["raw"]["compressed"] == found["raw"].get(
            "msgs", found["raw"].get("deliveries")
        )
        assert 100 < found["raw"]["wire_bytes"] < 600


@pytest.mark.deadline(60)
@pytest.mark.parametrize("outstanding", ["1", "8"])
def test_messages_of_many_tls_records_arrive_whole(bench, serve, outstanding):
    load = ["echo", "-c", "3", "-d", "0.3", "--tls", "--verify", "--size", "60000"]

    raw = measuring.generate(bench.generator(serve(OWN, TLS), *load, "--pipeline", outstanding))

    assert raw["errors"] == raw["disconnects"] == 0
    assert raw["msgs"] > 0


@pytest.mark.deadline(60)
def test_compressed_noise_is_checked_byte_by_byte(bench, serve):
    load = ["echo", "-c", "3", "-d", "0.2", "--deflate", "--verify", "--size", "40000"]

    raw = measuring.generate(bench.generator(serve(OWN, DEFLATE), *load))

    assert raw["errors"] == raw["disconnects"] == 0
    assert raw["msgs"] > 0


@pytest.mark.deadline(60)
def test_all_clients_of_a_storm_come_back(bench, serve):
    how = loaded_with("storm10000", *SCENARIO_BY_KEY["storm10000"].load, "-c", "60")

    found = measuring.storm(bench, how, serve(OWN, PLAIN))

    assert found["errors"] == 0
    assert found["raw"]["conns"] == found["raw"]["requested"] == 60
    assert found["cpu_s"] >= 0
    assert found["per_s"] > 0


@pytest.mark.deadline(60)
@pytest.mark.parametrize(
    "load",
    [
        ("echo", "--path", "/ws/echo", "-c", "5", "--pipeline", "8", "--size", "1000"),
        ("broadcast", "-c", "6", "--window", "4", *ROOMS, "--rooms", "2"),
        ("churn", "--path", "/ws/echo", "-c", "3"),
        ("idle", "--path", "/ws/echo", "-c", "5", "--hold", "0.1"),
    ],
    ids=lambda load: load[0],
)
def test_messages_come_and_go_as_events_of_socket_io(bench, serve, load):
    server = serve("flask-socketio-gthread", PLAIN)
    timing = ["-d", "0.3"] if load[0] != "idle" else []

    raw = measuring.generate(bench.generator(server, *load, *timing, "--verify"))

    assert raw["errors"] == raw["foreign"] == 0
    # This peer now and then ends a connection that is being closed without a close frame.
    assert raw["disconnects"] == 0 or load[0] == "churn"
    counted = {"echo": "msgs", "broadcast": "deliveries", "churn": "conns", "idle": "alive"}
    assert raw[counted[load[0]]] > 0


@pytest.mark.deadline(60)
def test_the_pings_of_socket_io_are_answered(bench, serve, tmp_path):
    (tmp_path / "impatient.py").write_text(
        (FOLDER / "flask_socketio_app.py")
        .read_text()
        .replace(
            "async_handlers=False", "async_handlers=False, ping_interval=0.2, ping_timeout=0.2"
        )
    )
    options = ("--pythonpath", str(tmp_path), *BY_KEY["flask-socketio-gthread"].options)
    peer = dataclasses.replace(
        BY_KEY["flask-socketio-gthread"], target="impatient:app", options=options
    )
    with running(peer, bench.kit, bench.cpus.server) as server:
        load = ["idle", "--path", "/ws/echo", "-c", "3", "--hold", "1.5"]
        raw = measuring.generate(bench.generator(server, *load))

    assert raw["errors"] == raw["disconnects"] == 0
    assert raw["held"] == raw["alive"] == 3


@pytest.mark.deadline(60)
def test_a_server_without_socket_io_is_an_error(bench, serve):
    load = ["echo", "-c", "2", "-d", "0.1", "--socketio"]

    raw = measuring.generate(bench.generator(serve(OWN, PLAIN), *load))

    assert raw["errors"] == raw["detail"]["handshake"] == 2


@pytest.mark.deadline(60)
def test_a_server_that_declines_deflate_is_an_error(bench, serve):
    load = ["echo", "-c", "2", "-d", "0.1", "--deflate"]

    raw = measuring.generate(bench.generator(serve(OWN, PLAIN), *load))

    assert raw["errors"] == raw["detail"]["handshake"] == 2
    assert "permessage-deflate was not agreed on" in raw["first_error"]


@pytest.mark.deadline(60)
def test_a_server_without_tls_is_an_error(bench, serve):
    load = ["echo", "-c", "2", "-d", "0.1", "--tls"]

    raw = measuring.generate(bench.generator(serve(OWN, PLAIN), *load))

    assert raw["errors"] == raw["detail"]["connect"] == 2


@pytest.mark.deadline(60)
def test_messages_that_stay_as_they_are_count_as_errors_where_they_should_be_compressed(
    bench, serve
):
    how = loaded_with("deflate-echo", "echo", "-c", "2", "--deflate", "--size", "1000")

    found = measuring.closed_loop(bench, how, serve(OWN, DEFLATE))

    assert found["raw"]["compressed"] == 0  # below deflate_threshold_bytes
    assert found["errors"] == found["raw"]["msgs"] > 0


@pytest.mark.deadline(60)
@pytest.mark.parametrize("scenario", HISTORY, ids=lambda one: one.key)
def test_what_history_costs_is_measured_beside_the_same_without_it(bench, scenario):
    few = ("-c", "20", "--hold", "0.2")
    how = dataclasses.replace(
        scenario, load=(*scenario.load, *few), without=(*scenario.without, *few)
    )

    found = take(bench, how, BY_KEY[OURS])

    assert found["errors"] == 0
    assert {scenario.figure, "without", "ratio"} <= found.keys()


@pytest.mark.deadline(60)
def test_clients_that_come_back_get_what_they_missed_and_others_miss_nothing(bench, serve):
    back, newcomer = (
        returning.coming(
            bench,
            loaded_with(key, *SCENARIO_BY_KEY[key].load, "-c", "20", "--hold", "0.3"),
            serve(OURS, PLAIN),
        )
        for key in ("kept-back", "kept-come")
    )

    assert back["raw"]["kept"] == 20 * MISSED
    assert newcomer["raw"]["kept"] == 0
    assert back["errors"] == newcomer["errors"] == 0


@pytest.mark.deadline(60)
def test_a_client_that_comes_back_behind_a_gap_is_an_error(bench, serve):
    gone = "/ws/page/bench?tina4=1.bench-client.elsewhen.0-1"
    how = loaded_with("kept-back", "storm", "--path", gone, "--marks", "-c", "5", "--hold", "0")

    found = returning.coming(bench, how, serve(OURS, PLAIN))

    assert found["raw"]["gaps"] == 5


@pytest.mark.deadline(60)
def test_a_server_that_does_not_greet_is_an_error(bench, serve):
    load = ["echo", "--path", "/ws/echo", "-c", "2", "-d", "0.1", "--marks"]

    raw = measuring.generate(bench.generator(serve(OWN, PLAIN), *load, "--connect-timeout", "0.3"))

    assert raw["errors"] == 2
