"""What Sentry is told of a framework's WebSockets: `python tracked.py FRAMEWORK RATE` prints its
events as JSON.

Each app has `/ws/{mood}`, which raises at the event that the mood names, and the user "ada" where
the framework knows users.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402
import sys  # noqa: E402
import warnings  # noqa: E402
from typing import Any  # noqa: E402

import sentry_sdk  # noqa: E402
from sentry_sdk.transport import Transport  # noqa: E402
from werkzeug.exceptions import Forbidden  # noqa: E402

from tina4_wsgi import Router  # noqa: E402
from tina4_wsgi.testing import HandshakeRefused, TestClient  # noqa: E402

warnings.filterwarnings("ignore", module="pyramid|pkg_resources")

MOODS = ("nobody", "refused", "unknown", "late", "open", "message", "close", "auth")
router = Router()
told: list[Any] = []


class Noting(Transport):
    """Keeps what would be sent."""

    def capture_envelope(self, envelope: Any) -> None:
        for item in envelope.items:
            payload = item.payload.json
            if item.type != "event" or payload is None:
                continue
            raised = (payload.get("exception") or {}).get("values") or [{}]
            url = (payload.get("request") or {}).get("url", "")
            user = payload.get("user") or {}
            told.append([raised[-1].get("type"), url, payload.get("transaction"), user.get("id")])

    def flush(self, *args: Any, **kwargs: Any) -> None:
        """Nothing waits."""

    def kill(self) -> None:
        """Nothing runs."""


class OnPurpose(Exception):
    """What callbacks raise."""


def callback(connection, event, data):
    if connection.params.mood == event:
        raise OnPurpose(event)
    if event == "message":
        connection.send(data)
    if event == "close" and connection.params.mood == "late":
        connection.send("nobody reads this")


def auth(request):
    if request.params.mood == "auth":
        raise OnPurpose("auth")
    if request.params.mood == "refused":
        raise Forbidden
    return None if request.params.mood == "unknown" else "ada"


def django():
    from django.conf import settings

    from tina4_wsgi.contrib.django import wrap

    settings.configure(
        SECRET_KEY="k" * 50,
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF="tracked",
        DATABASES={},
        MIDDLEWARE=["tracked.user_middleware"],
    )
    from django.core.wsgi import get_wsgi_application

    return wrap(get_wsgi_application(), router=router)


urlpatterns: list[Any] = []


class Ada:
    pk = "ada"
    email = ""
    is_authenticated = True

    def get_username(self):
        return "ada"


def user_middleware(get_response):
    def call(request):
        request.user = Ada()
        return get_response(request)

    return call


def pyramid():
    from pyramid.config import Configurator

    from tina4_wsgi.contrib.pyramid import wrap

    class Policy:
        def identity(self, request):
            return "ada"

        authenticated_userid = identity

        def permits(self, request, context, permission):
            return True

    with Configurator(security_policy=Policy()) as config:
        config.include("tina4_wsgi.contrib.pyramid")
        return wrap(config.make_wsgi_app(), router=router)


def falcon():
    import falcon

    from tina4_wsgi.contrib.falcon import wrap

    return wrap(falcon.App(), router=router)


def bottle():
    import bottle

    from tina4_wsgi.contrib.bottle import wrap

    return wrap(bottle.Bottle(), router=router)


def visit(client: TestClient, mood: str) -> None:
    try:
        with client.websocket(f"/ws/{mood}") as ws:
            ws.send("hello")
            if mood != "message":
                ws.receive()
    except HandshakeRefused:
        pass
    except Exception as exc:
        if mood != "open":  # which closes with 1011
            raise AssertionError(mood) from exc


def main(name: str, rate: str) -> None:
    sys.modules["tracked"] = sys.modules["__main__"]
    options = {} if rate == "None" else {"traces_sample_rate": float(rate)}
    sentry_sdk.init("http://key@127.0.0.1:9/1", transport=Noting, send_default_pii=True, **options)
    router.websocket("/ws/{mood}", callback, auth=auth)
    app = {"django": django, "pyramid": pyramid, "falcon": falcon, "bottle": bottle}[name]()
    with TestClient(app, raise_errors=False) as client:
        for mood in MOODS:
            visit(client, mood)
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
