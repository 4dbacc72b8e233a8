"""What the parameters of a path are to a handler or a callback."""

from __future__ import annotations

from typing import Any, NoReturn


class Params(dict[str, Any]):  # Any: what the converters make
    """The parameters of a path by name, as items and as attributes."""

    def __missing__(self, name: str) -> NoReturn:
        raise KeyError(self._unknown(name))

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(self._unknown(name)) from None

    def _unknown(self, name: str) -> str:
        return f"no parameter {name!r}, this route has: {', '.join(self) or 'none'}"
