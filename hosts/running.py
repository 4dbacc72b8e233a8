"""One host server, running with the site in one of its variations, and how to talk to it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import socket
import ssl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support import servers
from tests.support.raw import ANSWER_S, GUID, Head, RawClient, request_head

from .host import Host

ROOT = servers.ROOT
SITE = Path(__file__).with_name("site")
CERTIFICATE = ROOT / "tests" / "server" / "localhost.pem"
GRACE_S = 8  # gunicorn's, well over the drain time below
ENVIRON = {
    "PYTHONPATH": os.pathsep.join([str(ROOT), str(SITE)]),
    "TINA4_WS_DRAIN_TIMEOUT_S": "5",
}
# What old gunicorns warn about is theirs; an error of ours is looked for in the log.
QUIET = ("-W", "ignore")
UWSGI_ADDRESS = r"bound to TCP address 127\.0\.0\.1:(\d+)"
UWSGI_IS_READY = r"spawned uWSGI worker 1 "


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, as far as a check cares."""

    status: int
    headers: Mapping[str, str]
    body: str


class Running:
    """A started server.

    Attributes:
        host: which kind it is.
        server: its process.
        unix_path: where it listens, if not on a port.
        has_tls: whether it speaks TLS.
    """

    def __init__(
        self, host: Host, server: servers.Server, unix_path: Path | None, has_tls: bool
    ) -> None:
        self.host = host
        self.server = server
        self.unix_path = unix_path
        self.has_tls = has_tls

    def dial(self) -> RawClient:
        """Connect, without a handshake of WebSocket's."""
        if self.unix_path is not None:
            wire = socket.socket(socket.AF_UNIX)
            wire.settimeout(ANSWER_S)
            wire.connect(str(self.unix_path))
            return RawClient(wire)
        wire = socket.create_connection(self.server.address, ANSWER_S)
        if not self.has_tls:
            return RawClient(wire)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(CERTIFICATE)
        return RawClient(context.wrap_socket(wire, server_hostname="localhost"))

    def ask(
        self, path: str, fields: Iterable[tuple[str, str]] = (), early: bytes = b""
    ) -> tuple[RawClient, Head]:
        """Connect and ask for an upgrade, with `early` in the same segment; a 101 must be a correct
        one.
        """
        client = self.dial()
        try:
            key = base64.b64encode(os.urandom(16)).decode()
            client.send_bytes(request_head(path, "localhost", key, fields) + early)
            head = client.read_head()
            if head.status == 101:
                accept = base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()
                assert head.headers.get("sec-websocket-accept") == accept, f"wrong accept: {head}"
                forbidden = {"transfer-encoding", "content-length"} & set(head.headers)
                assert not forbidden, f"a 101 with {forbidden} (RFC 9110 §15.2)"
        except BaseException:
            client.close()
            raise
        return client, head

    @contextlib.contextmanager
    def open(
        self, path: str, fields: Iterable[tuple[str, str]] = (), early: bytes = b""
    ) -> Iterator[RawClient]:
        """Open a WebSocket for the length of a block."""
        client, head = self.ask(path, fields, early)
        with client:
            assert head.status == 101, f"{path} was answered {head.status}"
            yield client

    def request(self, method: str, path: str, body: str = "") -> Answer:
        """Make one HTTP request on a connection of its own."""
        with self.dial() as client:
            head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            client.send_bytes(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
            answer = client.read_head()
            rest = client.read_to_end()
            if "content-length" in answer.headers:
                assert len(rest) == int(answer.headers["content-length"]), (
                    f"{len(rest)} bytes came, {answer}"
                )
            return Answer(answer.status, answer.headers, rest.decode())


@contextlib.contextmanager
def running(
    host: Host,
    python: Path,
    folder: Path,
    *options: str,
    has_tls: bool = False,
    on_unix: bool = False,
    app: str = "site_app:app",
) -> Iterator[Running]:
    """Run a host with the site until the block ends; how it ends is for a check to look at.

    Args:
        python: the interpreter of its environment.
        folder: where its log and its socket go.
        options: of gunicorn or uWSGI.
    Raises:
        AssertionError: it doesn't start, or its log has a traceback.
    """
    unix_path = folder / "web.sock" if on_unix else None
    command = _command(
        host, python, unix_path, [*options, *(["--certfile", str(CERTIFICATE)] if has_tls else [])]
    )
    log_path = folder / "log"
    process = servers.start([*command, app], folder, log_path, ENVIRON)
    address = UWSGI_ADDRESS if host.is_uwsgi else servers.ADDRESS.pattern
    server = servers.Server(process, (servers.LOOPBACK, 0), log_path)
    try:
        if unix_path is not None:
            server.wait_for_log(r"unix:/\S+|bound to UNIX address")
        else:
            server.address = (servers.LOOPBACK, int(server.wait_for_log(address)[1]))
        if host.has_workers:
            server.wait_for_log("Booting worker" if host.is_gunicorn else UWSGI_IS_READY)
        yield Running(host, server, unix_path, has_tls)
        assert "Traceback" not in server.log, f"a traceback in its log:\n{server.log}"
    finally:
        server.kill()


def _command(host: Host, python: Path, unix_path: Path | None, options: Sequence[str]) -> list[str]:
    base = [str(python), *QUIET, "-m"]
    if host.is_gunicorn:
        bind = f"{servers.LOOPBACK}:0" if unix_path is None else f"unix:{unix_path}"
        quiet = servers.quiet_control(str(python))
        more = ["--graceful-timeout", str(GRACE_S), "--access-logfile", "-"]
        return [*base, "gunicorn", "-k", host.worker_class, "--bind", bind, *quiet, *more, *options]
    if host.is_uwsgi:
        place = f"{servers.LOOPBACK}:0" if unix_path is None else str(unix_path)
        loaded = [option for option in options if option != "--preload"]  # as it does anyway
        program = [str(python.with_name("uwsgi")), "--http-socket", place, "--master"]
        program += ["--die-on-term", "--min-worker-lifetime", "0"]  # for `max_requests`, at once
        return [*program, *host.uwsgi_options, *loaded, "--module"]
    if host.key == "own":
        bound = ["--port", "0"] if unix_path is None else ["--bind", f"unix:{unix_path}"]
        return [*base, "tina4_wsgi", "serve", *bound, *options]
    bound = [] if unix_path is None else ["--unix", str(unix_path)]
    return [*base, "hosts.plain_server", host.key, *bound, *options]
