"""Settings of every kind, those that are passed on included."""

# pyright: strict

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tina4_wsgi import App, Connection, Publisher, Router, publish

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from tina4_wsgi.settings import AppSettings, RouteSettings


def is_ours(origin: str) -> bool:
    return origin.endswith(".example.org")


def make_app(**settings: Unpack[AppSettings]) -> App:
    return App(router=Router(), **settings)


def chat(connection: Connection, event: str, data: str | bytes) -> None: ...


App(
    max_message_bytes=4_096,
    ping_interval_s=20,
    reauth_every=0.5,
    deflate=True,
    backplane="redis",
    on_slow="close",
)
App(allowed_origins="https://example.org", allowed_hosts="example.org", presence_fields=("name",))
App(
    allowed_origins=["https://example.org", is_ours],
    trusted_proxies={"10.0.0.0/8"},
    keep_environ=["beaker.session"],
)
App(allowed_origins=is_ours, health=os.environ.get("HEALTH"), live_token=None)
make_app(debug=True, metrics="/metrics")

strict: RouteSettings = {"max_message_bytes": 1_024, "on_error": "close"}
Router.websocket("/a", chat, **strict)
Router.websocket("/b", chat, allowed_origins=[is_ours], deflate=False, idle_timeout_s=60)

publish("/a", "hello", bus_dir="/run/app")
Publisher(root=".", backplane="redis", backplane_url="redis://127.0.0.1").close()
