"""The settings of `App(...)` and `Router.websocket(...)`, as type checkers see them.

Names, types and choices are those of `Config`, where each setting has its default and its reason; a
test compares the two. A function that passes settings on says so by `**settings:
Unpack[AppSettings]` (PEP 692).
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import TYPE_CHECKING, Literal, TypedDict

from .addresses.origins import Allowed

if TYPE_CHECKING:
    import os

    from .http.response_watch import OnResponse
    from .routing.callbacks import Auth
    from .routing.router import Router

Origins = Allowed | Sequence[Allowed] | Set[Allowed]
"""Origins of pages, or functions that decide on them; one stands for a list of one."""

Texts = Sequence[str] | Set[str]
"""A list of texts; a single text stands for a list of one."""


class RouteSettings(TypedDict, total=False):
    """Settings that `Router.websocket(...)` takes for one route."""

    max_message_bytes: int
    max_fragments: int
    ping_interval_s: float
    pong_timeout_s: float
    idle_timeout_s: float
    reauth_every: float
    close_timeout_s: float
    max_outbound_bytes: int
    on_slow: Literal["close", "drop_newest", "drop_oldest"]
    send_timeout_s: float
    max_inbound_messages: int
    max_inbound_bytes: int
    deflate: bool
    deflate_level: int
    deflate_mem_level: int
    max_deflate_ratio: int
    on_error: Literal["keep", "close"]
    allowed_origins: Origins
    presence_fields: Texts
    history: int
    history_s: float
    replay: int


class RoomSettings(TypedDict, total=False):
    """Settings that `Router.room(...)` takes for rooms that keep history."""

    history_s: float
    replay: int


class AppSettings(TypedDict, total=False):
    """Settings that `App(...)` takes; None stands for one that is not given."""

    max_message_bytes: int | None
    max_fragments: int | None
    max_header_count: int | None
    max_header_bytes: int | None
    max_head_bytes: int | None
    handshake_timeout_s: float | None
    max_connections: int | None
    ping_interval_s: float | None
    pong_timeout_s: float | None
    idle_timeout_s: float | None
    reauth_every: float | None
    close_timeout_s: float | None
    max_outbound_bytes: int | None
    on_slow: Literal["close", "drop_newest", "drop_oldest"] | None
    send_timeout_s: float | None
    max_inbound_messages: int | None
    max_inbound_bytes: int | None
    max_worker_inbound_bytes: int | None
    max_callbacks: int | None
    callback_threads: int | None
    blocked_loop_s: float | None
    drain_timeout_s: float | None
    drain_spread_s: float | None
    retry_spread_s: float | None
    keepalive_timeout_s: float | None
    deflate: bool | None
    deflate_threshold_bytes: int | None
    deflate_level: int | None
    deflate_mem_level: int | None
    max_deflate_ratio: int | None
    on_error: Literal["keep", "close"] | None
    allowed_origins: Origins | None
    allowed_hosts: Texts | None
    trusted_proxies: Texts | None
    root_path: str | None
    max_body_bytes: int | None
    gevent_websocket_paths: Texts | None
    max_form_bytes: int | None
    max_form_fields: int | None
    body_timeout_s: float | None
    browser_client: bool | None
    backplane: Literal["local", "redis", "none"] | None
    backplane_url: str | None
    backplane_prefix: str | None
    backplane_sharded: bool | None
    backplane_wait_s: float | None
    max_backplane_bytes: int | None
    presence_fields: Texts | None
    history: int | None
    history_s: float | None
    replay: int | None
    max_history_bytes: int | None
    history_dir: str | None
    keep_environ: Texts | None
    bus_dir: str | None
    metrics: str | None
    metrics_dir: str | None
    health: str | None
    debug: bool | None
    live_token: str | None


class WrapSettings(AppSettings, total=False):
    """The settings that the `wrap` of a framework passes on to `App(...)`."""

    root: str | os.PathLike[str] | None
    live: Auth | bool | None
    on_response: OnResponse | None


class RouterSettings(WrapSettings, total=False):
    """The same where `wrap` doesn't take the router itself."""

    router: Router | None
