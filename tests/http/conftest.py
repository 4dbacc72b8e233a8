"""A site to ask: an HTTP side over a router and a folder of its own, seen through the WSGI
validator.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import pytest
from werkzeug.test import Client, EnvironBuilder, TestResponse

from tina4_wsgi.config import Config
from tina4_wsgi.http.handling import HttpHandling
from tina4_wsgi.monitoring.start_link import StartLink
from tina4_wsgi.routing.router import Router

LOOPBACK = {"REMOTE_ADDR": "127.0.0.1"}


class Site:
    """One app without its WebSockets.

    Attributes:
        root: its folder, empty at first.
        settings: fields of `Config`, read at the first request.
        fallback: the legacy app, None at first.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.router = Router()
        self.settings: dict[str, Any] = {}
        self.fallback: Any = None
        self._side: HttpHandling | None = None

    @property
    def side(self) -> HttpHandling:
        if self._side is None:
            config = Config(**self.settings)
            link = StartLink(config, self.root) if config.debug else None
            self._side = HttpHandling(self.router, config, self.root, self.fallback, link)
        return self._side

    def debug(self) -> dict[str, str]:
        """Turn `debug` on; give the variables of a browser that has followed the link of this
        start.
        """
        self.settings |= {"debug": True, "live_token": "a-token-of-this-test"}
        environ = EnvironBuilder("/__tina4/live?token=a-token-of-this-test").get_environ()
        answer = StartLink(Config(**self.settings), self.root).follow(environ, "/")
        assert answer is not None
        fields = Client(answer).get("/").headers.getlist("Set-Cookie")
        return {"HTTP_COOKIE": "; ".join(field.partition(";")[0] for field in fields)}

    def write(self, name: str, content: str | bytes = "") -> Path:
        """Put a file below the root."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def ask(self, path: str = "/", method: str = "GET", **options: Any) -> TestResponse:
        """Make a request; `options` are those of Werkzeug's `EnvironBuilder`."""
        options["environ_overrides"] = LOOPBACK | options.get("environ_overrides", {})
        return Client(validator(self.side), use_cookies=False).open(
            path, method=method, buffered=True, **options
        )

    def answer(self, result: object, **options: Any) -> TestResponse:
        """Give what becomes of a handler's result."""
        self.router.any("/result", lambda request, response: result)
        return self.ask("/result", **options)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)
