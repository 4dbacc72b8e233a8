"""Finds the routes of an app by importing every module below `src/routes`.

The folder becomes a package whose name is made of its path, so that two apps in one process don't
take each other's modules. Python's own import does the rest: a module runs once, shows its file in
tracebacks, and may import its neighbours (`from ._shared import check`).
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConfigError, RouteError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

FOLDER = Path("src", "routes")
"""The folder of route modules, relative to the root of an app."""

_INIT = "__init__.py"


def discover(root: Path) -> tuple[ModuleType, ...]:
    """Import all route modules of an app, in the order of their names.

    Names that begin with "_" or "." are left out. A second call imports what is new since the
    first.

    Raises:
        ConfigError: a module can't be imported; names its file, with the module's own error as
            cause.
        RouteError: a module registers a bad route.
    """
    folder = Path(os.path.realpath(root / FOLDER))
    if not folder.is_dir():
        return ()

    # Python may have listed the folder before a file was written.
    importlib.invalidate_caches()
    package = _package(folder)
    return tuple(_import(package, folder, parts) for parts in sorted(_modules(folder)))


def _modules(folder: Path) -> Iterator[tuple[str, ...]]:
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name[0] not in "_."]
        above = Path(place).relative_to(folder).parts
        for name in names:
            if name.endswith(".py") and name[0] not in "_.":
                parts = (*above, name.removesuffix(".py"))
                _check_dots(parts, Path(place, name))
                yield parts


def _check_dots(parts: tuple[str, ...], file: Path) -> None:
    for part in parts:
        if "." in part:
            raise ConfigError(
                f"{file} can't be imported: a dot in {part!r}, write {part.replace('.', '-')!r}"
            )


def _package(folder: Path) -> str:
    """Return the name of the package that stands for a folder, and make it if it isn't there."""
    name = f"tina4_routes_{hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]}"
    if name not in sys.modules:
        spec = _package_spec(name, folder)
        package = importlib.util.module_from_spec(spec)
        sys.modules[name] = package
        if spec.loader is not None and spec.has_location:
            _run(spec, package)
    return name


def _package_spec(name: str, folder: Path) -> ModuleSpec:
    init = folder / _INIT
    if init.is_file():
        spec = importlib.util.spec_from_file_location(
            name, init, submodule_search_locations=[str(folder)]
        )
        assert spec is not None, "a file that ends with .py has a loader"
        return spec
    spec = ModuleSpec(name, None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    return spec


def _run(spec: ModuleSpec, package: ModuleType) -> None:
    assert spec.loader is not None
    try:
        spec.loader.exec_module(package)
    except RouteError:
        del sys.modules[spec.name]
        raise
    except Exception as exc:
        del sys.modules[spec.name]
        raise _failed(Path(str(spec.origin)), exc) from exc


def _import(package: str, folder: Path, parts: tuple[str, ...]) -> ModuleType:
    place = folder.joinpath(*parts)
    try:
        module = importlib.import_module(".".join((package, *parts)))
    except RouteError:
        raise
    except Exception as exc:
        raise _failed(place.with_suffix(".py"), exc) from exc

    if place.is_dir() and not hasattr(module, "__path__"):
        # `users/` stands beside `users.py`, and Python looks into a folder only by `__path__`.
        module.__path__ = [str(place)]
    return module


def _failed(file: Path, exc: Exception) -> ConfigError:
    return ConfigError(f"{file} can't be imported: {type(exc).__name__}: {exc}")
