"""Small Django projects, each a program of its own: what patches Django, or configures it, does so
for a process.
"""

from __future__ import annotations

import contextlib
import sys
import textwrap
from collections.abc import Iterator

from tests.contrib.django_house import VERSIONS, django_folder
from tests.support import nursery
from tests.support.servers import ROOT

RUN_S = 60.0
# Without `contrib.django`: what patches Django does so before that looks at it.
IMPORTED = """
from gevent import monkey; monkey.patch_all()
import django.core.wsgi, django.core.handlers.wsgi, django.http, django.urls
import django.contrib.auth, django.contrib.sessions.backends.signed_cookies, django.middleware.csrf
import tina4_wsgi.app, tina4_wsgi.testing
"""

_BEGIN = """
from gevent import monkey; monkey.patch_all()
import logging, sys
from django.conf import settings
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.urls import path, include, re_path, resolve, reverse
from tina4_wsgi import Router
from tina4_wsgi.testing import HandshakeRefused, TestClient

router = Router()
urlpatterns = []
SETTINGS = {}
MIDDLEWARE = []
seen = []

@router.websocket("/ws/news/{number:int}")
def news(connection, event, data):
    if event == "open":
        connection.send("open")
    if event == "message":
        connection.send(str(act(data)))

def act(data):
    return data

def make(wsgi_app, **options):
    from tina4_wsgi.contrib.django import wrap
    return wrap(wsgi_app, router=router, **options)

def ask(path="/ws/news/7", **fields):
    "Open a WebSocket: gives what it says first, or the status that refuses it."
    try:
        with client.websocket(path, headers={name.replace("_", "-"): value for name, value in fields.items()}) as ws:
            return ws.receive()
    except HandshakeRefused as refusal:
        return refusal.status

class Lines(logging.Handler):
    def emit(self, record):
        log.append(f"{record.levelname} {record.getMessage()}")

log = []
"""

_END = """
sys.modules["project"] = sys.modules["__main__"]
logging.getLogger("tina4_wsgi").addHandler(Lines())
logging.getLogger("django").addHandler(Lines())
settings.configure(**{"SECRET_KEY": "k" * 50, "ALLOWED_HOSTS": ["*"], "ROOT_URLCONF": "project", "DATABASES": {},
                      "MIDDLEWARE": MIDDLEWARE, "LOGGING_CONFIG": None, **SETTINGS})
from django.core.wsgi import get_wsgi_application
app = make(get_wsgi_application())
with TestClient(app, raise_errors=False) as client:
    main()
"""


_nurseries: dict[str, nursery.Nursery] = {}


@contextlib.contextmanager
def forking() -> Iterator[None]:
    """Have a process for each Django that has imported it, patched, until the block ends."""
    with contextlib.ExitStack() as stack:
        for version in VERSIONS:
            env = {"PYTHONPATH": f"{django_folder(version)}:{ROOT}"}
            born = nursery.opened((sys.executable,), IMPORTED, env)
            _nurseries[version] = stack.enter_context(born)
        stack.callback(_nurseries.clear)
        yield


def printed_by(code: str, version: str = "newest") -> list[str]:
    """Run a project and give what its `main()` printed; needs the fixture `django_programs`.

    Args:
        code: defines `main` and what else is of its own: MIDDLEWARE (names begin with "project."),
            SETTINGS, `urlpatterns`, `act` (what a message does), `make` (how it is wrapped); `ask`
            opens a WebSocket.
        version: of Django, see `django_house`.
    """
    program = _BEGIN + textwrap.dedent(code) + _END
    done = _nurseries[version].run(program, ROOT, RUN_S)
    assert done.returncode == 0, done.stderr[-3_000:]
    return done.stdout.splitlines()
