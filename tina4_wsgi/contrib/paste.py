"""A filter for PasteDeploy: `use = egg:tina4-wsgi` in an ini file puts us around its application.

    [filter:live]
    use = egg:tina4-wsgi
    routes = shop.websockets
    reauth_every = 10

    [pipeline:main]
    pipeline = live shop

Settings are those of `App(...)`, spelled as in environment variables, and those that `filter_app`
names.
"""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING

from ..app import App
from ..config import of_texts
from ..errors import ConfigError
from .logout import close_on_logout
from .passage import class_named, path_to

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from _typeshed.wsgi import WSGIApplication

__all__ = ["filter_app"]

_FRAMEWORKS = ("bottle", "django", "falcon", "flask", "pyramid")

_FUNCTIONS = ("live", "on_response")
"""Keywords of `App` that are functions, named in an ini file as `module:name`."""

_BETWEEN = re.compile(r"[\s,]+")

# In what each framework's application differs from middleware around it.
_APPS = {
    "bottle": ("Bottle", "router"),
    "falcon": ("App", "add_route"),
    "flask": ("Flask", "url_map"),
    "pyramid": ("Router", "routes_mapper"),
}


def filter_app(
    app: WSGIApplication, global_conf: Mapping[str, str], **local_conf: str
) -> WSGIApplication:
    """Return an `App` around an application of an ini file; see `paste.filter_app_factory`.

    Args:
        app: what the filter stands around.
        global_conf: of PasteDeploy; its `here`, the folder of the file, is the default of `root`.
        local_conf: the settings of the section. Besides those of `App`:
            `routes`: modules to import, whose routes are those of the shared `Router`;
            `close_on_logout`: paths of the application's log-outs, see `contrib.logout`;
            `framework`: bottle, django, falcon, flask or pyramid, whose `wrap` is used;
            `on_response`, `live`: functions, as "module:name";
            `root`: the folder with `src/routes`.
    Raises:
        ConfigError: a setting is unknown or out of its range, or names what isn't there.
    """
    settings = dict(local_conf)
    routes = _list(settings.pop("routes", ""))
    logouts = _list(settings.pop("close_on_logout", ""))
    framework = settings.pop("framework", "").strip()
    root = settings.pop("root", global_conf.get("here"))
    functions = {name: _named(name, settings.pop(name)) for name in _FUNCTIONS if name in settings}

    wrap = _wrap_of(framework, app)
    wrapped = wrap(app, root=root, **functions, **of_texts(settings))
    if logouts:
        close_on_logout(wrapped, *logouts)
    for name in routes:
        _import("routes", name)
    return wrapped


def _list(text: str) -> list[str]:
    return [part for part in _BETWEEN.split(text) if part]


def _wrap_of(framework: str, app: WSGIApplication) -> Callable[..., App]:
    """Return what makes an `App` around `app`."""
    if not framework:
        return App
    if framework not in _FRAMEWORKS:
        raise ConfigError(f"framework={framework!r}, expected one of: {', '.join(_FRAMEWORKS)}")

    wrap: Callable[..., App] = importlib.import_module(f"tina4_wsgi.contrib.{framework}").wrap
    kind = _APPS.get(framework)
    path = kind and path_to(app, lambda one: class_named(one, *kind) is not None)
    if not path:
        return wrap  # it is the framework's own, or `wrap` says what is wrong with it

    inner: object = app
    for name in path.split(".")[1:]:
        inner = getattr(inner, name)
    return lambda stack, **settings: wrap(stack, app=inner, **settings)


def _named(setting: str, text: str) -> object:
    """Return the function that an ini file names."""
    if text.strip().lower() in ("false", "no", "off", "0") and setting == "live":
        return False
    module, _, path = text.strip().partition(":")
    found: object = _import(setting, module)
    for name in path.split("."):
        if not hasattr(found, name):
            raise ConfigError(f"{setting}={text!r}: {module} has no {path!r}, expected module:name")
        found = getattr(found, name)
    return found


def _import(setting: str, name: str) -> object:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        # A module that it imports itself is its own matter.
        if exc.name is not None and f"{name}.".startswith(f"{exc.name}."):
            raise ConfigError(f"{setting} names {name!r}, expected a module") from exc
        raise
