"""Takes one sample: loads one server in one way, and gives what was counted.

Processor time is the base of comparison: it holds on a busy machine, where rates by the clock
don't. A sample is a dictionary of numbers, "errors" among them, with the load generator's own words
under "raw".
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from . import machine
from .machine import Cpus
from .scenarios import Scenario
from .servers import HOST, Server, pinned_command
from .setting_up import Kit

Sample = dict[str, Any]  # Any: numbers, and the generator's JSON

WARM_UP_CONNECTIONS = 10
PATIENCE_MS = "20000"  # a server that takes seconds for a large message is slow, but loses nothing
SLACK_S = 120.0


class LoadError(Exception):
    """The load generator could not measure; the text says why."""


@dataclass(frozen=True)
class Bench:
    """What all samples of a run have in common.

    Attributes:
        seconds: how long one sample is measured, after the warm-up.
        warmup_s: how long the load runs before that.
        is_long: whether the scenarios of minutes take their full time.
    """

    kit: Kit
    cpus: Cpus
    seconds: float = 2.0
    warmup_s: float = 0.7
    is_long: bool = False

    def generator(self, server: Server, *load: str) -> list[str]:
        """The command that loads `server`."""
        pids = [word for pid in server.pids for word in ("--pid", str(pid))]
        speech = ["--socketio"] if server.peer.speaks_socket_io else []
        wsload = [str(self.kit.wsload), *load, "--port", str(server.port), *speech, *pids]
        return pinned_command(self.cpus.load, *wsload)


def closed_loop(bench: Bench, scenario: Scenario, server: Server) -> Sample:
    """Keep so many messages outstanding on each connection, or so many connections in their
    turn.
    """
    timing = (
        "-d",
        f"{bench.seconds:g}",
        "--warmup",
        f"{bench.warmup_s:g}",
        "--stall-ms",
        PATIENCE_MS,
    )
    raw, foreign = beside(
        bench, server, lambda: generate(bench.generator(server, *scenario.load, *timing))
    )
    rate = next(
        raw[name] for name in ("msgs_per_s", "deliveries_per_s", "conns_per_s") if name in raw
    )
    latency = raw.get("lat_us") or raw["lat_us_all"]
    return {
        "per_cpu_s": rate / raw["server_cpu"] if raw["server_cpu"] else 0.0,
        "per_s": rate,
        "p50_us": latency["p50"],
        "p99_us": latency["p99"],
        "server_cpu": raw["server_cpu"],
        "generator_busy": raw["gen_busy"],
        **foreign,
        "errors": raw["errors"] + raw["disconnects"] + _uncompressed(raw),
        "raw": raw,
    }


def _uncompressed(raw: Sample) -> int:
    """Count the messages that came as they are where all were to be compressed."""
    if "compressed" not in raw:
        return 0
    received: int = raw.get("msgs", raw.get("deliveries", 0))
    return max(0, received - int(raw["compressed"]))


def idle(bench: Bench, scenario: Scenario, server: Server) -> Sample:
    """Open connections and leave them alone; a few before make the server load what it loads
    late.
    """
    few = ("-c", str(WARM_UP_CONNECTIONS), "-d", "0.2", "--warmup", "0")
    warm = ("echo", *scenario.load[1:], *few)
    generate(bench.generator(server, *warm))
    command = bench.generator(server, *scenario.load, "--hold", "1")
    raw, foreign = beside(bench, server, lambda: generate(command))
    return {
        "bytes_per_connection": raw["pss_bytes_per_conn"],
        "per_s": raw["connects_per_s"],
        **foreign,
        "errors": raw["errors"] + raw["disconnects"] + raw["sampled"] - raw["alive"],
        "raw": raw,
    }


def storm(bench: Bench, scenario: Scenario, server: Server) -> Sample:
    """Let all clients come back at once, and count what that costs the server.

    Returns:
        Among others `cpu_s`, the seconds of server CPU for all of them, and `slow_connects`: how
        many waited for over 0.9 s, for their turn or since a full accept queue dropped their SYN.
    """
    load = (*scenario.load, "--connect-timeout", "60")
    raw, foreign = beside(bench, server, lambda: generate(bench.generator(server, *load)))
    return {
        "cpu_s": raw["server_cpu_s"],
        "per_s": raw["connects_per_s"],
        "p50_us": raw["connect_us"]["p50"],
        "p99_us": raw["connect_us"]["p99"],
        "slow_connects": raw["slow_connects"],
        "generator_busy": raw["gen_busy"],
        **foreign,
        "errors": raw["errors"]
        + raw["disconnects"]
        + (raw["requested"] - raw["conns"])
        + (raw["sampled"] - raw["alive"]),
        "raw": raw,
    }


def http(bench: Bench, scenario: Scenario, server: Server) -> Sample:
    """Ask for a small JSON document again and again, over connections that stay."""
    wrk(bench, server, bench.warmup_s)
    begun, before = time.monotonic(), machine.cpu_seconds(server.pids)
    raw, foreign = beside(bench, server, lambda: wrk(bench, server, bench.seconds))
    spent = machine.cpu_seconds(server.pids) - before
    return {
        "per_cpu_s": raw["requests"] / spent if spent else 0.0,
        "per_s": raw["per_s"],
        "p50_us": raw["p50_us"],
        "p99_us": raw["p99_us"],
        "server_cpu": spent / (time.monotonic() - begun),
        **foreign,
        "errors": raw["errors"],
        "raw": raw,
    }


def beside(
    bench: Bench, server: Server, work: Callable[[], Sample]
) -> tuple[Sample, dict[str, float]]:
    """Run `work`, and find out which shares of both processors others took meanwhile.

    Returns:
        What `work` returned; `foreign_cpu`, the share of the server's processor that went to
        processes other than the server, and `foreign_load_cpu`, the share of the other processor
        that went to processes other than the load generator and this one.
    """
    begun, before = time.monotonic(), _spent(bench.cpus, server)
    raw = work()
    after, seconds = _spent(bench.cpus, server), time.monotonic() - begun
    foreign = (
        (busy - busy_before) - (own - own_before)
        for (busy_before, own_before), (busy, own) in zip(before, after, strict=True)
    )
    names = ("foreign_cpu", "foreign_load_cpu")
    return raw, {
        name: max(0.0, share / seconds) for name, share in zip(names, foreign, strict=True)
    }


def _spent(cpus: Cpus, server: Server) -> list[tuple[float, float]]:
    """For each of both processors, the time that it was busy, and the time it was for us."""
    return [
        (machine.busy_seconds(cpus.server), machine.cpu_seconds(server.pids)),
        (machine.busy_seconds(cpus.load), machine.own_cpu_seconds()),
    ]


# -- the load generators


def generate(command: Sequence[str]) -> Sample:
    """Run wsload to its end and give its JSON.

    Raises:
        LoadError: it gave none.
    """
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=time_limit(command),
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise LoadError(f"no end after {exc.timeout:g} s") from exc
    return result_of(done.stdout, done.stderr)


def result_of(output: str, complaints: str) -> Sample:
    """Read what wsload printed; errors it counted stay in the JSON, with the first one in its
    words.

    Raises:
        LoadError: it printed no JSON.
    """
    first = next(iter(complaints.strip().splitlines()), "it said nothing")
    if not output.strip():
        raise LoadError(first)
    raw: Sample = json.loads(output)
    if raw["errors"] or raw["disconnects"]:
        raw["first_error"] = first
    return raw


def time_limit(command: Sequence[str]) -> float:
    """Give wsload the time that it was told to take, and then some; it has a watchdog of its
    own.
    """
    asked = sum(
        float(command[at + 1])
        for at, word in enumerate(command)
        if word in ("-d", "--hold", "--warmup")
    )
    return asked + SLACK_S


WRK_LATENCY = re.compile(r"^\s+(50|99)%\s+([\d.]+)(us|ms|s)\b", re.MULTILINE)
WRK_UNIT_US = {"us": 1.0, "ms": 1e3, "s": 1e6}


def wrk(bench: Bench, server: Server, seconds: float) -> Sample:
    """Run wrk for whole seconds and read its report.

    Raises:
        LoadError: it failed.
    """
    duration = f"-d{max(1, round(seconds))}s"
    url = f"http://{HOST}:{server.port}/hello/world"
    command = pinned_command(bench.cpus.load, "wrk", "-t1", "-c50", duration, "--latency", url)
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds + SLACK_S, check=False
    )
    if done.returncode:
        raise LoadError((done.stderr or done.stdout).strip() or "wrk failed")
    return read_wrk(done.stdout)


def read_wrk(report: str) -> Sample:
    """Give the numbers of wrk's report."""
    latency = {
        percent: float(value) * WRK_UNIT_US[unit]
        for percent, value, unit in WRK_LATENCY.findall(report)
    }
    counted = re.search(r"(\d+) requests in ", report)
    rate = re.search(r"^Requests/sec:\s+([\d.]+)", report, re.MULTILINE)
    if counted is None or rate is None or set(latency) != {"50", "99"}:
        raise LoadError(f"wrk said {report!r}")
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", report)
    broken = re.search(
        r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", report
    )
    errors = int(refused[1]) if refused else 0
    errors += sum(int(count) for count in broken.groups()) if broken else 0
    return {
        "requests": int(counted[1]),
        "per_s": float(rate[1]),
        "p50_us": latency["50"],
        "p99_us": latency["99"],
        "errors": errors,
    }
