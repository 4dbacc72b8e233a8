"""The scenarios that ask whether a server stays calm: a slow reader, a large crowd, a storm of
reconnects.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import subprocess
from collections.abc import Iterator

from .measuring import Bench, LoadError, Sample, beside, generate, result_of, time_limit
from .peers import is_ours
from .scenarios import LONG_S, SLOW_READER_BYTES, Scenario
from .servers import HOST, Server, request_head
from .watching import Watch, ask_stats

READ_TO_END_S = 10.0

BIG_BYTES = 16_384
BIG_PER_S = 200  # 40,000 deliveries and 650 MB a second: well below what the server can do
ROOM = "/ws/chat/bench"
CROWD = 10_000
CROWD_S = 30.0
SETTLING_S = 3.0
SETTLING_LONG_S = 60.0  # until everybody has been pinged, and has let go of what opening took
STORM_S = 20.0
STORM_LONG_S = 60.0
RECONNECTS_PER_S = 1_000


# -- one that never reads


def slow_reader(bench: Bench, scenario: Scenario, server: Server, *, is_with_one: bool) -> Sample:
    """Broadcast 50 MB in a room of 200, in which one more client reads nothing at all, or not.

    Returns:
        Among others `growth_bytes`, the most that the worker grew, and `slow_close_code`, how the
        server ended the slow one: a close code; 0 if it did not, or only by a reset.
    """
    seconds = SLOW_READER_BYTES / (BIG_BYTES * BIG_PER_S)
    load = [
        "broadcast",
        "--path",
        ROOM,
        "-c",
        "200",
        "--rate",
        str(BIG_PER_S),
        "--size",
        str(BIG_BYTES),
    ]
    command = bench.generator(server, *load, "-d", f"{seconds:.2f}", "--warmup", "0.2")
    with contextlib.ExitStack() as stack:
        deaf = stack.enter_context(_deaf_client(server.port)) if is_with_one else None
        watch = stack.enter_context(Watch(server))
        raw, foreign = beside(bench, server, lambda: generate(command))
        sample = _broadcast_sample(raw, foreign)
        sample["growth_bytes"] = max(watch.memory) - watch.memory[0]
        if deaf is not None:
            sample["slow_close_code"] = _close_code_at_end(deaf) or _code_the_server_saw(server)
    return sample


@contextlib.contextmanager
def _deaf_client(port: int) -> Iterator[socket.socket]:
    client = socket.socket()
    with client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BIG_BYTES)
        client.settimeout(READ_TO_END_S)
        client.connect((HOST, port))
        client.sendall(request_head(ROOM, port, upgrade=True))
        if b" 101 " not in client.recv(20):  # the rest of the head stays where it is
            raise LoadError("the slow reader was not let in")
        yield client


def _close_code_at_end(client: socket.socket) -> int:
    """Read what was not read for so long; give the code of a close frame at its end, else 0."""
    tail = b""
    try:
        while data := client.recv(1 << 20):
            tail = (tail + data)[-130:]
    except OSError:
        return 0
    at = tail.rfind(b"\x88")
    return int(struct.unpack_from("!H", tail, at + 2)[0]) if 0 <= at <= len(tail) - 4 else 0


def _code_the_server_saw(server: Server) -> int:
    """Give the code with which our server says it closed somebody other than normally."""
    if not is_ours(server.peer):
        return 0
    codes = {int(code) for code in ask_stats(server)["closed"] if code != "None"} - {1000}
    return max(codes, default=0)


# -- a crowd


def crowd(bench: Bench, scenario: Scenario, server: Server) -> Sample:
    """Hold 10,000 connections and send one message to all of them each second.

    Returns:
        Among others `lost`, and the growth of memory, descriptors and greenlets between the first
        and the last tenth of the time with everybody connected and settled.
    """
    seconds, settling_s = (LONG_S, SETTLING_LONG_S) if bench.is_long else (CROWD_S, SETTLING_S)
    load = ["broadcast", "--path", ROOM, "-c", str(CROWD), "--rate", "1"]
    command = bench.generator(server, *load, "-d", f"{seconds:g}", "--warmup", f"{settling_s:g}")
    with Watch(server, full_at=CROWD, settling_s=settling_s, ask_every_s=seconds / 5) as watch:
        raw, foreign = beside(bench, server, lambda: generate(command))
    sample = _broadcast_sample(raw, foreign)
    sample |= {"lost": raw["missing"], "deliveries": raw["deliveries"], "seconds": raw["seconds"]}
    sample |= watch.growth()
    return sample


# -- a storm


def reconnects(bench: Bench, scenario: Scenario, server: Server) -> Sample:
    """Let 1,000 clients a second connect, echo and leave, beside a room of 200 with 20 broadcasts a
    second.

    Returns:
        The latency of the room, and `reconnects_per_s` as they were.
    """
    seconds = STORM_LONG_S if bench.is_long else STORM_S
    steady = [
        "broadcast",
        "--path",
        ROOM,
        "-c",
        "200",
        "--rate",
        "20",
        "-d",
        f"{seconds:g}",
        "--warmup",
        "1.5",
    ]
    storm = ["churn", "--path", "/ws/echo", "-c", "1000", "--connect-rate", str(RECONNECTS_PER_S)]
    storm += ["-d", f"{seconds + 1:g}", "--warmup", "0.5"]
    commands = bench.generator(server, *steady), bench.generator(server, *storm)
    both, foreign = beside(bench, server, lambda: _at_once(*commands))
    raw, storm_raw = both["steady"], both["storm"]
    sample = _broadcast_sample(raw, foreign)
    sample["errors"] += storm_raw["errors"] + storm_raw["disconnects"]
    sample |= {
        "reconnects_per_s": storm_raw["conns_per_s"],
        "reconnect_p99_us": storm_raw["lat_us"]["p99"],
    }
    return sample


def _at_once(steady: list[str], storm: list[str]) -> Sample:
    with subprocess.Popen(
        steady, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as traffic:
        try:
            storm_raw = generate(storm)
            output, complaints = traffic.communicate(timeout=time_limit(steady))
        finally:
            traffic.kill()
    return {"steady": result_of(output, complaints), "storm": storm_raw}


def _broadcast_sample(raw: Sample, foreign: dict[str, float]) -> Sample:
    latency = raw["lat_us_all"]
    return {
        "p50_us": latency["p50"],
        "p99_us": latency["p99"],
        "per_s": raw["deliveries_per_s"],
        "server_cpu": raw["server_cpu"],
        **foreign,
        "errors": raw["errors"] + raw["disconnects"],
        "raw": raw,
    }
