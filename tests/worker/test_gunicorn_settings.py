"""What gunicorn's settings become: gunicorn's own `Config`, without a server."""

from __future__ import annotations

from typing import Any

import pytest
from gunicorn.config import Config as Cfg
from gunicorn.glogging import Logger

from tina4_wsgi.config import Config
from tina4_wsgi.server.request_head import HeadLimits
from tina4_wsgi.worker import gunicorn_settings

OURS = HeadLimits(8_192, 100, 32_768)


def cfg(**settings: Any) -> Cfg:
    made = Cfg()
    for name, value in settings.items():
        made.set(name, value)
    return made


@pytest.mark.parametrize("name", ["keepalive", "forwarded_allow_ips", "secure_scheme_headers"])
def test_gunicorns_defaults_are_no_change(name):
    assert not gunicorn_settings.is_changed(cfg(), name)


def test_a_setting_that_this_gunicorn_lacks_is_no_change():
    assert not gunicorn_settings.is_changed(cfg(), "some_future_setting")


@pytest.mark.parametrize(
    ("settings", "idle_s"), [({}, 75.0), ({"keepalive": 5}, 5.0), ({"keepalive": 0}, 0.0)]
)
def test_keepalive_is_gunicorns_where_it_is_set(settings, idle_s):
    config = gunicorn_settings.keepalive_config(cfg(**settings), Config())

    assert config.keepalive_timeout_s == idle_s


def test_a_keepalive_beyond_ours_is_as_long_as_ours_may_be():
    config = gunicorn_settings.keepalive_config(cfg(keepalive=100_000), Config())

    assert config.keepalive_timeout_s == 3_600


@pytest.mark.parametrize(
    ("settings", "limits"),
    [
        ({}, HeadLimits(8_192, 100, 32_768, 8_192)),
        ({"limit_request_line": 1_000}, HeadLimits(8_192, 100, 32_768, 1_000)),
        ({"limit_request_line": 0}, HeadLimits(8_192, 100, 32_768, 65_536)),
        ({"limit_request_fields": 7}, HeadLimits(8_192, 7, 32_768, 8_192)),
        ({"limit_request_field_size": 102}, HeadLimits(100, 100, 32_768, 8_192)),
        ({"limit_request_field_size": 0}, HeadLimits(65_536, 100, 73_728, 8_192)),
        ({"limit_request_field_size": 40_000}, HeadLimits(39_998, 100, 48_190, 8_192)),
    ],
)
def test_limits_are_gunicorns_where_they_are_set(settings, limits):
    assert gunicorn_settings.head_limits(cfg(**settings), OURS) == limits


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("proxy_protocol", "v2", "the PROXY protocol"),
        ("protocol", "uwsgi", "the protocol 'uwsgi'"),
        ("http_protocols", ["h2", "h1"], "HTTP/2"),
        ("http2_cleartext", "upgrade", "HTTP/2"),
    ],
)
def test_other_protocols_are_impossible(name, value, what):
    asked_for_it = cfg()
    # As it is once gunicorn has found that all that it needs for it is installed.
    asked_for_it.settings[name].value = value

    assert gunicorn_settings.impossible(cfg()) is None
    assert f"doesn't speak {what}" in (gunicorn_settings.impossible(asked_for_it) or "")


def test_what_is_ignored_is_named_where_it_is_changed():
    assert [*gunicorn_settings.ignored(cfg())] == []
    (said,) = gunicorn_settings.ignored(cfg(casefold_http_method=True))
    assert said.startswith("casefold_http_method does nothing under tina4_wsgi.worker.Worker")


@pytest.mark.parametrize(
    ("allowed", "ip", "is_trusted"),
    [
        ("127.0.0.1,::1", "127.0.0.1", True),
        ("127.0.0.1,::1", "::1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("*", "192.0.2.7", True),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.0.0.0/8", "unix", False),
        ("", "127.0.0.1", False),
    ],
)
def test_forwarded_allow_ips_are_addresses_networks_or_all(allowed, ip, is_trusted):
    trust = gunicorn_settings.trust_of(cfg(forwarded_allow_ips=allowed))

    assert trust(ip) is is_trusted


def test_scheme_headers_have_the_names_of_wsgi():
    found = gunicorn_settings.scheme_variables(cfg(secure_scheme_headers={"x-scheme": "https"}))

    assert found == {"HTTP_X_SCHEME": "https"}


@pytest.mark.parametrize(
    ("settings", "logs"),
    [
        ({}, False),
        ({"accesslog": "-"}, True),
        ({"syslog": True}, True),
        ({"syslog": True, "disable_redirect_access_to_syslog": True}, False),
    ],
)
def test_requests_are_logged_where_gunicorn_would(settings, logs):
    settings = cfg(**settings)

    assert gunicorn_settings.logs_requests(settings, Logger.__new__(Logger)) is logs


def test_a_logger_with_an_access_of_its_own_always_hears_of_requests():
    class Counting(Logger):
        def access(self, resp: object, req: object, environ: object, request_time: object) -> None:
            pass

    assert gunicorn_settings.logs_requests(cfg(), Counting.__new__(Counting)) is True


def test_a_hook_of_gunicorns_own_counts_as_none_unless_it_logs():
    def hook(worker: object, req: object) -> None:
        pass

    assert gunicorn_settings.hook_of(cfg(), "pre_request", is_debugging=False) is None
    assert gunicorn_settings.hook_of(cfg(), "pre_request", is_debugging=True) is not None
    assert gunicorn_settings.hook_of(cfg(), "post_request", is_debugging=False) is None
    assert gunicorn_settings.hook_of(cfg(pre_request=hook), "pre_request", False) is hook


@pytest.mark.parametrize(("graceful_s", "seconds"), [(30, 27.5), (3, 0.75), (1, 0.25)])
def test_a_stop_ends_within_graceful_timeout(graceful_s, seconds):
    assert gunicorn_settings.stop_s(cfg(graceful_timeout=graceful_s), 0.25, 2.5) == seconds


def test_without_a_certificate_there_is_no_tls():
    assert gunicorn_settings.tls_context(cfg()) is None
