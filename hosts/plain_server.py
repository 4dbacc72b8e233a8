"""Runs an application under a server that knows nothing of gevent, in a process that nothing is
patched in: `python -m hosts.plain_server wsgiref site_app:app`.

Each chooses its port by itself, and prints where it listens.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
from typing import Any
from wsgiref.simple_server import make_server

LOOPBACK = "127.0.0.1"


def main() -> None:
    """Serve until a signal ends it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["werkzeug", "django", "wsgiref", "waitress"])
    parser.add_argument("--certfile", help="Werkzeug only")
    parser.add_argument("--unix", help="a path to listen on; Werkzeug and waitress only")
    parser.add_argument("target")
    options = parser.parse_args()
    sys.path.insert(0, "")

    if options.kind == "django":
        serve_by_django(options.target)
        return

    module, _, name = options.target.partition(":")
    app: Any = getattr(importlib.import_module(module), name)  # any WSGI application
    if options.kind == "werkzeug":
        serve_by_werkzeug(app, options.unix, options.certfile)
    elif options.kind == "waitress":
        serve_by_waitress(app, options.unix)
    else:
        with make_server(LOOPBACK, 0, app) as server:
            announce(server.server_port)
            server.serve_forever()


def serve_by_werkzeug(app: Any, unix: str | None, certificate: str | None) -> None:
    """Serve as `flask run` does, which prints the address itself."""
    from werkzeug.serving import run_simple

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    both = (certificate, certificate) if certificate is not None else None
    host = LOOPBACK if unix is None else f"unix://{unix}"
    run_simple(host, 0, app, threaded=True, ssl_context=both)


def serve_by_django(target: str) -> None:
    """Serve as `manage.py runserver` does, which prints the address itself."""
    from django.conf import settings
    from django.core.management import execute_from_command_line

    settings.configure(WSGI_APPLICATION=target.replace(":", "."), ALLOWED_HOSTS=["*"], USE_TZ=True)
    execute_from_command_line(["manage.py", "runserver", f"{LOOPBACK}:0", "--noreload"])


def serve_by_waitress(app: Any, unix: str | None) -> None:
    """Serve as `waitress-serve` does."""
    import waitress  # of the hosts' environments; the others don't need it

    if unix is not None:
        server = waitress.create_server(app, unix_socket=unix)
        print(f"Listening at: unix:{unix}", flush=True)
    else:
        server = waitress.create_server(app, host=LOOPBACK, port=0)
        announce(server.effective_port)
    server.run()


def announce(port: int) -> None:
    """Print where it listens."""
    print(f"Listening at: http://{LOOPBACK}:{port}", flush=True)


if __name__ == "__main__":
    main()
