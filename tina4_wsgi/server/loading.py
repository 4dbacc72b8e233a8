"""Loads the application that the command line names, or says clearly why it can't be loaded."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import Config
from ..errors import ConfigError, RouteError, Tina4Error

if TYPE_CHECKING:
    from types import ModuleType

    from _typeshed.wsgi import WSGIApplication

DEFAULT_ATTRIBUTE = "app"

_INI = "config:"

_OUR_FOLDER = f"{Path(__file__).resolve().parents[1]}{os.sep}"


class LoadError(Tina4Error):
    """The application can't be loaded.

    Attributes:
        user_traceback: where the user's own code failed; "" if it didn't.
    """

    def __init__(self, message: str, user_traceback: str = "") -> None:
        super().__init__(message)
        self.user_traceback = user_traceback


def load_app(target: str | None, folder: Path) -> WSGIApplication:
    """Load and return the WSGI application that `target` names.

    Args:
        target: "module:name", "module" or "module:make()"; "config:FILE.ini" or
            "config:FILE.ini#name" for an application of PasteDeploy; None for `wsgi:app` where
            there is a wsgi.py, and otherwise for the folder's routes in src/.
        folder: where the user's modules are; it becomes the first entry of sys.path.
    Raises:
        LoadError: the target doesn't exist, or the user's code failed.
    """
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    if target is None:
        if not (folder / "wsgi.py").is_file():
            return _app_of_folder(folder)
        target = "wsgi"
    if target.startswith(_INI):
        return _app_of_ini(target, folder)

    module_name, _, attribute = target.partition(":")
    is_module = all(part.isidentifier() for part in module_name.split("."))
    if not is_module or module_name.endswith(".py"):
        raise LoadError(f"{target!r} names no module, expected module:app as in wsgi:app")

    app = _find(_import(module_name, folder), module_name, attribute or DEFAULT_ATTRIBUTE, folder)
    if not callable(app):
        kind = type(app).__name__
        raise LoadError(
            f"{target!r} is of type {kind}, expected a WSGI application, which can be called"
        )
    return app  # type: ignore[no-any-return]  # whatever the user has there


def config_of(app: object) -> Config:
    """Return the settings of an `App`, or of the only one in this process that stands within.

    For any other application, those of the environment.
    """
    config = getattr(app, "config", None)  # of a Flask app it is a dict
    if isinstance(config, Config):
        return config

    from ..app import apps_of_this_process

    within = apps_of_this_process()
    return within[0].config if len(within) == 1 else Config.from_environ()


def _app_of_folder(folder: Path) -> WSGIApplication:
    if not (folder / "src").is_dir():
        raise LoadError(
            f"there is neither a wsgi.py nor a src folder in {folder}; "
            "name the application as module:app, or put routes into src/routes"
        )
    from ..app import App

    try:
        return App(root=folder)
    except Exception as exc:
        raise _failed("the application in src can't be made", exc, folder) from exc


def _app_of_ini(target: str, folder: Path) -> WSGIApplication:
    """Load the application that an ini file describes, as `pserve` and `gunicorn --paste` do."""
    try:
        from paste.deploy import loadapp
    except ImportError as exc:
        raise LoadError(
            f"{target!r} needs PasteDeploy, which is not installed: pip install pastedeploy"
        ) from exc

    name = target.removeprefix(_INI).partition("#")[0]
    if not (folder / name).is_file():
        raise LoadError(f"there is no file {name!r} in {folder}, expected config:FILE.ini")
    try:
        return loadapp(target, relative_to=str(folder))  # type: ignore[no-any-return]
    except ConfigError as exc:
        raise LoadError(f"{name}: {exc}") from exc
    except LookupError as exc:
        if isinstance(exc, KeyError | IndexError):
            raise _failed(f"the application of {name} can't be made", exc, folder) from exc
        raise LoadError(f"{name}: {exc}") from exc  # it lacks a section, or a package
    except Exception as exc:
        raise _failed(f"the application of {name} can't be made", exc, folder) from exc


def _import(name: str, folder: Path) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        if exc.name is not None and f"{name}.".startswith(f"{exc.name}."):
            raise LoadError(
                f"there is no module {name!r} in {folder}, nor is one installed"
            ) from exc
        raise _failed(f"module {name!r} can't be imported", exc, folder) from exc
    except Exception as exc:
        raise _failed(f"module {name!r} can't be imported", exc, folder) from exc


def _find(module: ModuleType, module_name: str, path: str, folder: Path) -> Any:
    """Follow a dotted path; if it ends in "()", call what it names, such as a Flask factory."""
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
        raise _failed(f"{module_name}:{path} failed", exc, folder) from exc


def _hint(module: ModuleType, module_name: str) -> str:
    """Suggest a name that the module has and other servers look for by default."""
    for name in ("app", "application", "create_app"):
        if callable(getattr(module, name, None)):
            call = "()" if name == "create_app" else ""
            return f", but it has {name!r}: try {module_name}:{name}{call}"
    return ""


def _failed(what: str, exc: Exception, folder: Path) -> LoadError:
    if isinstance(exc, RouteError):
        return LoadError(str(exc))  # names the place, and the right spelling
    return LoadError(_place_and_error(exc, folder) or what, _of_user(exc))


def _place_and_error(exc: BaseException, folder: Path) -> str:
    """Return on one line where and how the user's code failed.

    For example "src/routes/chat.py:26: SyntaxError: invalid syntax"; "" if no line is known.
    """
    while isinstance(exc, Tina4Error) and exc.__cause__ is not None:
        exc = exc.__cause__  # the original error says more than ours

    (error, *_) = traceback.format_exception_only(exc)[-1].splitlines()
    if isinstance(exc, SyntaxError) and exc.filename:
        return f"{_below(exc.filename, folder)}:{exc.lineno}: {error}"

    report = traceback.TracebackException.from_exception(exc)
    _keep(report, is_ours_kept=not isinstance(exc, Tina4Error))
    # The place is the user's own line where there is one, not one of a library that it called.
    own = [step for step in report.stack if Path(step.filename).is_relative_to(folder)]
    steps = own or list(report.stack)
    return f"{_below(steps[-1].filename, folder)}:{steps[-1].lineno}: {error}" if steps else ""


def _below(filename: str, folder: Path) -> str:
    path = Path(filename)
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)


def _of_user(exc: BaseException) -> str:
    """Format a traceback without the import machinery, and without our lines for a user's error."""
    report = traceback.TracebackException.from_exception(exc)
    _keep(report, is_ours_kept=not isinstance(exc, Tina4Error))
    return "".join(report.format())


def _keep(report: traceback.TracebackException, is_ours_kept: bool) -> None:
    steps = [
        step
        for step in report.stack
        if "importlib" not in step.filename and step.filename != __file__
    ]

    # An unforeseen error that arises in our own code is ours, so its traceback stays whole.
    if not (is_ours_kept and steps and _is_ours(steps[-1])):
        steps = [step for step in steps if not _is_ours(step)]
    report.stack[:] = steps

    for earlier in (report.__cause__, report.__context__):
        if earlier is not None:
            _keep(earlier, is_ours_kept)


def _is_ours(step: traceback.FrameSummary) -> bool:
    # "<string>" is the code that dataclasses generate for us.
    return step.filename.startswith(_OUR_FOLDER) or step.filename == "<string>"
