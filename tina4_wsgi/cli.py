"""The command line: `tina4-wsgi serve [module:app]` and `tina4-wsgi publish PATH MESSAGE`.

The only place that patches the standard library and configures logging. Patching comes before everything
of the user's is imported; what is imported above it here must therefore stay free of the modules that
gevent replaces, and that is why some imports are inside functions.
"""

from __future__ import annotations

import argparse
import errno
import logging
import os
import platform
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from . import jsontext
from .config import ENVIRONMENT_PREFIX
from .errors import ConfigError, Tina4Error
from .version import __version__

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from .checks import Finding
    from .server import Server

PROGRAM = "tina4-wsgi"
NAME = "Tina4 WSGI"
DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 7148

MOST_DESCRIPTORS = 65_536  # six times the default cap on connections; more makes some C libraries loop long

_DESCRIPTION = f"""\
Serves a WSGI application, and its WebSocket routes, on one port.

  {PROGRAM} serve                    wsgi:app if there is a wsgi.py here, else the routes in src/
  {PROGRAM} serve shop.wsgi:app      the object `app` of module shop/wsgi.py
  {PROGRAM} serve 'shop:make_app()'  what the function gives
"""

_PUBLISHES = """\
Sends one message to every client on a path: on this machine through the bus, when run as the server's user in its
project folder; through Redis where that is set up. Prints how many processes took it; exit code 1 if none did.
"""

_EPILOG = f"""\
Every limit has a variable of its own, such as {ENVIRONMENT_PREFIX}DRAIN_TIMEOUT_S=10.
^C or SIGTERM stops gracefully: running requests are finished and WebSockets get close code 1001.
A second one stops at once. For several worker processes run gunicorn -k gevent.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and give the exit code.

    Returns:
        0 after a graceful stop; 1 when serving is not possible, with one sentence on stderr why;
        130 when interrupted before it served.
    Raises:
        SystemExit: 2, the arguments are wrong; 0, --help and --version.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    if getattr(arguments, "keyfile", None) and not arguments.certfile:
        parser.error("--keyfile needs --certfile")
    run: Callable[[argparse.Namespace], int] = arguments.run
    try:
        return run(arguments)
    except KeyboardInterrupt:  # before the server handles it: while the application is imported
        return 128 + signal.SIGINT


def serve(arguments: argparse.Namespace) -> int:
    """Serve until a signal; the `serve` command."""
    from gevent import monkey

    monkey.patch_all()  # before anything of the user's
    from .loading import LoadError, load_app

    if arguments.debug:
        os.environ[f"{ENVIRONMENT_PREFIX}DEBUG"] = "1"  # for an App that the user's module makes
    allow_many_descriptors()
    try:
        app = load_app(arguments.app, Path.cwd())
        configure_logging(arguments.log_level)  # behind the user's own, which is left alone
        server = _make_server(app, arguments)
    except LoadError as exc:
        sys.stderr.write(exc.user_traceback)
        return _fail(str(exc))
    except ConfigError as exc:
        return _fail(str(exc))
    except OSError as exc:
        return _fail(f"the certificate {arguments.certfile} can't be used: {exc.strerror or exc}")
    try:
        server.start()
    except OSError as exc:
        return _fail(_why_not_bound(exc, arguments))
    stop_on_signal(server)
    print(banner(server), flush=True)
    server.serve_forever()
    return 0


def doctor(arguments: argparse.Namespace) -> int:
    """Say what is wrong, one line each; the `doctor` command. 1 if anything is fatal."""
    from .doctor import examine, examine_site
    from .loading import LoadError

    try:
        findings: list[Finding] = []
        if arguments.url is None or arguments.app is not None:
            findings += examine(arguments.app, Path.cwd())
        if arguments.url is not None:
            findings += examine_site(arguments.url, arguments.origin)
    except LoadError as exc:
        sys.stderr.write(exc.user_traceback)
        return _fail(str(exc))
    except ConfigError as exc:
        return _fail(str(exc))
    for finding in findings:
        print(finding)
    if not findings:
        print("nothing is wrong")
    return int(any(finding.is_fatal for finding in findings))


def publish(arguments: argparse.Namespace) -> int:
    """Send one message to the clients on a path; the `publish` command."""
    from .publishing import Publisher

    message = sys.stdin.read() if arguments.message == "-" else arguments.message
    try:
        if arguments.json:
            message = jsontext.encode(jsontext.decode(message))
        settings = {"bus_dir": arguments.bus_dir, "backplane_url": arguments.url}
        if arguments.url is not None:
            settings["backplane"] = "redis"
        with Publisher(**settings) as publisher:
            receipt = publisher.publish(arguments.path, message)
    except Tina4Error as exc:
        return _fail(str(exc))
    except ValueError as exc:
        return _fail(f"the message is not JSON: {exc}")
    clients = "" if receipt.clients is None else f", for {receipt.clients} client{'s' * (receipt.clients != 1)}"
    print(f"taken by {receipt.processes} process{'es' * (receipt.processes != 1)}{clients}")
    return 0


def banner(server: Server) -> str:
    """Say where a started server listens."""
    first = f"{NAME} v{__version__}\n"
    if server.unix_path is not None:
        return f"{first}HTTP and WebSocket server running at unix:{server.unix_path}"
    secure = "s" if server.ssl_enabled else ""
    host = f"[{server.address[0]}]" if ":" in server.address[0] else server.address[0]
    return (
        f"{first}HTTP server running at http{secure}://{host}:{server.port}\n"
        f"WebSocket server running at ws{secure}://{host}:{server.port}"
    )


def configure_logging(level: str) -> None:
    """Log to stderr, one line per record; does nothing when the application has set up logging itself."""
    root = logging.getLogger()
    if not root.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(LineFormatter(has_colours=sys.stderr.isatty()))
        root.addHandler(handler)
        root.setLevel(level.upper())


class LineFormatter(logging.Formatter):
    """Lays out a record as time, level, logger and message; the level in colour on a terminal."""

    def __init__(self, *, has_colours: bool) -> None:
        super().__init__("%(asctime)s %(level)s %(name)s: %(message)s", "%Y-%m-%d %H:%M:%S")
        self._has_colours = has_colours

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Lay out the line, without the traceback that may follow it."""
        level = f"{record.levelname:<7}"
        colour = _colour(record.levelno) if self._has_colours else ""
        record.level = f"{colour}{level}\x1b[0m" if colour else level
        return super().formatMessage(record)


def _colour(level: int) -> str:
    if level >= logging.ERROR:
        return "\x1b[31m"  # red
    return "\x1b[33m" if level >= logging.WARNING else ""  # yellow


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(PROGRAM, description="A WSGI framework in which a WebSocket is a route.")
    versions = f"{PROGRAM} {__version__} (Python {platform.python_version()})"
    parser.add_argument("--version", action="version", version=versions)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    command = commands.add_parser(
        "serve",
        help="serve an application",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_serve_options(command)
    command.set_defaults(run=serve)
    command = commands.add_parser("publish", help="send a message to the clients on a path", description=_PUBLISHES)
    _add_publish_options(command)
    command.set_defaults(run=publish)
    _add_doctor(commands)
    return parser


def _add_doctor(commands: Any) -> None:  # Any: argparse's class for it is private
    command = commands.add_parser(
        "doctor",
        help="look for what is often wrong",
        description="Says what is wrong with an app or a running site, one line each with its fix. "
        "The exit code is 1 if anything of it is fatal.",
    )
    command.add_argument("app", nargs="?", metavar="module:app", help="the WSGI application to examine")
    command.add_argument("--url", help="ask a running site for an upgrade: http://127.0.0.1:7148/ws/…")
    command.add_argument("--origin", help="of the page that asks, with --url (default: that of the URL)")
    command.set_defaults(run=doctor, keyfile=None, certfile=None)


def _add_publish_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("path", metavar="PATH", help="as clients connect to it: /ws/news")
    add("message", metavar="MESSAGE", help="a text; - reads it from standard input")
    add("--json", action="store_true", help="see that it is JSON, and send it compact")
    add("--bus-dir", metavar="DIR", help=f"where the server's processes meet ({ENVIRONMENT_PREFIX}BUS_DIR)")
    add("--url", metavar="URL", help=f"go through this Redis; {ENVIRONMENT_PREFIX}BACKPLANE_URL keeps passwords safer")


def _add_serve_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("app", nargs="?", metavar="module:app", help="the WSGI application to serve")
    add("--host", default=DEFAULT_HOST, help="address to listen on (default: %(default)s, this machine only)")
    add("--port", type=_port, default=DEFAULT_PORT, help="port to listen on (default: %(default)s; 0: any)")
    add("--bind", type=_unix_path, metavar="unix:PATH", help="listen on a UNIX socket instead of a port")
    add("--certfile", metavar="PEM", help="certificate chain: speak https and wss")
    add("--keyfile", metavar="PEM", help="its key, if not in the same file")
    add("--debug", action="store_true", help="tracebacks in the browser; on this machine only")
    levels = ("debug", "info", "warning", "error")
    add("--log-level", choices=levels, default="info", help="least level that is logged (default: info)")


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a port from 0 to 65535")
    return int(text)


def _unix_path(text: str) -> str:
    path = text.removeprefix("unix:")
    if path == text or not path:
        raise argparse.ArgumentTypeError(f"{text!r}, expected unix:PATH as in unix:/run/shop.sock")
    return path


def _make_server(app: WSGIApplication, arguments: argparse.Namespace) -> Server:
    from .server import Server

    return Server(
        app,
        arguments.host,
        arguments.port,
        unix_path=arguments.bind,
        certfile=arguments.certfile,
        keyfile=arguments.keyfile,
    )


def stop_on_signal(server: Server) -> None:
    """Stop gracefully on the first SIGINT or SIGTERM, and at once on the second.

    Python's own handlers and not gevent's: these run even while a callback keeps the hub from its turn,
    so that the second signal always works. The wakeup descriptor is for a signal that comes just before the
    hub begins to wait: Python has noted it then, and nothing would make it look.
    """
    import gevent

    loop = gevent.get_hub().loop
    stopping = gevent.Greenlet(_stop, server)
    wakes, signal_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(signal_fd, warn_on_full_buffer=False)
    waker = loop.io(wakes, 1, ref=False)
    waker.start(os.read, wakes, 4_096)

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stopping.started or stopping.ready():
            os._exit(128 + number)
        stopping.start()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)


def _stop(server: Server) -> None:
    limit_s = server.config.drain_timeout_s
    logging.getLogger("tina4_wsgi.server").info("stopping within %g s; signal again to stop at once", limit_s)
    server.stop()


def allow_many_descriptors() -> None:
    """Raise the soft limit on descriptors, often 1 024: each connection takes one."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _why_not_bound(exc: OSError, arguments: argparse.Namespace) -> str:
    if arguments.bind is not None:
        if exc.errno == errno.EADDRINUSE:
            return f"{arguments.bind} is already in use; stop its server, or choose another path with --bind"
        return f"can't listen on {arguments.bind}: {exc.strerror}"
    host, port = arguments.host, arguments.port
    if exc.errno == errno.EADDRINUSE:
        return (
            f"port {port} on {host} is already in use; "
            "stop the program that listens there, or choose another port with --port"
        )
    if exc.errno == errno.EACCES:
        return f"port {port} is not open to this user; choose one of 1024 or above with --port"
    if exc.errno == errno.EADDRNOTAVAIL or isinstance(exc, socket.gaierror):
        return f"{host} is no address of this machine; choose another with --host"
    return f"can't listen on {host}, port {port}: {exc.strerror}"


def _fail(reason: str) -> int:
    sys.stderr.write(f"{PROGRAM}: {reason}\n")
    return 1
