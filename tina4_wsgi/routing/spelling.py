"""Accepts one spelling of a WebSocket's address: that in which its converters write it.

A converter reads more than it writes: "01", "1" and, in Arabic digits, "١" are one number to `int`.
`auth` is asked about the number, so to it these are one address. The groups of connections are
named by the text, so to them these would be three. That is why any other spelling is refused.
"""

from __future__ import annotations

import logging
from decimal import Decimal
from math import isfinite
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import unquote

from werkzeug.routing import BaseConverter, FloatConverter, Rule
from werkzeug.routing.converters import DEFAULT_CONVERTERS

from ..errors import Refused
from .paths import normal_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .params import Value

logger = logging.getLogger("tina4_wsgi.spelling")


def written(value: object, digits: int = 0) -> str:
    """Return a value as its address has it.

    Args:
        digits: how many a number has, where their count is fixed; else 0.
    """
    if isinstance(value, float):
        # No converter reads "1e-05".
        text = format(Decimal(repr(value)), "f") if isfinite(value) and value else repr(abs(value))
        return (text if "." in text or not isfinite(value) else f"{text}.0").zfill(digits)
    return str(value).zfill(digits) if digits else str(value)


def refuse(spelled: str) -> NoReturn:
    """Refuse an address that is spelled in another way than its route writes it.

    Raises:
        Refused: 404, with the right spelling for the log.
    """
    raise Refused(
        404, "no WebSocket route has this path", detail=f"(its one spelling is {spelled[:200]!r})"
    )


class RuleSpelling:
    """The addresses that one of Werkzeug's rules writes.

    Attributes:
        can_vary: whether different texts may stand for the same values.
    """

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        converters = rule._converters.values()
        self._has_foreign = any(type(one) not in _OF_WERKZEUG for one in converters)
        self.can_vary = any(type(one) not in _LITERAL for one in converters)

    def check(self, path: str, values: Mapping[str, Value], read: Callable[[str], object]) -> None:
        """Check that `path` is spelled as the rule writes these values.

        Args:
            path: decoded.
            read: returns the values of a path, to compare with `values`.
        Raises:
            Refused: 404, it is spelled in another way.
        """
        if not self.can_vary:
            return

        try:
            spelled = normal_path(self._write(values))
            is_second = spelled != normal_path(path) and (
                not self._has_foreign or read(spelled) == values
            )
        except Exception:
            # An app's own converter may be unable to write what it reads: nothing to compare with.
            logger.debug(
                "the converters of %s can't write what they read", self._rule.rule, exc_info=True
            )
            return

        if is_second:
            refuse(spelled)

    def _write(self, values: Mapping[str, Value]) -> str:
        trace = self._rule._trace
        behind_host = trace[trace.index((False, "|")) + 1 :]
        return "".join(
            _convert(self._rule._converters[data], values[data]) if is_dynamic else data
            for is_dynamic, data in behind_host
        )


def _convert(converter: BaseConverter, value: object) -> str:
    if type(converter) is FloatConverter:
        return written(value, converter.fixed_digits)
    return unquote(converter.to_url(value))


_OF_WERKZEUG = frozenset(DEFAULT_CONVERTERS.values())
_LITERAL = frozenset(one for one in _OF_WERKZEUG if one.to_python is BaseConverter.to_python)
