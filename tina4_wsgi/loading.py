"""Finds the application that the command line names, and says clearly why it can't be had."""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any

from .errors import Tina4Error

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

DEFAULT_ATTRIBUTE = "app"


class LoadError(Tina4Error):
    """The application can't be loaded.

    Attributes:
        user_traceback: where the user's own code failed, "" if it did not.
    """

    def __init__(self, message: str, user_traceback: str = "") -> None:
        super().__init__(message)
        self.user_traceback = user_traceback


def load_app(target: str | None, folder: Path) -> WSGIApplication:
    """Give the WSGI application that `target` names.

    Args:
        target: "module:name", "module" or "module:make()"; None for `wsgi:app` where there is a wsgi.py,
            and otherwise for the folder's routes in src/.
        folder: where the user's modules are; it is put first on sys.path.
    Raises:
        LoadError: there is no such thing, or the user's code failed.
    """
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    if target is None:
        if not (folder / "wsgi.py").is_file():
            return _app_of_folder(folder)
        target = "wsgi"
    module_name, _, attribute = target.partition(":")
    if not all(part.isidentifier() for part in module_name.split(".")) or module_name.endswith(".py"):
        raise LoadError(f"{target!r} names no module, expected module:app as in wsgi:app")
    app = _find(_import(module_name, folder), module_name, attribute or DEFAULT_ATTRIBUTE)
    if not callable(app):
        kind = type(app).__name__
        raise LoadError(f"{target!r} is of type {kind}, expected a WSGI application, which can be called")
    return app  # type: ignore[no-any-return]  # whatever the user has there


def _app_of_folder(folder: Path) -> WSGIApplication:
    if not (folder / "src").is_dir():
        raise LoadError(
            f"there is neither a wsgi.py nor a src folder in {folder}; "
            "name the application as module:app, or put routes into src/routes"
        )
    from .app import App

    try:
        return App(root=folder)
    except Exception as exc:
        raise LoadError("the application in src can't be made", _of_user(exc)) from exc


def _import(name: str, folder: Path) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        if exc.name is not None and f"{name}.".startswith(f"{exc.name}."):
            raise LoadError(f"there is no module {name!r} in {folder}, nor is one installed") from exc
        raise LoadError(f"module {name!r} can't be imported", _of_user(exc)) from exc
    except Exception as exc:
        raise LoadError(f"module {name!r} can't be imported", _of_user(exc)) from exc


def _find(module: ModuleType, module_name: str, path: str) -> Any:
    """Follow a dotted path; with "()" behind it, call what is there, as Flask's factories want it."""
    names = path.removesuffix("()").split(".")
    found: Any = module
    for name in names:
        if not hasattr(found, name):
            raise LoadError(f"module {module_name!r} has no {name!r}{_hint(module, module_name)}")
        found = getattr(found, name)
    if not path.endswith("()"):
        return found
    try:
        return found()
    except Exception as exc:
        raise LoadError(f"{module_name}:{path} failed", _of_user(exc)) from exc


def _hint(module: ModuleType, module_name: str) -> str:
    """Name what is likely to be meant: what other servers look for by default."""
    for name in ("app", "application", "create_app"):
        if callable(getattr(module, name, None)):
            call = "()" if name == "create_app" else ""
            return f", but it has {name!r}: try {module_name}:{name}{call}"
    return ""


def _of_user(exc: BaseException) -> str:
    """Lay out a traceback from the user's first line on, without the import machinery's."""
    return "".join(traceback.format_exception(type(exc), exc, _skip_machinery(exc.__traceback__)))


def _skip_machinery(step: TracebackType | None) -> TracebackType | None:
    first = step
    while first is not None:
        filename = first.tb_frame.f_code.co_filename
        if filename != __file__ and "importlib" not in filename:
            return first
        first = first.tb_next
    return None
