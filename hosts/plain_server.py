"""Runs an application under wsgiref or waitress: `python -m hosts.plain_server wsgiref
site_app:app`.

Both choose the port by themselves, and it is printed as gunicorn prints it.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any
from wsgiref.simple_server import make_server

LOOPBACK = "127.0.0.1"


def main() -> None:
    """Serve until a signal ends it."""
    kind, target = sys.argv[1:]
    sys.path.insert(0, "")
    module, _, name = target.partition(":")
    app: Any = getattr(importlib.import_module(module), name)  # any WSGI application
    if kind == "wsgiref":
        with make_server(LOOPBACK, 0, app) as server:
            announce(server.server_port)
            server.serve_forever()
    else:
        import waitress  # of the hosts' environments; the others don't need it

        waiting = waitress.create_server(app, host=LOOPBACK, port=0)
        announce(waiting.effective_port)
        waiting.run()


def announce(port: int) -> None:
    """Print where it listens."""
    print(f"Listening at: http://{LOOPBACK}:{port}", flush=True)


if __name__ == "__main__":
    main()
