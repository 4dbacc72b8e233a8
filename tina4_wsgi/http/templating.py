"""HTML templates: Jinja2 over `src/templates`, escaping everything whatever a template is
called.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, TemplateNotFound

from ..errors import UsageError

FOLDER = Path("src", "templates")
"""Where templates lie, seen from the root of an app."""


class Templates:
    """The templates of one app.

    Attributes:
        folder: where they are looked for.
        environment: Jinja's own; filters, tests and globals may be added to it.
    """

    def __init__(self, root: Path, *, debug: bool = False) -> None:
        """Look for templates below `root`; with `debug`, look at every use whether a file has
        changed.
        """
        self.folder = root / FOLDER
        self.environment = Environment(
            loader=FileSystemLoader(self.folder),
            # Jinja's own choice goes by the ending; a ".txt" that ends in a page must not slip.
            autoescape=True,
            auto_reload=debug,
        )

    @property
    def filters(self) -> dict[str, Any]:  # Any: as Jinja types them
        """What may stand behind a `|` in a template, by name."""
        return self.environment.filters

    @property
    def globals(self) -> dict[str, Any]:  # Any: as Jinja types them
        """What every template sees, by name."""
        return self.environment.globals

    def render(self, name: str, context: Mapping[str, object] | None = None) -> str:
        """Fill a template.

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
