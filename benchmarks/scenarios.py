"""What is measured: each scenario is one way to load a server, and the figure that counts there."""

from __future__ import annotations

from dataclasses import dataclass

from .peers import DEFLATE, OURS, OWN, PLAIN, TLS, WITH_A_THREAD_EACH, Peer

SLOW_READER_BYTES = 50_000_000
MISSED = 20
LONG_S = 600.0


@dataclass(frozen=True)
class Scenario:
    """One row of the summary.

    Attributes:
        key: its name on the command line and in results.
        title: what happens, in a few words.
        unit: what the figure counts.
        kind: which function of `measuring` runs it.
        figure: the field of a sample that is compared.
        load: arguments for the load generator.
        without: the same without history, or without marks; where there is one, both are
            measured in turn, and a sample has the ratio, too.
        is_lower_better: of the figure.
        most_rounds: more would only repeat what doesn't vary.
        descriptors: what it needs of one process.
        is_ours_alone: others are measured only when both they and this scenario are named.
        mode: what the connections are besides plain: `TLS` or `DEFLATE`.
        also: servers that are measured here though they are no default ones.
        is_default: measured when `--only` names nothing.
    """

    key: str
    title: str
    unit: str
    kind: str
    figure: str = "per_cpu_s"
    load: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    is_lower_better: bool = False
    most_rounds: int = 1_000
    descriptors: int = 700
    is_ours_alone: bool = False
    mode: str = PLAIN
    also: tuple[str, ...] = ()
    is_default: bool = True

    @property
    def connections(self) -> int:
        """How many there are at a time; 0 where the load doesn't say."""
        return int(self.load[self.load.index("-c") + 1]) if "-c" in self.load else 0

    def takes(self, peer: Peer) -> bool:
        """Say whether a peer offers what this scenario asks for."""
        if self.kind == "http":
            return peer.has_http
        if not peer.has_websocket or self.connections > peer.most_connections:
            return False
        return self.mode == PLAIN or self.mode in peer.modes

    def wants(self, peer: Peer) -> bool:
        """Say whether a peer that can take part does so where nobody names peers."""
        return peer.is_default or peer.key in self.also


def _echo(key: str, title: str, *load: str) -> Scenario:
    return Scenario(
        key,
        title,
        "messages",
        "closed_loop",
        load=("echo", "--path", "/ws/echo", "-c", "100", *load),
    )


def _room(key: str, title: str, *load: str) -> Scenario:
    return Scenario(key, title, "deliveries", "closed_loop", load=("broadcast", *load))


def _idle(key: str, count: int, *, is_default: bool = True) -> Scenario:
    return Scenario(
        key,
        f"{count:,} idle connections",
        "bytes per connection",
        "idle",
        "bytes_per_connection",
        ("idle", "--path", "/ws/echo", "-c", str(count)),
        is_lower_better=True,
        most_rounds=3,
        descriptors=count + 200,
        also=(OWN,),
        is_default=is_default,
    )


def _kept(key: str, title: str, window: str) -> Scenario:
    """A room that keeps history, which only ours has."""
    load, without = (
        ("broadcast", "--path", path, "-c", "200", "--window", window)
        for path in ("/ws/kept/bench", "/ws/chat/bench")
    )
    return Scenario(
        key, title, "deliveries", "closed_loop", load=load, without=without, is_ours_alone=True
    )


MARKED = "/ws/page/bench?tina4=1.bench-client"
"""How our own browser client asks for marks."""


def _coming(key: str, title: str, path: str, *load: str) -> Scenario:
    """Clients that ask for marks, beside plain ones of a path without history."""
    return Scenario(
        key,
        title,
        "server CPU for each",
        "coming",
        "cpu_us",
        ("storm", "--path", path, "--marks", *BEHIND, *load),
        ("storm", "--path", "/ws/echo", *BEHIND, *load),
        is_lower_better=True,
        most_rounds=3,
        descriptors=10_200,
        is_ours_alone=True,
    )


def _held(key: str, title: str, with_it: tuple[str, ...], without: tuple[str, ...]) -> Scenario:
    """Idle connections to a path that keeps history, beside others."""
    return Scenario(
        key,
        title,
        "bytes per connection",
        "idle",
        "bytes_per_connection",
        ("idle", *with_it, "-c", "8000"),
        ("idle", *without, "-c", "8000"),
        is_lower_better=True,
        most_rounds=3,
        descriptors=8_200,
        is_ours_alone=True,
    )


BEHIND = ("--hold", "2")
"""Until everybody has got what it missed, and the server's work for it is counted."""

ONE_BY_ONE = ("-c", "4000", "--connect-window", "1")


def _secret(key: str, title: str, *load: str) -> Scenario:
    """A scenario over TLS 1.3, in which the generator works as hard as the server: few clients."""
    unit = "messages" if load[0] == "echo" else "deliveries"
    return Scenario(
        key, title, unit, "closed_loop", load=(*load, "--tls"), mode=TLS, also=(OWN, "uvicorn")
    )


def _deflated(key: str, title: str, *load: str) -> Scenario:
    unit = "messages" if load[0] == "echo" else "deliveries"
    options = ("--deflate", "--json", "--size", "1024")
    return Scenario(key, title, unit, "closed_loop", load=(*load, *options), mode=DEFLATE)


ROOMS = ("--rooms", "50", "--path-template", "/ws/chat/room{i}")

SCENARIOS: tuple[Scenario, ...] = (
    _echo("echo1", "echo, 64 B, 100 connections, 1 outstanding", "--pipeline", "1"),
    _echo("echo16", "echo, 64 B, 100 connections, 16 outstanding", "--pipeline", "16"),
    _room("room1", "one path of 200, 64 B, 1 broadcast outstanding", "-c", "200", "--window", "1"),
    _room(
        "room32", "one path of 200, 64 B, 32 broadcasts outstanding", "-c", "200", "--window", "32"
    ),
    _room(
        "rooms50",
        "50 rooms of 10, 64 B, 1 broadcast outstanding each",
        "-c",
        "500",
        "--window",
        "1",
        *ROOMS,
    ),
    _echo(
        "big-echo",
        "echo, 32 KiB of text, 100 connections, 1 outstanding",
        "--pipeline",
        "1",
        "--size",
        "32768",
    ),
    _room(
        "big-room",
        "one path of 200, 32 KiB of text, 1 broadcast outstanding",
        "-c",
        "200",
        "--window",
        "1",
        "--size",
        "32768",
    ),
    Scenario(
        "churn",
        "connect, echo, close; 50 at once",
        "connections",
        "closed_loop",
        load=("churn", "--path", "/ws/echo", "-c", "50"),
        also=(OWN,),
    ),
    Scenario(
        "storm10000",
        "10,000 clients come back at once",
        "s of server CPU",
        "storm",
        "cpu_s",
        load=("storm", "--path", "/ws/echo", "-c", "10000"),
        is_lower_better=True,
        most_rounds=3,
        descriptors=10_200,
        also=(OWN,),
    ),
    _secret(
        "wss-echo",
        "echo over TLS, 64 B, 50 connections, 1 outstanding",
        *("echo", "--path", "/ws/echo", "-c", "50", "--pipeline", "1"),
    ),
    _secret(
        "wss-room",
        "one path of 50 over TLS, 64 B, 1 broadcast outstanding",
        *("broadcast", "-c", "50", "--window", "1"),
    ),
    _deflated(
        "deflate-echo",
        "echo, 1 KiB of JSON, compressed, 100 connections, 1 outstanding",
        *("echo", "--path", "/ws/echo", "-c", "100", "--pipeline", "1"),
    ),
    _deflated(
        "deflate-room",
        "one path of 200, 1 KiB of JSON, compressed, 1 broadcast outstanding",
        *("broadcast", "-c", "200", "--window", "1"),
    ),
    _idle("idle8000", 8_000),
    _idle("idle10000", 10_000),
    _kept("kept1", "history: a path of 200, 64 B, 1 broadcast outstanding", "1"),
    _kept("kept32", "history: a path of 200, 64 B, 32 broadcasts outstanding", "32"),
    _coming("kept-come", "history and marks: a newcomer", MARKED, *ONE_BY_ONE),
    _coming(
        "kept-back",
        f"history and marks: a client comes back, {MISSED} messages missed",
        MARKED + ".{position}",
        *ONE_BY_ONE,
    ),
    _coming(
        "kept-storm",
        f"the same, 10,000 at once, {MISSED} messages missed by each",
        MARKED + ".{position}",
        *("-c", "10000"),
    ),
    _held(
        "kept-idle",
        "history: 8,000 idle connections of plain clients",
        ("--path", "/ws/page/bench"),
        ("--path", "/ws/echo"),
    ),
    _held(
        "kept-marks",
        "marks: 8,000 idle connections of a path with history",
        ("--path", MARKED, "--marks"),
        ("--path", "/ws/page/bench"),
    ),
    _idle("idle200", WITH_A_THREAD_EACH, is_default=False),
    Scenario(
        "http",
        "HTTP: JSON route with a parameter, 50 keep-alive connections",
        "requests",
        "http",
        also=(OWN,),
    ),
    Scenario(
        "slow-reader",
        "one of 200 never reads while 50 MB are broadcast",
        "µs",
        "slow_reader",
        "p99_us",
        is_lower_better=True,
        is_ours_alone=True,
    ),
    Scenario(
        "crowd",
        "10,000 connections, a broadcast to all every second",
        "µs",
        "crowd",
        "p99_us",
        is_lower_better=True,
        most_rounds=1,
        descriptors=10_200,
        is_ours_alone=True,
    ),
    Scenario(
        "reconnects",
        "1,000 reconnects a second beside a room of 200",
        "µs",
        "reconnects",
        "p99_us",
        is_lower_better=True,
        most_rounds=1,
        descriptors=1_500,
        is_ours_alone=True,
    ),
)

HISTORY = tuple(scenario for scenario in SCENARIOS if scenario.without)

BY_KEY = {scenario.key: scenario for scenario in SCENARIOS}

QUICK_SCENARIOS = ("echo1", "echo16", "room1", "room32", "rooms50", "churn", "idle8000", "http")
QUICK_PEERS = (OURS, "uws", "picows", "websockets", "gevent-websocket", "bare", "falcon")
