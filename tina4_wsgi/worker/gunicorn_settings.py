"""What gunicorn's settings mean for our server: taken over, ignored, or impossible.

Where both gunicorn and we have a setting, gunicorn's is taken if it isn't gunicorn's default, and
ours otherwise.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

from ..server.request_head import HeadLimits

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    from ..config import Config

Cfg: TypeAlias = Any  # gunicorn ships no types

_NAME = "tina4_wsgi.worker.Worker"

_LAX = (
    "casefold_http_method",
    "forwarder_headers",
    "header_map",
    "permit_obsolete_folding",
    "permit_unconventional_http_method",
    "permit_unconventional_http_version",
    "strip_header_spaces",
)

_MOST_LINE_BYTES = 65_536
_MOST_HEAD_BYTES = 1 << 20
_MOST_IDLE_S = 3_600.0
_OTHER_LINES_BYTES = 8_192
"""Room for the rest of a head, beside its longest line."""

_TRUSTED_CACHED = 256


def is_changed(cfg: Cfg, name: str) -> bool:
    """Return whether a setting has another value than gunicorn gives it by default."""
    setting = cfg.settings.get(name)
    return setting is not None and _plain(setting.get()) != _plain(setting.default)


def _plain(value: object) -> object:
    """Return a list as the text that gunicorn makes it from."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else value


def impossible(cfg: Cfg) -> str | None:
    """Say what gunicorn is told that our server can't do; None if there is nothing."""
    if getattr(cfg, "proxy_protocol", False) not in (False, None, "off"):
        what = "the PROXY protocol (proxy_protocol)"
    elif getattr(cfg, "protocol", "http") != "http":
        what = f"the protocol {cfg.protocol!r} (protocol)"
    elif "h2" in getattr(cfg, "http_protocols", ()) or is_changed(cfg, "http2_cleartext"):
        what = "HTTP/2 (http_protocols, http2_cleartext)"
    else:
        return None
    return f"{_NAME} doesn't speak {what}; gunicorn -k gevent does"


def ignored(cfg: Cfg) -> Iterator[str]:
    """Name the settings that are changed and change nothing here."""
    for name in _LAX:
        if is_changed(cfg, name):
            yield (
                f"{name} does nothing under {_NAME}, which reads every request strictly; "
                "gunicorn -k gevent heeds it"
            )


def keepalive_config(cfg: Cfg, config: Config) -> Config:
    """Return our settings with gunicorn's `keepalive`."""
    if not is_changed(cfg, "keepalive"):
        return config
    idle_s = min(float(cfg.keepalive), _MOST_IDLE_S)
    return dataclasses.replace(config, keepalive_timeout_s=idle_s)


def head_limits(cfg: Cfg, limits: HeadLimits) -> HeadLimits:
    """Return our limits of a request head with gunicorn's."""
    line_bytes, fields, first_bytes = limits.line_bytes, limits.fields, limits.line_bytes
    if is_changed(cfg, "limit_request_field_size"):
        # gunicorn counts the line end, and has 0 for no limit.
        line_bytes = max(1, int(cfg.limit_request_field_size) - 2)
        if not cfg.limit_request_field_size:
            line_bytes = _MOST_LINE_BYTES
        line_bytes = min(line_bytes, _MOST_LINE_BYTES)
    if is_changed(cfg, "limit_request_fields"):
        fields = int(cfg.limit_request_fields)
    if is_changed(cfg, "limit_request_line"):
        first_bytes = int(cfg.limit_request_line) or _MOST_LINE_BYTES
    head_bytes = max(limits.head_bytes, line_bytes + _OTHER_LINES_BYTES)
    return HeadLimits(line_bytes, fields, min(head_bytes, _MOST_HEAD_BYTES), first_bytes)


def stop_s(cfg: Cfg, least_share: float, margin_s: float) -> float:
    """Return how long a stop may take so that it ends within `graceful_timeout`.

    Args:
        least_share: of `graceful_timeout`, where that is short.
        margin_s: what is left for what comes behind.
    """
    graceful_s = float(cfg.graceful_timeout)
    return max(graceful_s * least_share, graceful_s - margin_s)


def tls_context(cfg: Cfg) -> ssl.SSLContext | None:
    """Return gunicorn's own TLS context, None without a certificate.

    Raises:
        OSError: the certificate can't be read (ssl.SSLError: it is no certificate).
    """
    if not cfg.is_ssl:
        return None
    try:
        from gunicorn.sock import ssl_context
    except ImportError:
        return _tls_context_of_old(cfg)
    context: ssl.SSLContext = ssl_context(cfg)
    return context


def _tls_context_of_old(cfg: Cfg) -> ssl.SSLContext:
    """Make what gunicorn makes from 21 on."""
    import ssl

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=cfg.ca_certs)
    context.load_cert_chain(cfg.certfile, cfg.keyfile)
    context.verify_mode = cfg.cert_reqs
    if cfg.ciphers:
        context.set_ciphers(cfg.ciphers)
    return context


def trust_of(cfg: Cfg) -> Callable[[str], bool]:
    """Return who tells, for an IP address, whether `forwarded_allow_ips` has it."""
    allowed = [str(one) for one in cfg.forwarded_allow_ips]
    networks = [network for one in allowed if (network := _network(one)) is not None]

    @lru_cache(maxsize=_TRUSTED_CACHED)
    def is_trusted(ip: str) -> bool:
        if "*" in allowed or ip in allowed:
            return True
        try:
            address = ipaddress.ip_address(ip)
        except ValueError:
            return False
        return any(address in network for network in networks)

    return is_trusted


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def scheme_variables(cfg: Cfg) -> dict[str, str]:
    """Return `secure_scheme_headers` by the names that WSGI has for them."""
    return {
        "HTTP_" + name.upper().replace("-", "_"): value
        for name, value in cfg.secure_scheme_headers.items()
    }


def logs_requests(cfg: Cfg, log: Any) -> bool:  # Any: whatever logger_class is
    """Return whether gunicorn's logger does anything with a request."""
    from gunicorn.glogging import Logger

    if getattr(type(log), "access", None) is not Logger.access:
        return True  # statsd's, say, counts them
    is_to_syslog = cfg.syslog and not cfg.disable_redirect_access_to_syslog
    configured = (cfg.accesslog, cfg.logconfig, cfg.logconfig_dict, is_to_syslog)
    return any(configured) or bool(getattr(cfg, "logconfig_json", None))


def hook_of(cfg: Cfg, name: str, is_debugging: bool) -> Any:
    """Return a hook of requests, None where it is gunicorn's own and does nothing.

    Args:
        is_debugging: gunicorn's own `pre_request` logs each request at level debug.
    """
    hook = getattr(cfg, name)
    is_own = getattr(hook, "__module__", "") == "gunicorn.config" and not is_changed(cfg, name)
    return None if is_own and not is_debugging else hook
