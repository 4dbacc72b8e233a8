"""All settings, each with its default, its unit and the reason for both.

A setting may come from four places; the later one wins: the default here, the environment
(`TINA4_WS_` + the name in capitals), a keyword of `App(...)`, and, for those marked `per_route`,
a keyword of `Router.websocket(...)`. Nothing outside this module reads the environment.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from .addresses import forwarded, hosts, origins, redis_urls
from .errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from typing_extensions import Unpack

    from .settings import AppSettings

T = TypeVar("T")

ENVIRONMENT_PREFIX = "TINA4_WS_"

_SCRIPT_NAME = "SCRIPT_NAME"  # where gunicorn looks for a root path
_ROOT = re.compile(r"(?:/[^/?#%\s\x00-\x1f\x7f]+)*")
_TOKEN_BYTES = 24
_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,256}")
_OF_THE_REQUEST = frozenset({"CONTENT_LENGTH", "CONTENT_TYPE", "REQUEST_METHOD", "SERVER_PROTOCOL"})
_OF_THE_SERVER = ("gunicorn.", "tina4_wsgi.", "werkzeug.socket", "wsgi.")
_LISTS = (
    "allowed_hosts",
    "allowed_origins",
    "gevent_websocket_paths",
    "keep_environ",
    "presence_fields",
    "trusted_proxies",
)
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


@dataclass(frozen=True, slots=True)
class Setting:
    """One field of `Config`, as the documentation and the checks see it.

    Attributes:
        unit: what the number counts; "" where there is none.
        reason: why the default is what it is.
        least, most: the allowed range of a number, both ends allowed.
        choices: the allowed values of a text.
        per_route: whether `Router.websocket(...)` takes it as a keyword.
        is_secret: whether the value may hold a password, and is never shown.
        is_path: whether a text is the path of an address.
    """

    unit: str
    reason: str
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()
    per_route: bool = False
    is_secret: bool = False
    is_path: bool = False


def _setting(
    default: T,
    unit: str,
    reason: str,
    *,
    least: float | None = None,
    most: float | None = None,
    choices: tuple[str, ...] = (),
    per_route: bool = False,
    is_secret: bool = False,
    is_path: bool = False,
) -> T:
    setting = Setting(unit, reason, least, most, choices, per_route, is_secret, is_path)
    return field(default=default, repr=not is_secret, metadata={"setting": setting})


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings of one app, or of one route of it. Immutable; checked when made.

    Raises:
        ConfigError: a value is of the wrong type or out of its range.
    """

    max_message_bytes: int = _setting(
        65_536,
        "bytes",
        "bulk data belongs on HTTP; a larger message is closed with 1009",
        least=125,
        most=1 << 30,
        per_route=True,
    )
    max_fragments: int = _setting(
        4_096,
        "fragments",
        "a message in single bytes must not cost unbounded work; more fragments are closed "
        "with 1008",
        least=1,
        most=1 << 24,
        per_route=True,
    )
    max_header_count: int = _setting(
        100,
        "header fields",
        "browsers send about 20; more is an attack",
        least=10,
        most=10_000,
    )
    max_header_bytes: int = _setting(
        8_192,
        "bytes per header line",
        "room for large cookies and tokens",
        least=1_024,
        most=65_536,
    )
    max_head_bytes: int = _setting(
        32_768,
        "bytes",
        "the whole head of a request, as large as nginx takes; a WebSocket keeps most of its "
        "head, so larger ones are answered 431",
        least=8_192,
        most=1 << 20,
    )
    handshake_timeout_s: float = _setting(
        10.0,
        "seconds",
        "a client that takes longer to send a request head is a slow loris",
        least=0.1,
        most=600,
    )
    max_connections: int = _setting(
        10_000,
        "connections per worker",
        "what one process can carry with room left for HTTP; further clients are answered 503",
        least=1,
        most=10_000_000,
    )
    ping_interval_s: float = _setting(
        25.0,
        "seconds, 0 is never",
        "shorter than the 30 to 60 s after which proxies cut silent connections",
        least=0,
        most=86_400,
        per_route=True,
    )
    pong_timeout_s: float = _setting(
        10.0,
        "seconds",
        "a peer that leaves a ping unanswered for longer is gone; its connection ends with 1006",
        least=0.1,
        most=86_400,
        per_route=True,
    )
    idle_timeout_s: float = _setting(
        0.0,
        "seconds, 0 is never",
        "a peer that answers pings may still have nothing to say; it is closed with 1000",
        least=0,
        most=86_400 * 365,
        per_route=True,
    )
    reauth_every: float = _setting(
        0.0,
        "seconds, 0 is never",
        "how often `auth` is asked again; a user that it then refuses is closed with 4401, "
        "and with 1013 if it could not be asked for three times as long",
        least=0,
        most=86_400 * 365,
        per_route=True,
    )
    close_timeout_s: float = _setting(
        5.0,
        "seconds",
        "how long the peer may take to answer a close frame",
        least=0.1,
        most=600,
        per_route=True,
    )
    max_outbound_bytes: int = _setting(
        1 << 20,
        "bytes per connection",
        "what may wait for a slow reader; one with more is closed with 1013",
        least=4_096,
        most=1 << 32,
        per_route=True,
    )
    on_slow: Literal["close", "drop_newest", "drop_oldest"] = _setting(
        "close",
        "",
        "what happens to a client whose outbound queue is full when a broadcast arrives: close it "
        "with 1013, or, with "
        '"drop_newest" or "drop_oldest", drop a queued message',
        choices=("close", "drop_newest", "drop_oldest"),
        per_route=True,
    )
    send_timeout_s: float = _setting(
        5.0,
        "seconds without progress",
        "a reader that takes nothing for this long is closed with 1013",
        least=0.1,
        most=3_600,
        per_route=True,
    )
    max_inbound_messages: int = _setting(
        64,
        "messages per connection",
        "what may wait for a slow callback; beyond that, reading pauses",
        least=1,
        most=100_000,
        per_route=True,
    )
    max_inbound_bytes: int = _setting(
        1 << 20,
        "bytes per connection",
        "what may wait for a slow callback, a message still arriving included; beyond that, "
        "reading pauses, but one message of any length always fits",
        least=1_024,
        most=1 << 32,
        per_route=True,
    )
    max_worker_inbound_bytes: int = _setting(
        256 << 20,
        "bytes per worker",
        "the same for all connections together; beyond that, connections with slow callbacks "
        "are not read",
        least=65_536,
        most=1 << 40,
    )
    max_callbacks: int = _setting(
        1_000,
        "callbacks at once per worker",
        "limits greenlets, and with them database connections",
        least=1,
        most=1_000_000,
    )
    callback_threads: int = _setting(
        10,
        "callbacks at once per worker, where they run in native threads",
        "limits these threads, and with them database connections; in a gevent worker "
        "`max_callbacks` does",
        least=1,
        most=100,
    )
    blocked_loop_s: float = _setting(
        0.5,
        "seconds, 0 is never",
        "code that holds the event loop for this long is logged with its stack; no other "
        "client is served meanwhile",
        least=0,
        most=3_600,
    )
    drain_timeout_s: float = _setting(
        10.0,
        "seconds",
        "how long a stopping worker waits for close handshakes and callbacks",
        least=0,
        most=3_600,
    )
    drain_spread_s: float = _setting(
        5.0,
        "seconds, 0 is at once",
        "longest time over which a stopping worker spreads its close frames; half of "
        "`drain_timeout_s`, so that one "
        "worker can absorb the reconnects",
        least=0,
        most=3_600,
    )
    retry_spread_s: float = _setting(
        15.0,
        "seconds, 0 is no hint",
        "upper bound of the random reconnect delay in each close frame, sized so that about 500 "
        "clients return per "
        "second",
        least=0,
        most=60,
    )
    keepalive_timeout_s: float = _setting(
        75.0,
        "seconds",
        "own server only: how long an idle HTTP connection stays open; 0 closes it after each "
        "request",
        least=0,
        most=3_600,
    )
    deflate: bool = _setting(
        False,
        "",
        "permessage-deflate costs CPU; it pays off for texts of some KiB",
        per_route=True,
    )
    deflate_threshold_bytes: int = _setting(
        1_024,
        "bytes",
        "shorter messages fit into one packet, compressed or not",
        least=0,
        most=1 << 30,
    )
    deflate_level: int = _setting(
        6,
        "on zlib's scale",
        "how hard compression tries: zlib's own default; 1 takes less CPU for slightly longer "
        "messages, 9 the most",
        least=1,
        most=9,
        per_route=True,
    )
    deflate_mem_level: int = _setting(
        8,
        "on zlib's scale",
        "the size of zlib's tables, anew for each message: zlib's own default; 5 takes "
        "slightly less CPU for messages of about 1 KiB",
        least=1,
        most=9,
        per_route=True,
    )
    max_deflate_ratio: int = _setting(
        300,
        "times its size, 0 is any",
        "how far a compressed message over 16 KiB may inflate: JSON reaches 20, equal rows "
        "250, a bomb 1 000; one that inflates further is closed with 1009",
        least=0,
        most=1_100,
        per_route=True,
    )
    on_error: Literal["keep", "close"] = _setting(
        "keep",
        "",
        'a bad message must not end a session; "close" ends it: 1011 for a failing callback, '
        "1007 for invalid JSON",
        choices=("keep", "close"),
        per_route=True,
    )
    allowed_origins: tuple[origins.Allowed, ...] = _setting(
        (),
        "",
        'pages that may connect besides those of the same origin: "https://example.org", '
        '"https://*.example.org", "null", "file://", or a function of the origin; "*" allows '
        "any",
        per_route=True,
    )
    allowed_hosts: tuple[str, ...] = _setting(
        (),
        "",
        'hosts that are served, such as "example.org" or "*.example.org"; others are answered '
        "421. By default any host is served, but pages reach a server that listens on "
        "loopback only, without a proxy, under the loopback's names alone",
    )
    trusted_proxies: tuple[str, ...] = _setting(
        (),
        "",
        "addresses or networks whose X-Forwarded-* and Forwarded headers are trusted",
    )
    root_path: str = _setting(
        "",
        "",
        'own server only: the path below which a proxy serves the app, such as "/shop"; by '
        "default that of SCRIPT_NAME",
    )
    max_body_bytes: int = _setting(
        16 << 20,
        "bytes",
        "larger HTTP request bodies are answered 413",
        least=0,
        most=1 << 40,
    )
    gevent_websocket_paths: tuple[str, ...] = _setting(
        (),
        "",
        'paths where the wrapped app wants `environ["wsgi.websocket"]`, such as "/socket.io"; '
        "the paths below belong to them",
    )
    max_form_bytes: int = _setting(
        1 << 20,
        "bytes",
        "forms without their files, and JSON, cost many times their size to parse; larger "
        "ones are answered 413",
        least=1_024,
        most=1 << 30,
    )
    max_form_fields: int = _setting(
        1_000,
        "fields",
        "fields of a form, files included; each costs as much as thousands of its bytes; "
        "forms with more are answered 413",
        least=1,
        most=1_000_000,
    )
    body_timeout_s: float = _setting(
        600.0,
        "seconds",
        "own server only: the longest a request body may take; it must also arrive at 4 KiB a "
        "second or faster",
        least=1,
        most=86_400,
    )
    browser_client: bool = _setting(
        True,
        "",
        "serves /__tina4/tina4-ws.js, with which pages connect; off leaves that address to the app",
    )
    backplane: Literal["local", "redis", "none"] = _setting(
        "local",
        "",
        'which other processes broadcasts reach: "local", those of this machine; "redis", '
        'all; "none", none',
        choices=("local", "redis", "none"),
    )
    backplane_url: str = _setting(
        "redis://127.0.0.1:6379",
        "",
        "where Redis or Valkey runs; rediss:// for TLS, user:password@ before the host",
        is_secret=True,
    )
    backplane_prefix: str = _setting(
        "tina4",
        "",
        "prefix of every Redis channel; apps that share one Redis need one each",
    )
    backplane_sharded: bool = _setting(
        False,
        "",
        "Redis 7's sharded pub/sub, for a Redis Cluster",
    )
    backplane_wait_s: float = _setting(
        1.0,
        "seconds",
        "how long the first client of a path waits for its subscription; after that it is let "
        "in anyway",
        least=0,
        most=60,
    )
    max_backplane_bytes: int = _setting(
        16 << 20,
        "bytes per process",
        "what may wait for another process, or for Redis; anything beyond is dropped",
        least=65_536,
        most=1 << 34,
    )
    presence_fields: tuple[str, ...] = _setting(
        (),
        "",
        "fields of `connection.state` that `members()` shows, also to this app's other processes",
        per_route=True,
    )
    history: int = _setting(
        0,
        "messages per path",
        "how many are kept, so that a client that comes back gets what it missed; 0 keeps none, "
        "and none of that code runs",
        least=0,
        most=10_000,
        per_route=True,
    )
    history_s: float = _setting(
        300.0,
        "seconds",
        "older messages are not kept; longer than a deploy, a tunnel or a lift takes",
        least=1,
        most=86_400 * 30,
        per_route=True,
    )
    replay: int = _setting(
        0,
        "messages, at most `history`",
        'how many of the latest ones a newcomer gets before "open", whatever client it uses',
        least=0,
        most=10_000,
        per_route=True,
    )
    max_history_bytes: int = _setting(
        64 << 20,
        "bytes per machine",
        "what kept messages may take; the oldest go first, and whoever needed them is told",
        least=65_536,
        most=1 << 40,
    )
    history_dir: str = _setting(
        "",
        "",
        "the folder of the file that keeps them; by default `bus_dir`, or one per user and project",
    )
    keep_environ: tuple[str, ...] = _setting(
        (),
        "",
        "environ keys of a middleware around the app that events and re-checks can read too; "
        "kept by reference",
    )
    bus_dir: str = _setting(
        "",
        "",
        "the folder where processes of this machine meet; by default one per user and project",
    )
    metrics: str = _setting(
        "",
        "",
        'the address of the numbers for Prometheus, such as "/metrics"; off by default, since '
        "a proxy must keep strangers out",
        is_path=True,
    )
    metrics_dir: str = _setting(
        "",
        "",
        "the folder where workers add up their numbers; by default one per user and project",
    )
    health: str = _setting(
        "",
        "",
        "the address where a load balancer asks whether to send requests here, such as "
        '"/health"; off leaves it to the app',
        is_path=True,
    )
    debug: bool = _setting(
        False,
        "",
        "the live page, and tracebacks in the browser, for anyone with this start's link; "
        "templates reload",
    )
    live_token: str = _setting(
        "",
        "",
        "the token of that link; by default a new one for each start",
        is_secret=True,
    )

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):
            _check(item.name, getattr(self, item.name), item.default, item.metadata["setting"])

        forwarded.check_list("trusted_proxies", self.trusted_proxies)
        for path in self.gevent_websocket_paths:
            _check_prefix("gevent_websocket_paths", path)
        for key in self.keep_environ:
            _check_kept_key(key)

        _check_history(self)
        origins.check_list("allowed_origins", self.allowed_origins)
        hosts.check_list("allowed_hosts", self.allowed_hosts)
        _check_root(self.root_path)
        redis_urls.check("backplane_url", self.backplane_url)

        if self.live_token and not _TOKEN.fullmatch(self.live_token):
            raise ConfigError(
                "live_token, expected at least 16 letters, digits, dashes or underscores"
            )

    @classmethod
    def from_environ(
        cls, environ: Mapping[str, str] | None = None, **overrides: Unpack[AppSettings]
    ) -> Config:
        """Read the settings of one app: defaults, then the environment, then keywords.

        Args:
            environ: where `TINA4_WS_…` variables are looked up; the process's own by default.
            overrides: fields by name; None means "not given".
        Raises:
            ConfigError: an unknown name, or a value out of its range.
        """
        environ = os.environ if environ is None else environ
        values: dict[str, Any] = {}  # Any: each field has its own type
        for item in dataclasses.fields(cls):
            text = environ.get(ENVIRONMENT_PREFIX + item.name.upper())
            if text is not None:
                values[item.name] = _parse(item.name, text.strip(), item.default)

        values = _normal(values)
        if "root_path" not in values and environ.get(_SCRIPT_NAME):
            values["root_path"] = _root_of_environ(environ[_SCRIPT_NAME])

        given = {name: value for name, value in overrides.items() if value is not None}
        _refuse_unknown(given, {item.name for item in dataclasses.fields(cls)}, "app")
        values.update(_normal(given))
        return cls(**values)

    def for_route(self, options: Mapping[str, object]) -> Config:
        """Return the settings of one route: these, with `options` laid over them.

        Raises:
            ConfigError: an option is unknown, or is the app's alone, or is out of its range.
        """
        if not options:
            return self
        _refuse_unknown(options, ROUTE_OPTIONS, "route")
        return dataclasses.replace(self, **_normal(options))


ROUTE_OPTIONS = frozenset(
    item.name for item in dataclasses.fields(Config) if item.metadata["setting"].per_route
)
"""The settings that a route may override."""


def of_texts(texts: Mapping[str, str]) -> dict[str, object]:
    """Return the settings of `App(...)` that a configuration file has, spelled as variables are.

    Args:
        texts: by the names of fields.
    Raises:
        ConfigError: a name is unknown, or a text is none of its field's type.
    """
    defaults = {item.name: item.default for item in dataclasses.fields(Config)}
    _refuse_unknown(texts, set(defaults), "app")
    return {name: _parse(name, text.strip(), defaults[name], name) for name, text in texts.items()}


def unknown_variables(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Find variables that look like settings and are none, so that they change nothing.

    Args:
        environ: the process's own by default.
    Returns:
        The name of each such variable, with that of the setting that was probably meant, or "".
    """
    environ = os.environ if environ is None else environ
    known = {item.name.upper() for item in dataclasses.fields(Config)}
    asked = {
        name.removeprefix(ENVIRONMENT_PREFIX)
        for name in environ
        if name.startswith(ENVIRONMENT_PREFIX)
    }

    found = {}
    for name in sorted(asked - known):
        near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.7)
        found[ENVIRONMENT_PREFIX + name] = ENVIRONMENT_PREFIX + near[0] if near else ""
    return found


def isolated_environ() -> dict[str, str]:
    """Return this process's variables for a test's server that reaches no other process.

    Variables that say how to reach others stay in force.
    """
    environ = dict(os.environ)
    if not {f"{ENVIRONMENT_PREFIX}BACKPLANE", f"{ENVIRONMENT_PREFIX}BUS_DIR"} & environ.keys():
        environ[f"{ENVIRONMENT_PREFIX}BACKPLANE"] = "none"
    return environ


def new_live_token() -> str:
    """Return a `live_token` that nobody guesses."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def keep_live_token() -> None:
    """Pass this start's live token on to child processes, unless one is set."""
    token = Config.from_environ().live_token or new_live_token()
    os.environ[f"{ENVIRONMENT_PREFIX}LIVE_TOKEN"] = token


def is_in_gunicorn(environ: Mapping[str, str] | None = None) -> bool:
    """Return whether gunicorn runs this process, as its master or as a worker.

    Known before gunicorn has told the process anything else.
    """
    environ = os.environ if environ is None else environ
    return environ.get("SERVER_SOFTWARE", "").startswith("gunicorn")


def wants_colours(environ: Mapping[str, str] | None = None) -> bool:
    """Return whether the user lets programs colour their output: see NO_COLOR, and TERM."""
    environ = os.environ if environ is None else environ
    return not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def _refuse_unknown(
    given: Mapping[str, object], known: frozenset[str] | set[str], where: str
) -> None:
    unknown = sorted(set(given) - known)
    if unknown:
        hint = _did_you_mean(unknown[0], known) or ","
        raise ConfigError(
            f"unknown {where} setting {unknown[0]!r}{hint} expected one of: "
            f"{', '.join(sorted(known))}"
        )


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.7)
    return f"; did you mean {near[0]!r}?" if near else ""


def _normal(values: Mapping[str, object]) -> dict[str, Any]:  # Any: each field has its own type
    """Make lists tuples, so that a Config stays hashable; take the slash off a path's end."""
    normal: dict[str, Any] = dict(values)
    if isinstance(root := normal.get("root_path"), str):
        normal["root_path"] = root.rstrip("/")
    for name in _LISTS:
        value = normal.get(name)
        if isinstance(value, str) or (name == "allowed_origins" and callable(value)):
            normal[name] = (value,)
        elif isinstance(value, list | set | frozenset):
            normal[name] = tuple(value)
    return normal


def _parse(name: str, text: str, default: object, place: str = "") -> object:
    variable = place or ENVIRONMENT_PREFIX + name.upper()
    if isinstance(default, bool):
        if text.lower() not in _TRUE | _FALSE:
            raise ConfigError(f"{variable}={text!r}, expected yes or no")
        return text.lower() in _TRUE

    if isinstance(default, int | float):
        try:
            return type(default)(text)
        except ValueError as exc:
            raise ConfigError(f"{variable}={text!r}, expected a number") from exc

    if isinstance(default, tuple):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return text


def _check(
    name: str, value: Any, default: object, setting: Setting
) -> None:  # Any: its type is looked at here
    if isinstance(default, bool):
        expected: Any = bool
    elif isinstance(default, float):
        expected = (int, float)
    else:
        expected = type(default)

    if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
        shown = f" is a {type(value).__name__}" if setting.is_secret else f"={value!r}"
        raise ConfigError(f"{name}{shown}, expected {type(default).__name__}")

    if setting.least is not None and not value >= setting.least:  # also NaN, which is no less
        raise ConfigError(
            f"{name}={value!r}, expected at least {setting.least:.15g} {setting.unit}"
        )
    if setting.most is not None and value > setting.most:
        raise ConfigError(f"{name}={value!r}, expected at most {setting.most:.15g} {setting.unit}")

    if setting.choices and value not in setting.choices:
        raise ConfigError(f"{name}={value!r}, expected one of: {', '.join(setting.choices)}")
    if setting.is_path and value and not value.startswith("/"):
        raise ConfigError(
            f'{name}={value!r}, expected a path that begins with a slash, as "/{name}"'
        )

    if (
        isinstance(value, tuple)
        and name != "allowed_origins"
        and not all(isinstance(part, str) for part in value)
    ):
        raise ConfigError(f"{name}={value!r}, expected a list of texts")


def _check_history(config: Config) -> None:
    if config.replay > config.history:
        raise ConfigError(
            f"replay={config.replay}, expected at most history={config.history}: only what is kept "
            "can be replayed"
        )
    if config.history and config.on_slow != "close":
        raise ConfigError(
            f"history={config.history} with on_slow={config.on_slow!r}, expected on_slow='close': "
            "a slow client would miss messages without a word, and closed it comes back and gets "
            "them"
        )


def _check_prefix(name: str, path: str) -> None:
    if (
        not path.startswith("/")
        or any(character in path for character in "?#*{}<> ")
        or not path.isprintable()
    ):
        raise ConfigError(
            f'{name}: {path!r}, expected the beginning of a path, as "/socket.io", without a query'
        )


def _check_kept_key(key: str) -> None:
    if not key.isprintable() or " " in key or not key:
        raise ConfigError(
            f'keep_environ: {key!r} is no key of an environ, expected as "beaker.session"'
        )
    if key in _OF_THE_REQUEST or key.startswith(_OF_THE_SERVER):
        raise ConfigError(
            f"keep_environ: {key!r} belongs to the server and its one request, expected a key that "
            "a middleware "
            'around the app sets, as "beaker.session"'
        )


def _root_of_environ(text: str) -> str:
    """Take SCRIPT_NAME as gunicorn does, which has it with a slash at its end, too."""
    root = text.rstrip("/")
    try:
        _check_root(root)
    except ConfigError as exc:
        raise ConfigError(str(exc).replace("root_path", _SCRIPT_NAME, 1)) from exc
    return root


def _check_root(root: str) -> None:
    if not _ROOT.fullmatch(root) or {".", ".."} & set(root.split("/")):
        raise ConfigError(
            f"root_path={root!r}, expected a path as a browser shows it, not percent-encoded, with "
            "a slash in front "
            'and none at its end, as "/shop"'
        )
