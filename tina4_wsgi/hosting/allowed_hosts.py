"""The hosts under which an app is served.

Without the setting `allowed_hosts` any host will do, with one exception. A server that only this
machine reaches needs no login, people think; but any page can have its name point to 127.0.0.1, and
then it is of the same origin as what runs there (DNS rebinding). So where nothing but loopback is
listened on, and nothing tells of a proxy that serves more than that, pages connect under the
loopback's own names alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..addresses import forwarded, hosts, origins
from ..errors import Refused
from . import gunicorn

if TYPE_CHECKING:
    from ..addresses.forwarded import Environ
    from ..config import Config

_MISDIRECTED = 421  # RFC 9110 §15.5.20
_MESSAGE = "this host is not served here"


def check(environ: Environ, config: Config) -> None:
    """Apply the setting `allowed_hosts`, if it is set.

    Raises:
        Refused: 421.
    """
    if not config.allowed_hosts:
        return

    text = forwarded.host(environ, config.trusted_proxies)
    host = hosts.parse(text)
    if host is None or not hosts.is_listed(host, config.allowed_hosts):
        shown = origins.shown(text)
        raise Refused(
            _MISDIRECTED,
            _MESSAGE,
            detail=f"{shown} is none of allowed_hosts; to serve it, name it there",
        )


def check_for_page(environ: Environ, config: Config, asked: str, origin: str | None) -> None:
    """Check the host that a browser's page asks for, on a local server without the setting too.

    Args:
        asked: the field Host, "" without one.
        origin: the field Origin, None without one.
    Raises:
        Refused: 421.
    """
    if config.allowed_hosts:
        check(environ, config)
        return

    text = asked or "localhost"
    host = hosts.parse(text)
    if (host is not None and hosts.is_loopback(host)) or config.trusted_proxies:
        return
    if forwarded.has_sign_of_proxy(environ) or not _serves_this_machine_alone(environ):
        return
    if host is not None and host.name == str(environ.get("SERVER_NAME", "")).lower():
        return  # `--host dev.test`: the user has named it

    asking = origins.parse(origin or "")
    if asking is not None and host is not None and asking.host.name != host.name:
        return  # a page of another site, which allowed_origins lets in: it has no need of a trick

    raise Refused(
        _MISDIRECTED,
        _MESSAGE,
        detail=f"this server listens on loopback only, and {origins.shown(text)} is no name of "
        "the loopback; if it is yours, "
        f"allowed_hosts=[{origins.shown(text if host is None else host.name)}]; if a proxy passes "
        "it on, name the proxy in trusted_proxies",
    )


def _serves_this_machine_alone(environ: Environ) -> bool:
    """Return whether only loopback is listened on; False under a server that can't tell."""
    server = environ.get("tina4_wsgi.server")
    if server is not None:
        return getattr(server, "is_on_loopback_only", False) is True
    addresses = gunicorn.listening_on()
    return bool(addresses) and all(
        isinstance(one, tuple) and hosts.is_loopback_address(one[0]) for one in addresses
    )
