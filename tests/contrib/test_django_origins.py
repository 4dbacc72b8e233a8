"""ALLOWED_HOSTS and CSRF_TRUSTED_ORIGINS are the origin policy, matched as Django matches them for
forms.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.middleware.csrf import CsrfViewMiddleware
from django.test.utils import override_settings
from django.utils.functional import empty

from tests.contrib import django_house
from tests.contrib.django_house import Site
from tina4_wsgi import App, Router
from tina4_wsgi.config import Config
from tina4_wsgi.contrib.django import origins
from tina4_wsgi.errors import Refused
from tina4_wsgi.testing import TestClient

TRUSTED = ["https://friend.example", "https://*.friends.example", "http://*.ported.example:8080"]
HOSTS = ["shop.example", ".wild.example"]
PROJECT = {
    "MIDDLEWARE": ["django.middleware.security.SecurityMiddleware"],
    "ROOT_URLCONF": __name__,
}
urlpatterns: list[Any] = []  # no views


@pytest.fixture(scope="module", autouse=True)
def _django() -> Iterator[None]:
    """Settings in this process, while this module is tested."""
    settings.configure(ALLOWED_HOSTS=HOSTS, CSRF_TRUSTED_ORIGINS=TRUSTED)
    yield
    settings._wrapped = empty


def environ(host: str, origin: str | None = None, **more: Any) -> dict[str, Any]:
    """Lay out what a handshake brings that matters here."""
    found = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/ws",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "HTTP_HOST": host,
        **more,
    }
    return found if origin is None else {**found, "HTTP_ORIGIN": origin}


def status(host: str, origin: str | None = None, further: tuple[str, ...] = (), **more: Any) -> int:
    """Say how a handshake is answered."""
    try:
        origins.check(environ(host, origin, **more), host, Config(allowed_origins=further))
    except Refused as refusal:
        return refusal.status
    return 101


@pytest.mark.parametrize(
    "host", ["shop.example", "shop.example:8000", "wild.example", "a.b.wild.example"]
)
def test_a_host_of_allowed_hosts_is_served(host):
    assert status(host) == 101


@pytest.mark.parametrize(
    "host", ["evil.example", "shop.example.evil.example", "notwild.example", "a:80x", ""]
)
def test_another_host_gets_400(host):
    assert status(host, f"http://{host}") == 400


@pytest.mark.parametrize(
    "origin",
    [
        "http://shop.example",
        "https://shop.example",
        "http://shop.example:8000",
        "https://friend.example",
        "http://friend.example",
        "https://friend.example:444",
        "https://a.friends.example",
        "https://friends.example",
        "https://a.b.friends.example",
        "https://evilfriends.example",
        "http://a.friends.example",
        "http://a.ported.example:8080",
        "http://a.ported.example",
        "null",
        "",
        "nonsense",
        "http://[",
        "https://",
        "https://friend.example/",
        "https://friend.example https://evil.example",
        "https://user@friend.example",
    ],
)
def test_an_origin_is_trusted_as_django_trusts_that_of_a_form(origin):
    middleware = CsrfViewMiddleware(lambda request: None)
    is_trusted = middleware._origin_verified(WSGIRequest(environ("shop.example", origin)))

    assert status("shop.example", origin) == (101 if is_trusted else 403)


def test_no_origin_passes_since_no_browser_asks():
    assert status("shop.example") == 101


def test_the_scheme_behind_a_proxy_is_the_projects_to_say():
    proxied = {"HTTP_X_FORWARDED_PROTO": "https"}

    assert status("shop.example", "https://shop.example", **proxied) == 403
    with override_settings(SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https")):
        assert status("shop.example", "https://shop.example", **proxied) == 101


@pytest.mark.parametrize(
    ("origin", "said"),
    [
        ("https://evil.example", "CSRF_TRUSTED_ORIGINS = ['https://evil.example']"),
        ("https://shop.example", "SECURE_PROXY_SSL_HEADER"),
        ("http://shop.example:8443", "lost its port"),
        ("null", "CSRF_TRUSTED_ORIGINS = ['null']"),
    ],
)
def test_a_refusal_names_both_sides_and_what_to_set(origin, said):
    with pytest.raises(Refused) as caught:
        origins.check(environ("shop.example", origin), "shop.example", Config())

    assert (
        f"{origin!r}, for Django the request came for 'http://shop.example'" in caught.value.detail
    )
    assert said in caught.value.detail


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("X-Forwarded-Proto", "wss"),
        ("X-Forwarded-Proto", "WSS"),
        ("X-Forwarded-Proto", "wss,http"),
        ("X-Forwarded-Proto", "https"),
        ("X-Tls-Of-Ours", "wss"),
    ],
)
def test_what_a_proxy_calls_wss_is_https_to_the_project(header, value):
    from tina4_wsgi.contrib.django.bridge import DjangoBridge  # with the settings of this module
    from tina4_wsgi.contrib.django.handshake import current

    name = f"HTTP_{header.upper().replace('-', '_')}"
    router = Router()

    def known(request):
        return f"{current.get().is_secure()} {current.get().scheme}"

    def tell(connection, event, data):
        connection.send(
            f"{connection.auth} {current.get().is_secure()} {connection.environ()[name]}"
        )

    router.websocket("/ws/a", tell, auth=known)
    with override_settings(
        SECURE_PROXY_SSL_HEADER=(name, "https"), SECURE_SSL_REDIRECT=True, **PROJECT
    ):
        app = App(router=router, bridge=DjangoBridge())
        with TestClient(app) as client:
            fields = {header: value, "Host": "shop.example", "Origin": "https://shop.example"}
            with client.websocket("/ws/a", headers=fields) as tab:
                assert tab.receive() == f"True https True {value}"


def test_a_forwarded_host_counts_if_the_project_says_so():
    forwarded = {"HTTP_X_FORWARDED_HOST": "shop.example"}

    assert status("10.0.0.1", "http://shop.example", **forwarded) == 400
    with override_settings(USE_X_FORWARDED_HOST=True):
        assert status("10.0.0.1", "http://shop.example", **forwarded) == 101
        assert status("shop.example", HTTP_X_FORWARDED_HOST="evil.example") == 400


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost:8000", 101),
        ("a.localhost", 101),
        ("127.0.0.1", 101),
        ("[::1]:8000", 101),
        ("shop.example", 400),
    ],
)
def test_with_debug_and_without_hosts_it_is_this_machine(host, expected):
    with override_settings(DEBUG=True, ALLOWED_HOSTS=[]):
        assert status(host, f"http://{host}") == expected


def test_our_own_setting_adds_to_the_projects():
    further = ("https://partner.example",)

    assert status("shop.example", "https://partner.example", further) == 101
    assert status("shop.example", "https://friend.example", further) == 101
    assert status("shop.example", "https://evil.example", further) == 403
    assert status("evil.example", "https://partner.example", further) == 400


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The project under gunicorn."""
    with django_house.serving(tmp_path_factory.mktemp("django")) as running:
        yield running


def test_a_handshake_is_answered_before_the_101(site):
    assert site.ask_upgrade("/ws/probe/a", Host="evil.example") == 400
    assert site.ask_upgrade("/ws/probe/a", Origin="https://evil.example") == 403
    assert site.ask_upgrade("/ws/probe/a", Origin="https://a.friends.example") == 101
    assert site.ask_upgrade("/ws/probe/a", Origin=site.server.url) == 101
    assert site.ask_upgrade("/ws/friends", Origin="https://partner.example") == 101
    assert site.ask_upgrade("/ws/notes", Origin="https://partner.example") == 403
