"""The servers that are compared: what each needs installed, and how it is started.

A server binds port 0 of 127.0.0.1 itself and prints `http://127.0.0.1:PORT`; all offer the same
routes: `/ws/echo`, `/ws/chat/{room}` (to everybody in it, the sender included) and, for HTTP,
`/hello/{name}`. A server learns from its environment what a scenario wants beside the defaults:
`BENCH_TLS` is a PEM file with certificate and key, `BENCH_DEFLATE` asks for permessage-deflate.
One that speaks Socket.IO has them below `SOCKET_IO`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "peers"
ROOT = FOLDER.parents[1]
PROTOTYPE = ROOT.parent / "shared" / "prototype"

CERTIFICATE = ROOT / "tests" / "server" / "localhost.pem"

OURS = "tina4"
OWN = "tina4-own"
WORKER = "tina4-worker"
THREADS = "tina4-gthread"
SYNC = "tina4-sync"
BASE = "uws"  # what the others are compared with
OUR_EXTRAS = "gunicorn"  # as the README says

MANY = ("--worker-connections", "20000")
"""For peers that keep a greenlet of the worker per WebSocket; its default of 1,000 would stop them
there.
"""

A_THREAD_EACH = ("-k", "gthread", "--threads", "210", "--worker-connections", "20000")
"""For peers that keep a thread of the worker per WebSocket: enough for the rooms of 200."""

WITH_A_THREAD_EACH = 200
"""So many connections such a peer is asked to hold."""

SOCKET_IO = "/socket.io/?EIO=4&transport=websocket&path="
"""What a server that speaks Socket.IO is asked for, before the path."""

PLAIN = ""
TLS = "tls"
DEFLATE = "deflate"


@dataclass(frozen=True)
class Peer:
    """One server.

    Attributes:
        key: its name on the command line and in results.
        label: its name in tables.
        language: what its hot path is written in: "Python", "Cython", "JavaScript" or "C++".
        program: "gunicorn", "python" or "node".
        target: a file in peers/, for gunicorn without ".py" and with ":app".
        needs: packages with versions, from PyPI or for node from npm.
        options: for gunicorn, or for our own server: without an access log, as gunicorn.
        has_http, has_websocket: which scenarios it takes part in.
        modes: what its WebSockets can do beside plain ones: `TLS`, `DEFLATE`.
        is_default: measured when `--peers` names nobody; others are where a scenario wants them.
        most_connections: it takes part in no scenario with more.
        speaks_socket_io: its messages are events of Socket.IO, not WebSocket messages alone.
    """

    key: str
    label: str
    language: str
    program: str
    target: str
    needs: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    has_http: bool = False
    has_websocket: bool = True
    modes: tuple[str, ...] = ()
    is_default: bool = True
    most_connections: int = sys.maxsize
    speaks_socket_io: bool = False


def _http(key: str, label: str, *needs: str) -> Peer:
    target = f"http_{key}_app:app"
    return Peer(key, label, "Python", "gunicorn", target, needs, has_http=True, has_websocket=False)


UVLOOP = "uvloop==0.23.0"

PEERS: tuple[Peer, ...] = (
    Peer(
        OURS,
        "tina4_wsgi",
        "Python",
        "gunicorn",
        "tina4_app:app",
        has_http=True,
        modes=(TLS, DEFLATE),
    ),
    Peer(
        OWN,
        "tina4_wsgi serve",
        "Python",
        "tina4",
        "tina4_app:app",
        options=("--log-level", "warning"),
        has_http=True,
        modes=(TLS, DEFLATE),
        is_default=False,
    ),
    Peer(
        WORKER,
        "tina4_wsgi.worker",
        "Python",
        "gunicorn",
        "tina4_app:app",
        options=("-k", "tina4_wsgi.worker.Worker"),
        has_http=True,
        modes=(TLS, DEFLATE),
        is_default=False,
    ),
    Peer(
        THREADS,
        "tina4_wsgi, gthread",
        "Python",
        "gunicorn",
        "tina4_app:app",
        options=("-k", "gthread", "--threads", "4"),
        has_http=True,
        modes=(TLS, DEFLATE),
        is_default=False,
    ),
    Peer(
        SYNC,
        "tina4_wsgi, sync",
        "Python",
        "gunicorn",
        "tina4_app:app",
        options=("-k", "sync"),
        has_http=True,
        modes=(TLS, DEFLATE),
        is_default=False,
    ),
    Peer(
        "prototype",
        "prototype (the floor)",
        "Python",
        "gunicorn",
        "prototype_app:app",
        ("redis>=5",),
    ),
    Peer(
        BASE,
        "uWebSockets",
        "C++",
        "node",
        "uws_server.cjs",
        ("uwebsockets@3.0.6",),
        modes=(TLS, DEFLATE),
    ),
    Peer(
        "picows",
        "picows",
        "Cython",
        "python",
        "picows_server.py",
        ("picows==2.3.1", UVLOOP),
        modes=(TLS,),
    ),
    Peer("ws", "ws", "JavaScript", "node", "ws_server.cjs", ("ws@8.23.0",), modes=(TLS, DEFLATE)),
    Peer(
        "aiohttp",
        "aiohttp",
        "Python",
        "python",
        "aiohttp_server.py",
        ("aiohttp==3.14.5", UVLOOP),
        modes=(TLS, DEFLATE),
    ),
    Peer(
        "websockets",
        "websockets",
        "Python",
        "python",
        "websockets_server.py",
        ("websockets==17.4", UVLOOP),
        modes=(TLS, DEFLATE),
    ),
    Peer(
        "uvicorn",
        "uvicorn",
        "Python",
        "python",
        "uvicorn_server.py",
        ("uvicorn==0.54.0", "websockets==17.4", UVLOOP),
        modes=(TLS,),
        is_default=False,
    ),
    Peer(
        "gevent-websocket",
        "gevent-websocket",
        "Python",
        "python",
        "gevent_websocket_server.py",
        ("gevent-websocket==0.10.1",),
    ),
    Peer(
        "flask-sock",
        "flask-sock",
        "Python",
        "gunicorn",
        "flask_sock_app:app",
        ("flask==3.1.3", "flask-sock==0.7.0"),
        MANY,
    ),
    Peer(
        "flask-sock-gthread",
        "flask-sock, gthread",
        "Python",
        "gunicorn",
        "flask_sock_app:app",
        ("flask==3.1.3", "flask-sock==0.7.0"),
        A_THREAD_EACH,
        is_default=False,
        most_connections=WITH_A_THREAD_EACH,
    ),
    Peer(
        "flask-socketio-gthread",
        "Flask-SocketIO, gthread",
        "Python",
        "gunicorn",
        "flask_socketio_app:app",
        ("flask==3.1.3", "flask-socketio==5.7.0", "simple-websocket==1.1.0"),
        A_THREAD_EACH,
        is_default=False,
        most_connections=WITH_A_THREAD_EACH,
        speaks_socket_io=True,
    ),
    _http("bare", "bare WSGI"),
    _http("falcon", "Falcon", "falcon==4.4.0"),
    _http("bottle", "Bottle", "bottle==0.13.4"),
    _http("flask", "Flask", "flask==3.1.3"),
)

BY_KEY = {peer.key: peer for peer in PEERS}


def is_ours(peer: Peer) -> bool:
    """Say whether a server runs our own app, which can be asked for more than the others."""
    return peer.target.startswith("tina4_app")
