"""HTML templates of Jinja2, below `src/templates`; every value is escaped in each of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, TemplateNotFound

from ..errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FOLDER = Path("src", "templates")
"""The folder of templates, relative to the root of an app."""


class Templates:
    """The templates of one app.

    Attributes:
        folder: holds the templates.
        environment: Jinja's own; filters, tests and globals may be added to it.
    """

    def __init__(self, root: Path, *, debug: bool = False) -> None:
        """Read templates below `root`; with `debug`, read each again once its file has changed."""
        self.folder = root / FOLDER
        self.environment = Environment(
            loader=FileSystemLoader(self.folder),
            # Jinja would choose by the ending, but a ".txt" may be included in a page.
            autoescape=True,
            auto_reload=debug,
        )

    @property
    def filters(self) -> dict[str, Callable[..., object]]:
        """The functions that may stand after a `|` in a template, by name."""
        return self.environment.filters

    @property
    def globals(self) -> dict[str, object]:
        """The values that every template sees, by name."""
        return self.environment.globals

    def render(self, name: str, context: Mapping[str, object] | None = None) -> str:
        """Fill a template, and return the page.

        Args:
            name: its path below the folder, with "/" between folders.
        Raises:
            UsageError: there is no such template, or one that it includes or extends is missing.
        """
        try:
            return self.environment.get_template(name).render(context or {})
        except TemplateNotFound as exc:
            raise UsageError(self._missing(name, exc)) from exc

    def _missing(self, name: str, exc: TemplateNotFound) -> str:
        missing = ", ".join(str(one) for one in getattr(exc, "templates", None) or [exc.name])
        user = "" if missing == name else f" that {name!r} uses"
        folder = (
            f"{self.folder}"
            if self.folder.is_dir()
            else f"{self.folder}, a folder that doesn't exist"
        )
        return f"no template {missing!r}{user} in {folder}"
