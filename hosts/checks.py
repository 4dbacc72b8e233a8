"""What is tried under each host: one function for each column of the table.

A check that returns has seen what its column promises; what it didn't see is an AssertionError or
an OSError.
"""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.raw import CLOSE, TEXT, RawClient, client_frame

from .host import Host
from .running import GRACE_S, Running, running

DEFLATE = ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")
NOISE = ("Error handling request", "Socket error", "StopIteration")
NEW_WORKER_S = 15.0
POLL_S = 0.05


@dataclass(frozen=True)
class Subject:
    """What a check tries: a host in one environment.

    Attributes:
        host: the kind of server.
        python: the interpreter of the environment.
    """

    host: Host
    python: Path

    @contextlib.contextmanager
    def running(
        self, *options: str, has_tls: bool = False, on_unix: bool = False
    ) -> Iterator[Running]:
        """Run it for the length of a block, in a folder of its own."""
        with tempfile.TemporaryDirectory(prefix="hosts-") as name:
            app = "site_app:wrapped" if self.host.has_workers else "site_app:app"
            with running(
                self.host,
                self.python,
                Path(name),
                *options,
                has_tls=has_tls,
                on_unix=on_unix,
                app=app,
            ) as started:
                yield started


# -- on a server that runs


def http(site: Running) -> None:
    """A page; a 404 for what there isn't, and a 426 for a socket that is asked for as a page."""
    answer = site.request("GET", "/hello/ada")
    assert (answer.status, answer.body) == (200, "hello ada"), answer
    statuses = [site.request("GET", path).status for path in ("/nothing", "/ws/echo/red")]
    assert statuses == [404, 426], statuses


def upgrade(site: Running) -> None:
    """A message comes back, without a middleware and with two kinds of one; no more is agreed on
    than the 101 says.
    """
    _try_upgrade(site, "/ws/echo/red")
    for middleware in ("wrapped", "collected"):  # see site_app.wrapped; our own server has none
        _try_upgrade(site, f"/ws/echo/red?{middleware}")
        if site.host.is_uwsgi:
            site.server.wait_for_log(rf"GET /ws/echo/red\?{middleware} => .* \(HTTP/1\.1 101\)")
        elif site.host.is_gunicorn and not site.host.answers_first:  # gevent-websocket logs none
            site.server.wait_for_log(rf""""GET /ws/echo/red\?{middleware} HTTP/1\.1" (b')?101 """)
    assert not any(words in site.server.log for words in NOISE), (
        f"an error in its log:\n{site.server.log}"
    )


def _try_upgrade(site: Running, path: str) -> None:
    offers = (DEFLATE, ("Sec-WebSocket-Protocol", "chat.v2"))
    client, head = site.ask(path, offers)
    with client:
        is_wrapped = "?" in path and site.host.has_workers and not site.host.answers_first
        assert ("x-middleware" in head.headers) == is_wrapped, head
        assert head.status == 101, head
        text = "a" * 5_000  # would be compressed if that was agreed on
        client.send_text(text)
        frame = client.read_frame()
        is_compressed = bool(frame.first & 0x40)
        assert is_compressed == ("sec-websocket-extensions" in head.headers), (
            f"{frame.first:#x} after {head}"
        )
        assert is_compressed or frame.payload.decode() == f"red: {text}"
        say_goodbye(client)


def early_frame(site: Running) -> None:
    """Frames in the segment of the handshake are answered in order."""
    early = client_frame(TEXT, b"one") + client_frame(TEXT, b"two")
    with site.open("/ws/echo/red", early=early) as client:
        client.send_text("three")
        heard = [client.read_text() for _ in range(3)]
        assert heard == ["red: one", "red: two", "red: three"], heard


def refused_early(site: Running) -> None:
    """What is left where the server keeps what was sent behind the handshake: a 400, and an end."""
    for early in (client_frame(TEXT, b"one"), client_frame(TEXT, b"one")[:1], b"\x89\x80\0\0\0\0"):
        client, head = site.ask("/ws/echo/red", early=early)
        with client:
            assert head.status == 400, head
    _try_upgrade(site, "/ws/echo/red")  # which nothing of that reaches


def room(site: Running) -> None:
    """A message reaches everybody on the path and nobody else."""
    with (
        site.open("/ws/room/red") as first,
        site.open("/ws/room/red") as second,
        site.open("/ws/room/blue") as other,
    ):
        first.send_text("hi")
        heard = [client.read_text() for client in (first, second)]
        other.send_text("only blue")
        assert [*heard, other.read_text()] == ["hi", "hi", "only blue"], heard


def push_from_a_view(site: Running) -> None:
    """What an HTTP handler broadcasts arrives."""
    with site.open("/ws/room/news") as client:
        assert site.request("POST", "/push/news", "extra").body == "pushed"
        heard = client.read_text()
        assert heard == "extra", heard


def not_found_before_101(site: Running) -> None:
    """An upgrade of an unknown path is a plain 404."""
    client, head = site.ask("/ws/nowhere")
    with client:
        assert head.status == 404, head


def refused_after_101(site: Running) -> None:
    """What is left where the host answers first: a close frame that says why."""
    client, head = site.ask("/ws/nowhere")
    with client:
        assert head.status == 101, head
        code = client.read_close()
        assert code == 1008, code


# -- on a server of its own


def tls(subject: Subject) -> None:
    """All of the above over TLS, with messages of many records."""
    with subject.running(has_tls=True) as site:
        _try_all(site)
        with site.open("/ws/room/large") as client:
            text = "0123456789" * 6_000
            for _ in range(5):
                client.send_text(text)
            assert all(client.read_text() == text for _ in range(5))


def preload(subject: Subject) -> None:
    """All of the above with the application imported, unpatched, in the master; and a farewell."""
    with subject.running("--preload") as site:
        _try_all(site)
        _expect_farewell(site)


def unix_socket(subject: Subject) -> None:
    """All of the above on a UNIX socket, where clients have no address; and a farewell."""
    with subject.running(on_unix=True) as site:
        _try_all(site)
        _expect_farewell(site)


def sigterm(subject: Subject) -> None:
    """Everybody hears 1001, and the server is gone before its time is up."""
    with subject.running() as site:
        _expect_farewell(site)


def hup(subject: Subject) -> None:
    """Those who are connected hear 1001, and those who come again are served by the new worker."""
    # uWSGI chooses another port when it reloads.
    with (
        subject.running(on_unix=subject.host.is_uwsgi) as site,
        site.open("/ws/room/red") as client,
    ):
        old = site.request("GET", "/pid").body
        if site.host.is_uwsgi:
            site.server.wait_for_log("GET /pid => ")
        site.server.process.send_signal(signal.SIGHUP)
        assert say_goodbye(client, is_first=False) == 1001
        _wait_for_new_worker(site, old)
        upgrade(site)


def max_requests(subject: Subject) -> None:
    """A worker that has had its requests says 1001, and the next one serves."""
    with subject.running("--max-requests", "4") as site, site.open("/ws/room/red") as client:
        old = site.request("GET", "/pid").body
        for _ in range(2):
            site.request("GET", "/pid")
        assert say_goodbye(client, is_first=False) == 1001
        _wait_for_new_worker(site, old)
        _try_upgrade(site, "/ws/echo/red")  # no more: the new worker counts, too


def never_replaced(subject: Subject) -> None:
    """What is left where requests aren't counted: the worker and its connections go on."""
    with subject.running("--max-requests", "2") as site, site.open("/ws/room/red") as client:
        old = site.request("GET", "/pid").body
        for _ in range(4):
            assert site.request("GET", "/pid").body == old
        client.send_text("still here")
        assert client.read_text() == "still here"


Check = Callable[[Running], None]
OwnServerCheck = Callable[[Subject], None]

ON_ONE_SERVER: dict[str, Check] = {
    "HTTP": http,
    "upgrade": upgrade,
    "early frame": early_frame,
    "room": room,
    "push from a view": push_from_a_view,
    "404 before the 101": not_found_before_101,
}
ON_OWN_SERVERS: dict[str, OwnServerCheck] = {
    "TLS": tls,
    "preload": preload,
    "UNIX socket": unix_socket,
    "SIGTERM 1001": sigterm,
    "HUP": hup,
    "max_requests": max_requests,
}
COLUMNS = (*ON_ONE_SERVER, *ON_OWN_SERVERS)


def say_goodbye(client: RawClient, *, is_first: bool = True) -> int:
    """Exchange close frames, then read to the end; gives the server's code."""
    if is_first:
        client.send_close(1000)
    frame = client.read_frame()
    assert frame.opcode == CLOSE, f"expected a close frame, got {frame!r}"
    if not is_first:
        client.send_close(frame.close_code)
    rest = client.read_to_end()
    assert rest == b"", f"{rest!r} behind the close frame"
    return frame.close_code


def _try_all(site: Running) -> None:
    for name, check in ON_ONE_SERVER.items():
        if name == "404 before the 101" and site.host.answers_first:
            check = refused_after_101
        if name == "early frame" and site.host.is_uwsgi:
            check = refused_early
        check(site)


def _expect_farewell(site: Running) -> None:
    with site.open("/ws/room/red") as first, site.open("/ws/echo/blue") as second:
        if site.host.is_uwsgi:  # a worker that runs a request is cut off, without a farewell
            site.server.wait_for_log("GET /ws/echo/blue => ")
        began = time.monotonic()
        site.server.process.send_signal(signal.SIGTERM)
        assert [say_goodbye(client, is_first=False) for client in (first, second)] == [1001, 1001]
        code = site.server.process.wait(GRACE_S)
        # A server that handles no signal ends by it, as it would without WebSockets.
        expected = -signal.SIGTERM if site.host.is_plain else 0
        assert code == expected, f"exit code {code}, expected {expected}"
        assert time.monotonic() - began < GRACE_S, "it waited longer than it had to"


def _wait_for_new_worker(site: Running, old_pid: str) -> None:
    give_up_at = time.monotonic() + NEW_WORKER_S
    while True:
        # Of the worker that is about to go, and of a socket file that isn't there yet.
        with contextlib.suppress(ConnectionError, FileNotFoundError):
            if site.request("GET", "/pid").body != old_pid and not _is_alive(int(old_pid)):
                return
        assert time.monotonic() < give_up_at, f"worker {old_pid} is still there"
        time.sleep(POLL_S)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
