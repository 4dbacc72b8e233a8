"""`manage.py tina4serve [addr:port]`: a development server for projects with WebSocket routes."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import socket
import sys
from argparse import SUPPRESS
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import gevent
from django.apps import apps
from django.conf import settings
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.management.base import BaseCommand, CommandError
from django.core.servers.basehttp import get_internal_wsgi_application
from django.db import connections
from django.utils import autoreload

from tina4_wsgi.app import App
from tina4_wsgi.config import keep_live_token
from tina4_wsgi.contrib.django.bridge import wrap
from tina4_wsgi.contrib.django.databases import PATCH, are_patched_in_time
from tina4_wsgi.contrib.django.reloading import keep_serving, patched_command
from tina4_wsgi.server.console import line_formatter
from tina4_wsgi.server.listening import ListenAddress
from tina4_wsgi.server.running import allow_many_descriptors, banner, stop_on_signal
from tina4_wsgi.server.server import Server
from tina4_wsgi.supervision import orders

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Iterator

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = "8000"  # that of runserver, which this command replaces
CAN_NOT_SERVE = 4

_ADDRESS = re.compile(r"(?:(?P<host>\[[0-9a-fA-F:.]+\]|[\w.-]+):)?(?P<port>\d{1,5})")

_WHY_NOT = {
    errno.EACCES: "this user may not listen on that port, expected one of 1024 or above",
    errno.EADDRINUSE: "it is in use; stop what listens there, or name another port",
    errno.EADDRNOTAVAIL: "that is no address of this machine",
}


class Command(BaseCommand):  # type: ignore[misc]  # Django ships no types
    """Serves pages, static files and WebSockets, and starts again when a file has changed."""

    help = (
        "Starts a web server for development that serves WebSocket routes too, which runserver "
        "can't."
    )
    requires_system_checks: tuple[str, ...] = ()  # each new child makes them
    suppressed_base_arguments = frozenset({"--verbosity", "--traceback"})

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the arguments, which are named as runserver's."""
        add = parser.add_argument

        add(
            "address",
            nargs="?",
            default=DEFAULT_PORT,
            metavar="addr:port",
            help="where to listen (127.0.0.1:8000)",
        )
        add(
            "--noreload",
            action="store_false",
            dest="reloads",
            help="don't start again when a file has changed",
        )
        add(
            "--nostatic",
            action="store_false",
            dest="serves_static",
            help="don't serve the files of STATIC_URL",
        )
        add("--insecure", action="store_true", help="serve them also if DEBUG is False")
        add("--patched", action="store_true", help=SUPPRESS)  # both for the child
        add("--inherited", type=orders.inherited, help=SUPPRESS)

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve, in this process if it is patched in time, otherwise in another one.

        Raises:
            CommandError: it can't serve; the message says what to do.
        """
        host, port = read_address(options["address"])
        if not settings.DEBUG and not settings.ALLOWED_HOSTS:
            raise CommandError(
                "DEBUG is False and ALLOWED_HOSTS is empty, expected the names of the site there"
            )

        may_start_anew = self._called_from_command_line and not options["patched"]
        if may_start_anew and (options["reloads"] or not are_patched_in_time()):
            self._start_anew(host, port, options["reloads"])
        if not are_patched_in_time():
            raise CommandError(
                f"the standard library is not patched, expected `{PATCH}` as manage.py's first line"
            )
        self._serve(host, port, options)

    def _start_anew(self, host: str, port: int, reloads: bool) -> None:
        command = [*patched_command(autoreload.get_child_arguments()), "--patched"]
        # A browser that has followed the link stays logged in when the child starts again.
        keep_live_token()
        self.stdout.flush()

        if not reloads:
            os.execv(command[0], command)
        show_log()
        with said_in_a_sentence(host, port):
            listener = ListenAddress(host, port).listen()
        with listener:
            sys.exit(keep_serving(command, listener))

    def _serve(self, host: str, port: int, options: dict[str, Any]) -> None:
        self.check(display_num_errors=True)
        self.check_migrations()
        connections.close_all()  # which the checks have opened

        allow_many_descriptors()
        show_log()
        app = application(options["serves_static"], options["insecure"])
        watching = None
        if options["inherited"] is not None:
            server, watching = start_as_worker(app, host, port, *options["inherited"])
        else:
            server = Server(app, host, port)
            with said_in_a_sentence(host, port):
                server.start()
            stop_on_signal(server)

        self.stdout.write(banner(server))
        self.stdout.write(
            f"settings {settings.SETTINGS_MODULE}; for development only; quit with ^C"
        )
        self.stdout.flush()
        server.serve_forever()
        if watching is not None and watching.successful():
            sys.exit(orders.CHANGED)


def read_address(text: str) -> tuple[str, int]:
    """Split "8000", "0.0.0.0:8000", "localhost:8000" or "[::1]:8000" into host and port.

    Port 0 is any free one.

    Raises:
        CommandError: the text is no such address.
    """
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found["port"]) > 65_535:
        raise CommandError(
            f"{text!r} is no address, expected a port or address:port, as 8000 or 127.0.0.1:8000"
        )
    return (found["host"] or DEFAULT_HOST).strip("[]"), int(found["port"])


@contextlib.contextmanager
def said_in_a_sentence(host: str, port: int) -> Iterator[None]:
    """Turn an OSError of listening into a sentence."""
    try:
        yield
    except OSError as exc:
        reason = _WHY_NOT.get(exc.errno or 0, exc.strerror or str(exc))
        raise CommandError(
            f"can't listen on {host}, port {port}: {reason}", returncode=CAN_NOT_SERVE
        ) from exc


def application(serves_static: bool, insecure: bool) -> App | DjangoStaticFiles:
    """Return the project's WSGI application, wrapped if need be, behind its static files."""
    app = get_internal_wsgi_application()
    if not isinstance(app, App):
        app = wrap(app)
    if (
        apps.is_installed("django.contrib.staticfiles")
        and serves_static
        and (settings.DEBUG or insecure)
    ):
        return DjangoStaticFiles(app)
    return app


class DjangoStaticFiles(StaticFilesHandler):  # type: ignore[misc]  # Django ships no types
    """The project's static files, and the app for all else, with the attributes of an `App`."""

    def __init__(self, app: App) -> None:
        super().__init__(app)
        self.config = app.config
        self.claims_upgrade = app.claims_upgrade
        self.drain = app.drain


def show_log() -> None:
    """Log to stderr, unless the project's LOGGING configures our loggers."""
    ours = logging.getLogger("tina4_wsgi")
    if ours.hasHandlers():
        return
    handler = logging.StreamHandler()
    handler.setFormatter(line_formatter())
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)


def start_as_worker(
    app: App | DjangoStaticFiles, host: str, port: int, listener_fd: int, orders_fd: int
) -> tuple[Server, gevent.Greenlet]:
    """Serve on the socket of the process above.

    Returns:
        The server, and a greenlet that returns once a file has changed.
    """
    os.set_inheritable(listener_fd, False)
    server = Server(app, host, port, listener=socket.socket(fileno=listener_fd))
    server.start()
    watching = gevent.spawn(watch, server)
    # It reads all modification times before anybody learns that we serve, and changes a file.
    gevent.sleep(0)
    orders.Orders(orders_fd, {}).obey(server)
    return server, watching


def watch(server: Server) -> None:
    """Stop the server when a file has changed, and return then."""
    try:
        # `is_alive` of a patched thread would let other greenlets run, and changes meanwhile would
        # be missed.
        autoreload.get_reloader().run(SimpleNamespace(is_alive=lambda: True))
    except SystemExit:  # the autoreloader asks for a new process
        server.stop()
