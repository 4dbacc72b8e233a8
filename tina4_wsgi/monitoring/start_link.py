"""The link that opens what `debug` shows: the live page, and tracebacks in the browser.

An address proves nothing: behind a proxy on the same machine every visitor comes from 127.0.0.1. So
a token is made for each start of the server. Whoever can read its terminal or its log follows the
link there once; a cookie remembers that.

The cookies are sent to this host alone, on none but its own pages' requests (`SameSite=Strict`),
and no script reads them. They have the port in their names, for a browser keeps one set for all
ports of a host.
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
from ..backplane.private_folders import NotPrivateError, default_places, make_private
from ..config import Config, is_in_gunicorn, new_live_token
from ..hosting import gunicorn
from ..http.response import Response
from ..routing.paths import LIVE_PAGE, live_link, normal_path

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

logger = logging.getLogger("tina4_wsgi.live")

_STARTED = (
    19  # field 22 of /proc/PID/stat, counted behind the name: when the process started, in ticks
)
_FILE_PREFIX = "start-"
# A file of a start that is over goes when another begins, but not while that one may read it.
_KEPT_S = 3_600.0


class StartLink:
    """What opens the pages of `debug` for one start of a server.

    Args:
        config: `live_token` is the token; by default there is a new one for each start.
        root: the folder of the project, by which the workers of one start find each other.
    """

    def __init__(self, config: Config, root: Path) -> None:
        self._trusted = config.trusted_proxies
        self._has_been_said = False
        token, is_first = (
            (config.live_token, False) if config.live_token else _token_of_this_start(config, root)
        )
        self.token = token
        if is_first:
            self.say()

    @property
    def path(self) -> str:
        """The link, without scheme and host."""
        return live_link(self.token)

    def say(self) -> None:
        """Write the link into the log, once in this process."""
        if not self._has_been_said:
            self._has_been_said = True
            logger.warning(
                "debug is on; the live page, and tracebacks in the browser, are opened by %s",
                self.path,
            )

    def is_followed(self, environ: WSGIEnvironment) -> bool:
        """Say whether a request follows the link, rightly or wrongly."""
        return (
            "token=" in environ.get("QUERY_STRING", "")
            and normal_path(environ.get("PATH_INFO") or "/") == LIVE_PAGE
        )

    def follow(self, environ: WSGIEnvironment, then: str) -> Response | None:
        """Exchange the token of a request for cookies.

        Args:
            then: the path below the app that the browser goes on to; the token must not stay in its
                address.
        Returns:
            None where the token is another one.
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
        """Say whether a request for the live page comes from a browser that has followed the
        link.
        """
        return self._has_cookie("live", environ)

    def shows_tracebacks(self, environ: WSGIEnvironment) -> bool:
        """Say whether any other request does."""
        return self._has_cookie("debug", environ)

    def _has_cookie(self, kind: str, environ: WSGIEnvironment) -> bool:
        # By hand: Werkzeug's parser raises for cookies that are no UTF-8, and an error page must
        # not.
        wanted = f"{self._cookie_name(kind, environ)}={self._proof(kind)}".encode()
        given = str(environ.get("HTTP_COOKIE", "")).encode("latin-1", "replace").split(b";")
        return any(hmac.compare_digest(cookie.strip(b" "), wanted) for cookie in given)

    def _cookie_name(self, kind: str, environ: WSGIEnvironment) -> str:
        host = hosts.parse(forwarded.host(environ, self._trusted))
        return f"tina4_{kind}" if host is None or host.port is None else f"tina4_{kind}_{host.port}"

    def _proof(self, kind: str) -> str:
        """Give what a cookie holds: a proof that its browser had the token, and not the token
        itself.
        """
        return hmac.new(self.token.encode(), kind.encode(), hashlib.sha256).hexdigest()


def _token_of_this_start(config: Config, root: Path) -> tuple[str, bool]:
    """Give the token, and whether this process is the first to have it.

    gunicorn's workers load the app each for itself: they meet in a file that is called after their
    master and its start, in the private folder of the project. Under `--preload`, and in a server
    of one process, memory does.
    """
    if gunicorn.worker() is None:
        return new_live_token(), is_in_gunicorn()
    try:
        started = (
            Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2].split()[_STARTED]
        )
        return _shared(_private_folder(config, root), f"{_FILE_PREFIX}{os.getppid()}-{started}")
    except (NotPrivateError, OSError, IndexError) as exc:
        logger.warning("each worker has a link of its own, for they can't share one: %s", exc)
        return new_live_token(), True


def _private_folder(config: Config, root: Path) -> Path:
    """Give the first folder of the project that can be made and is this user's alone.

    Raises:
        NotPrivateError, OSError: there is none.
    """
    *preferred, last = (config.bus_dir,) if config.bus_dir else default_places(root)
    for place in preferred:
        try:
            make_private(place)
            return Path(place)
        except (NotPrivateError, OSError):
            pass  # the next one will do
    if config.bus_dir:
        os.makedirs(os.path.dirname(last) or ".", exist_ok=True)
    make_private(last)
    return Path(last)


def _shared(folder: Path, name: str) -> tuple[str, bool]:
    """Give the content of a file that holds a token, and whether it was made here; whoever comes
    first makes it.
    """
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
        os.link(unfinished, file)  # whole, or not at all; and not over another one's
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
            pass  # another one was faster
