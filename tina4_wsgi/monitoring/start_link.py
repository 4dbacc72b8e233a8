"""The link that opens what `debug` shows: the live page, and tracebacks in the browser.

A visitor's address proves nothing: behind a proxy on the same machine, everybody comes from
127.0.0.1. So each start of the server makes a token, and writes a link with it to terminal or log.
A developer who can read that follows the link once; a cookie remembers it.

The browser sends the cookies to this host alone, and only with requests of its own pages
(`SameSite=Strict`); scripts can't read them. Their names contain the port, because a browser keeps
one set of cookies for all ports of a host.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote

from werkzeug.http import dump_cookie

from ..addresses import forwarded, hosts
from ..backplane.bus.directory import directory_of
from ..config import Config, is_in_gunicorn, new_live_token
from ..errors import BackplaneError
from ..hosting import gunicorn
from ..http.response import Response
from ..routing.paths import LIVE_PAGE, live_link, normal_path

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

logger = logging.getLogger("tina4_wsgi.live")

_STARTED = 19
"""Index of the start time in /proc/PID/stat, field 22, after the process's name; in ticks."""

_FILE_PREFIX = "start-"

_KEPT_S = 3_600.0
"""How long the file of a former start is kept; its workers may still read it for a while."""


class StartLink:
    """Opens the pages of `debug` for one start of a server.

    Args:
        config: its `live_token` is the token; by default each start makes a new one.
        root: the folder of the project, by which the workers of one start find each other.
    """

    def __init__(self, config: Config, root: Path) -> None:
        self._trusted = config.trusted_proxies
        self._has_been_said = False

        is_first = False
        if config.live_token:
            self.token = config.live_token
        else:
            self.token, is_first = _token_of_this_start(config, root)
        if is_first:
            self.say()

    @property
    def path(self) -> str:
        """The link, without scheme and host."""
        return live_link(self.token)

    def say(self) -> None:
        """Write the link to the log, once in this process."""
        if not self._has_been_said:
            self._has_been_said = True
            logger.warning(
                "debug is on; the live page, and tracebacks in the browser, are opened by %s",
                self.path,
            )

    def is_followed(self, environ: WSGIEnvironment) -> bool:
        """Return whether a request follows the link, with whichever token."""
        return (
            "token=" in environ.get("QUERY_STRING", "")
            and normal_path(environ.get("PATH_INFO") or "/") == LIVE_PAGE
        )

    def follow(self, environ: WSGIEnvironment, then: str) -> Response | None:
        """Exchange the token of a request for cookies.

        Args:
            then: the path below the app to redirect to; the token must not stay in the address.
        Returns:
            None if the token is wrong.
        """
        given = parse_qs(environ.get("QUERY_STRING", "")).get("token", [""])[0]
        if not hmac.compare_digest(given.encode(errors="replace"), self.token.encode()):
            return None

        root = quote(
            forwarded.root(environ, self._trusted).encode("latin-1", "replace"),
            safe="/%:@!$&'()*+;=~",
        )

        response = Response().redirect(f"{root}{then}", 303)
        is_secure = forwarded.scheme(environ, self._trusted) == "https"
        for kind, path in (("live", f"{root}{LIVE_PAGE}"), ("debug", root or "/")):
            cookie = dump_cookie(
                self._cookie_name(kind, environ),
                self._proof(kind),
                path=path,
                secure=is_secure,
                httponly=True,
                samesite="Strict",
            )
            response.header("Set-Cookie", cookie, add=True)

        return response.header("Cache-Control", "no-store").header("Referrer-Policy", "no-referrer")

    def opens_live_page(self, environ: WSGIEnvironment) -> bool:
        """Return whether a request for the live page has the cookie of the link."""
        return self._has_cookie("live", environ)

    def shows_tracebacks(self, environ: WSGIEnvironment) -> bool:
        """Return whether another request has the cookie of the link."""
        return self._has_cookie("debug", environ)

    def _has_cookie(self, kind: str, environ: WSGIEnvironment) -> bool:
        # By hand: Werkzeug's parser raises if a cookie isn't UTF-8, and an error page must not.
        wanted = f"{self._cookie_name(kind, environ)}={self._proof(kind)}".encode()
        given = str(environ.get("HTTP_COOKIE", "")).encode("latin-1", "replace").split(b";")
        return any(hmac.compare_digest(cookie.strip(b" "), wanted) for cookie in given)

    def _cookie_name(self, kind: str, environ: WSGIEnvironment) -> str:
        host = hosts.parse(forwarded.host(environ, self._trusted))
        return f"tina4_{kind}" if host is None or host.port is None else f"tina4_{kind}_{host.port}"

    def _proof(self, kind: str) -> str:
        """Return the value of a cookie: proof that its browser had the token, but not the token."""
        return hmac.new(self.token.encode(), kind.encode(), hashlib.sha256).hexdigest()


def _token_of_this_start(config: Config, root: Path) -> tuple[str, bool]:
    """Return the token, and whether this process is the first to have it.

    Each worker of gunicorn loads the app itself. So they share the token in a file in the private
    folder of the project, named after their master and its start time. Under `--preload`, and in a
    server of one process, memory is enough.
    """
    if gunicorn.worker() is None:
        return new_live_token(), is_in_gunicorn()

    try:
        started = (
            Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2].split()[_STARTED]
        )
        directory = directory_of(config, root)
        directory.make()
        return _shared(Path(directory.path), f"{_FILE_PREFIX}{os.getppid()}-{started}")
    except (BackplaneError, OSError, IndexError) as exc:
        logger.warning("each worker has a link of its own, for they can't share one: %s", exc)
        return new_live_token(), True


def _shared(folder: Path, name: str) -> tuple[str, bool]:
    """Return the token in a file, and whether this process made it, as the first one does."""
    _forget_old(folder)
    file = folder / name
    unfinished = folder / f".{name}.{os.getpid()}"

    try:
        return file.read_text(), False
    except FileNotFoundError:
        pass

    token = new_live_token()
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, token.encode())
        os.link(unfinished, file)  # whole or not at all, and never over another process's file
        return token, True
    except FileExistsError:
        return file.read_text(), False
    finally:
        os.close(descriptor)
        os.unlink(unfinished)


def _forget_old(folder: Path) -> None:
    for file in folder.glob(f"{_FILE_PREFIX}*"):
        try:
            pid = file.name.removeprefix(_FILE_PREFIX).partition("-")[0]
            is_over = not pid.isdecimal() or not os.path.exists(f"/proc/{pid}")
            if is_over and time.time() - file.stat().st_mtime > _KEPT_S:
                file.unlink()
        except OSError:
            pass  # another process was faster
