"""`tina4-wsgi serve`: serves in this process, or in others below it.

A process that serves patches the standard library before it imports anything of the user's. So the
imports at the top of this module must stay free of gevent and of modules that import it, and those
are imported inside functions.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import socket
import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import ENVIRONMENT_PREFIX, Config, keep_live_token
from ..errors import ConfigError
from ..routing.paths import live_link
from ..server.console import configure_logging
from ..server.listening import DEFAULT_HOST, DEFAULT_PORT, ListenAddress
from ..server.running import allow_many_descriptors, banner, banner_at, stop_on_signal
from ..supervision import orders
from ..supervision.orders import Orders
from .command import PROGRAM, CommandFailed, Subcommand, WrongUsage, add_app

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from ..server.server import Server
    from ..supervision.worker import Worker

MOST_WORKERS = 256

_DESCRIPTION = f"""\
Serves a WSGI application, and its WebSocket routes, on one port.

  {PROGRAM} serve                    wsgi:app if there is a wsgi.py here, else the routes in src/
  {PROGRAM} serve shop.wsgi:app      the object `app` of module shop/wsgi.py
  {PROGRAM} serve 'shop:make_app()'  what the function returns
  {PROGRAM} serve --reload           for development: restarts, and pages reload
  {PROGRAM} serve --workers 4        four processes, one for each core
"""

_EPILOG = f"""\
Every limit has a variable of its own, such as {ENVIRONMENT_PREFIX}DRAIN_TIMEOUT_S=10.

^C or SIGTERM stops gracefully: running requests are finished and WebSockets get close code 1001.
A second one stops at once. With --workers, SIGHUP replaces the workers one after the other.

exit codes:
  0   it served, and was stopped
  1   it can't serve; one sentence says why
  2   wrong usage
  130, 143   it was interrupted before it served, or a second signal stopped it at once
"""

_ONE_PROCESS_EACH = (
    'broadcasts reach the clients of one worker only, for the backplane is "none"; '
    "leave TINA4_WS_BACKPLANE out, or run one worker, if they must reach everybody"
)


def serve(arguments: argparse.Namespace) -> int:
    """Serve until a signal; the `serve` command.

    Raises:
        CommandFailed: the server can't be started.
        WorkerFailed: a worker ended before it served.
    """
    _check(arguments)
    keep_live_token()
    if arguments.inherited is not None:
        return _serve_as_worker(arguments)
    if arguments.reload:
        return _serve_reloading(arguments)
    if arguments.workers > 1:
        return _serve_by_workers(arguments)
    return _serve_alone(arguments)


def _add_options(parser: argparse.ArgumentParser) -> None:
    add_app(parser, "the WSGI application to serve")
    _add_address(parser)
    _add_processes(parser)

    levels = ("debug", "info", "warning", "error")
    parser.add_argument(
        "--log-level",
        choices=levels,
        default="info",
        help="least level that is logged (default: info)",
    )
    # For a worker: the descriptors of its sockets.
    parser.add_argument("--inherited", type=orders.inherited, help=argparse.SUPPRESS)


def _add_address(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--host",
        default=DEFAULT_HOST,
        help="address to listen on (default: %(default)s, this machine only)",
    )
    add(
        "--port",
        type=_port,
        default=DEFAULT_PORT,
        help="port to listen on (default: %(default)s; 0: any)",
    )
    add(
        "--bind",
        type=unix_path,
        metavar="unix:PATH",
        help="listen on a UNIX socket instead of a port",
    )

    add("--certfile", metavar="PEM", help="certificate chain: speak https and wss")
    add("--keyfile", metavar="PEM", help="its key, if not in the same file")
    add(
        "--root-path",
        type=_root_path,
        metavar="PATH",
        help=(
            "the path below which a proxy serves the application, as /shop (default: SCRIPT_NAME, "
            "as for gunicorn)"
        ),
    )


def _add_processes(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--workers", type=_count, default=1, metavar="N", help="processes that serve (default: 1)")

    add(
        "--reload",
        action="store_true",
        help="start again when code changes, and have pages load again",
    )
    add(
        "--reload-dir",
        action="append",
        default=[],
        type=_folder,
        metavar="DIR",
        help="watch this folder, too; may be given several times",
    )
    add(
        "--debug",
        action="store_true",
        help="live page, and tracebacks in the browser, by a link that is printed",
    )


COMMAND = Subcommand("serve", "serve an application", _DESCRIPTION, _add_options, serve, _EPILOG)


def _check(arguments: argparse.Namespace) -> None:
    if arguments.keyfile and not arguments.certfile:
        raise WrongUsage("--keyfile needs --certfile")
    if arguments.reload and arguments.workers > 1:
        raise WrongUsage("--reload is for one process; leave --workers out")
    if arguments.reload_dir and not arguments.reload:
        raise WrongUsage("--reload-dir needs --reload")


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a port from 0 to 65535")
    return int(text)


def unix_path(text: str) -> str:
    """Read "unix:PATH" of a command line."""
    path = text.removeprefix("unix:")
    if path == text or not path:
        raise argparse.ArgumentTypeError(f"{text!r}, expected unix:PATH as in unix:/run/shop.sock")
    return path


def _root_path(text: str) -> str:
    try:
        return Config.from_environ({}, root_path=text).root_path
    except ConfigError as exc:
        raise argparse.ArgumentTypeError(str(exc).removeprefix("root_path=")) from exc


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_WORKERS:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a number from 1 to {MOST_WORKERS}")
    return int(text)


def _folder(text: str) -> Path:
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is no folder")
    return Path(text)


def _place(arguments: argparse.Namespace) -> ListenAddress:
    return ListenAddress(
        arguments.host, arguments.port, arguments.bind, arguments.certfile is not None
    )


def _log_as_asked(arguments: argparse.Namespace) -> None:
    configure_logging(arguments.log_level, shows_process=arguments.workers > 1)


# In the process that serves


def _serve_alone(arguments: argparse.Namespace) -> int:
    server = _make_server(_load(arguments), arguments)
    try:
        server.start()
    except OSError as exc:
        raise CommandFailed(_place(arguments).why_not(exc)) from exc
    stop_on_signal(server)
    print(banner(server), flush=True)
    server.serve_forever()
    return 0


def _serve_as_worker(arguments: argparse.Namespace) -> int:
    listener_fd, orders_fd = arguments.inherited
    os.set_inheritable(listener_fd, False)

    app = _load_or_say_why_not(arguments) if arguments.reload else _load(arguments)
    actions: dict[bytes, Callable[[], None]] = {}
    if arguments.reload:
        from ..supervision.refreshing import Refreshing, leave_own_lines_out, say_restart

        leave_own_lines_out()
        app = refreshing = Refreshing(app)
        actions = {orders.REFRESH: refreshing.refresh, orders.RESTART: say_restart}

    server = _make_server(app, arguments, socket.socket(fileno=listener_fd))
    server.start()
    if not _is_debug(arguments):  # if it is, the process above has printed the link
        _say_links()
    Orders(orders_fd, actions).obey(server)
    server.serve_forever()
    return 0


def _load_or_say_why_not(arguments: argparse.Namespace) -> WSGIApplication:
    """Load the application, or return one that shows why it can't be loaded."""
    from ..server.loading import LoadError

    try:
        return _load(arguments)
    except LoadError as exc:
        from ..monitoring.start_link import StartLink
        from ..supervision.broken import Broken

        sys.stderr.write(exc.user_traceback)
        _log_as_asked(arguments)
        log = logging.getLogger("tina4_wsgi.reload")
        link = StartLink(Config.from_environ(), Path.cwd())
        log.warning("the browser shows this traceback once it has opened %s", link.path)
        log.error("%s; it starts again when a file has changed", exc)
        return Broken(exc, link)


def _is_debug(arguments: argparse.Namespace) -> bool:
    """Return whether the command line or the environment asks for `debug`.

    An application's own code may ask for it, too.
    """
    return arguments.debug or Config.from_environ().debug


def _say_links() -> None:
    from ..app import apps_of_this_process

    for app in apps_of_this_process():
        if app.start_link is not None:
            app.start_link.say()
            return


def _load(arguments: argparse.Namespace) -> WSGIApplication:
    from gevent import monkey

    monkey.patch_all()  # before the user's modules
    from ..server.loading import load_app

    if arguments.debug:
        os.environ[f"{ENVIRONMENT_PREFIX}DEBUG"] = "1"  # for an App that the user's module makes

    allow_many_descriptors()
    app = load_app(arguments.app, Path.cwd())
    _log_as_asked(arguments)  # after the user's own configuration, which has precedence
    _spare_what_is_loaded()
    return app


def _spare_what_is_loaded() -> None:
    """Have the garbage collector never look again at what lives as long as the process.

    Otherwise it goes through all modules whenever enough clients have come.
    """
    gc.collect()
    gc.freeze()


def _make_server(
    app: WSGIApplication, arguments: argparse.Namespace, listener: socket.socket | None = None
) -> Server:
    from ..server.server import Server

    try:
        return Server(
            app,
            arguments.host,
            arguments.port,
            unix_path=arguments.bind if listener is None else None,
            certfile=arguments.certfile,
            keyfile=arguments.keyfile,
            listener=listener,
            is_one_of_many=arguments.workers > 1,
            root_path=arguments.root_path,
        )
    except OSError as exc:
        raise CommandFailed(
            f"the certificate {arguments.certfile} can't be used: {exc.strerror or exc}"
        ) from exc


# In the process above


def _serve_reloading(arguments: argparse.Namespace) -> int:
    from ..supervision.reloader import Reloader
    from ..supervision.watcher import Watcher

    watcher = Watcher([Path.cwd(), *arguments.reload_dir])
    more = "restarting when files change; quit with ^C"
    return _supervise(
        arguments,
        more,
        lambda start, listener, ready: Reloader(start, watcher, listener, ready).run(),
    )


def _serve_by_workers(arguments: argparse.Namespace) -> int:
    from ..supervision.supervisor import Supervisor

    count = arguments.workers
    return _supervise(
        arguments,
        f"{count} workers",
        lambda start, listener, ready: Supervisor(start, count, listener, ready).run(),
    )


Run = Callable[[Callable[[], "Worker"], socket.socket, Callable[[], None]], int]


def _supervise(arguments: argparse.Namespace, more: str, run: Run) -> int:
    """Listen, let `run` keep workers on that socket, and remove a UNIX socket's file at the end."""
    from ..supervision.worker import Worker, command_again

    _log_as_asked(arguments)
    place = _place(arguments)
    try:
        listener = place.listen()
    except OSError as exc:
        raise CommandFailed(place.why_not(exc)) from exc

    address = listener.getsockname()
    if arguments.workers > 1 and Config.from_environ().backplane == "none":
        logging.getLogger("tina4_wsgi.workers").warning(_ONE_PROCESS_EACH)

    def say_ready() -> None:
        config = Config.from_environ()
        root = config.root_path if arguments.root_path is None else arguments.root_path
        link = live_link(config.live_token) if _is_debug(arguments) else ""
        print(f"{banner_at(place, address, root, link)}\n{more}", flush=True)

    try:
        with closing(listener):
            return run(
                lambda: Worker(partial(command_again, arguments.argv), listener),
                listener,
                say_ready,
            )
    finally:
        if place.unix_path is not None:
            Path(place.unix_path).unlink(missing_ok=True)
