"""The parameters of a path, as a handler or a callback gets them."""

from __future__ import annotations

from typing import Any, NoReturn

Value = Any  # what a converter makes: text, a number, a UUID


class Params(dict[str, Value]):
    """The parameters of a path by name, as items and as attributes."""

    def __missing__(self, name: str) -> NoReturn:
        raise KeyError(self._unknown(name))

    def __getattr__(self, name: str) -> Value:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(self._unknown(name)) from None

    def _unknown(self, name: str) -> str:
        return f"no parameter {name!r}, this route has: {', '.join(self) or 'none'}"
