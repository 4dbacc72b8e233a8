"""Serve an application by a server that knows nothing of gevent: `serving.py KIND MODULE:NAME`.

It prints where it listens, on a port that the kernel chose. With `PATCHED` in the environment
gevent patches the process first.
"""

from __future__ import annotations

import os

if os.environ.get("PATCHED"):
    from gevent import monkey

    monkey.patch_all()

import importlib
import logging
import sys
from pathlib import Path
from wsgiref import simple_server

CERTIFICATE = str(Path(__file__).resolve().parents[2] / "server" / "localhost.pem")
LOOPBACK = "127.0.0.1"

WERKZEUG = {
    "werkzeug": {},
    "werkzeug_threads": {"threaded": True},
    "werkzeug_debugger": {"threaded": True, "use_debugger": True},
    "werkzeug_reloader": {
        "threaded": True,
        "use_debugger": True,
        "use_reloader": True,
        "reloader_type": "stat",  # the other kind follows each change of the whole tree
        "reloader_interval": 0.1,
    },
    "werkzeug_tls": {"threaded": True, "ssl_context": (CERTIFICATE, CERTIFICATE)},
    "werkzeug_processes": {"processes": 2},
}
DJANGO = {
    "django": ["--noreload"],
    "django_without_threads": ["--noreload", "--nothreading"],
    "django_reloader": [],
}
WAITRESS = {
    "waitress": {},
    "waitress_2_1": {},
    "waitress_ahead": {"channel_request_lookahead": 5, "asyncore_use_poll": True},
}


def serve_by_werkzeug(app, options):
    from werkzeug.serving import run_simple

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("tina4_wsgi").setLevel(logging.WARNING)
    run_simple(LOOPBACK, 0, app, **options)


def serve_by_waitress(app, options):
    import waitress

    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    server = waitress.create_server(
        app, host=LOOPBACK, port=0, threads=2, clear_untrusted_proxy_headers=True, **options
    )
    print(f"http://{LOOPBACK}:{server.effective_port}", flush=True)
    server.run()


def serve_by_wsgiref(app):
    server = simple_server.make_server(LOOPBACK, 0, app)
    print(f"http://{LOOPBACK}:{server.server_port}", flush=True)
    server.serve_forever()


def serve_by_django(target, options):
    from django.conf import settings
    from django.core.management import execute_from_command_line

    settings.configure(WSGI_APPLICATION=target.replace(":", "."), ALLOWED_HOSTS=["*"], USE_TZ=True)
    execute_from_command_line(["manage.py", "runserver", f"{LOOPBACK}:0", *options])


def main(kind, target):
    sys.path.insert(0, "")
    if kind in DJANGO:
        serve_by_django(target, DJANGO[kind])
        return
    module, _, name = target.partition(":")
    app = getattr(importlib.import_module(module), name)
    if kind in WERKZEUG:
        serve_by_werkzeug(app, WERKZEUG[kind])
    elif kind in WAITRESS:
        serve_by_waitress(app, WAITRESS[kind])
    else:
        serve_by_wsgiref(app)


main(*sys.argv[1:])
