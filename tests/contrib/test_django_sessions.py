"""The session of a handshake's request, as a project's middleware puts it there, in a process of
its own.
"""

from __future__ import annotations

import subprocess
import sys

from tests.support.servers import ROOT

RUN_S = 20.0

PROGRAM = """
import django
from django.conf import settings

settings.configure(SECRET_KEY="x", SESSION_ENGINE="django.contrib.sessions.backends.cache", INSTALLED_APPS=[
    "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
])
django.setup()

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.cache import SessionStore
from tina4_wsgi import Router
from tina4_wsgi.contrib.django.handshake import HandshakeRequest
from tina4_wsgi.contrib.django.urls import EventUrls
from tina4_wsgi.contrib.passage import KEY, Event
from tina4_wsgi.websocket.opening_handshake import OpeningHandshake

environ = OpeningHandshake({"PATH_INFO": "/ws/x", "HTTP_HOST": "shop.example"}, ()).wsgi_environ()
environ["tina4_wsgi.match"] = None
environ[KEY] = Event(environ, "message", lambda: None)
request = HandshakeRequest(environ, EventUrls(Router()))

print("without a middleware", hasattr(request, "session"))

request.session = {"of": "another kind"}
request.check_session()
print("of another kind", request.session)

store = SessionStore()
store["theme"] = "dark"
store.save()
request.session = store
before = store.session_key
store.cycle_key()
print("key of nobody renewed", store.session_key != before)

request.session = store
store[SESSION_KEY] = "1"
before = store.session_key
store.cycle_key()
print("key of a user kept", store.session_key == before)
"""


def test_a_session_is_whatever_the_middleware_gives_and_only_that_of_a_user_keeps_its_key():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )

    assert (done.stderr, done.stdout.splitlines()) == (
        "",
        [
            "without a middleware False",
            "of another kind {'of': 'another kind'}",
            "key of nobody renewed True",
            "key of a user kept True",
        ],
    )
