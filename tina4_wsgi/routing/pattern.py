"""Parses the paths of routes: `{name:int}`, and `<int:name>` in Werkzeug's way.

`parse` reads a path once, when its route is registered. It either refuses the path with the right
spelling, or returns a `PathPattern`: the rule as Werkzeug spells it, and the segments that
`matching` walks.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from werkzeug.routing import BaseConverter, Map, ValidationError
from werkzeug.routing.converters import AnyConverter, FloatConverter, NumberConverter, UUIDConverter
from werkzeug.routing.rules import parse_converter_args

from ..errors import UsageError
from .ambiguity import MOST_CHARACTERS, too_ambiguous

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .params import Value

CONVERTERS = ("any", "float", "int", "path", "string", "uuid")
"""The converters by their names in a path; a parameter without one is a "string"."""

_BRACKETS = {"{": "}", "<": ">"}
_BRACKET = re.compile(r"[{}<>]")
_COLON_SEGMENT = re.compile(r"(?:(?<=/)|^):([A-Za-z_]\w*)")
_SPECIFICATION = re.compile(r"([A-Za-z_]\w*)\s*(?:\((.*)\))?", re.DOTALL)

_LENGTH = re.compile(r"\[\^/\]\{(?P<least>\d+)(?:,(?P<most>\d*))?\}")  # of Werkzeug's strings

# A converter only keeps the map that it is given.
_NO_MAP = Map()


class PatternError(UsageError):
    """A path isn't well formed; the message says what is wrong, and the right spelling."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One `{name:converter(arguments)}`.

    Attributes:
        name: under which the callback finds the value.
        converter: as written after the name, as "int(min=1)"; "" for the default.
        read: makes the value of a text or raises `ValueError`; None if any text is its own value.
        spans_slashes: whether a value may have more than one segment.
        ends: the number of places at which a value may end; None for any number.
        characters: a pattern of the characters that a value may have; "" for all, but for slashes
            unless `spans_slashes`.
    """

    name: str
    converter: str
    read: Callable[[str], Value] | None
    spans_slashes: bool
    ends: int | None = None
    characters: str = ""

    @property
    def rule(self) -> str:
        """The parameter as Werkzeug spells it."""
        return f"<{self.converter}:{self.name}>" if self.converter else f"<{self.name}>"

    @property
    def is_text(self) -> bool:
        """Whether the parameter is a string, which may be given an upper length."""
        return not self.characters and not self.spans_slashes

    def may_hold(self, text: str) -> bool:
        """Return whether a value may have this character in it."""
        return (
            re.search(self.characters, text) is not None
            if self.characters
            else self.spans_slashes or text != "/"
        )

    def bounded_rule(self) -> str:
        """Return `rule` with an upper length, for a string."""
        given = self.converter.removeprefix("string").strip("()").rstrip(", ")
        return f"<string({given + ', ' if given else ''}maxlength={MOST_CHARACTERS}):{self.name}>"


Piece = str | Parameter
"""Literal text or a parameter; a path is a sequence of them."""


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A parsed path.

    Attributes:
        path: as written.
        rule: as Werkzeug spells it.
        shape: the rule without names and final slash; two routes of one shape match the same paths.
        names: of the parameters, in order.
        segments: the pieces between the slashes.
    """

    path: str
    rule: str
    shape: str
    names: tuple[str, ...]
    segments: tuple[tuple[Piece, ...], ...]


def parse(path: str) -> PathPattern:
    """Parse the path of a route.

    Raises:
        PatternError: it isn't well formed.
    """
    _check_text(path)
    pieces = tuple(_pieces(path))

    names = tuple(piece.name for piece in pieces if isinstance(piece, Parameter))
    for name in names:
        if names.count(name) > 1:
            raise PatternError(
                f"two parameters are named {name!r} in {path!r}, expected one name for each"
            )

    faulty, bounded = too_ambiguous(pieces)
    if faulty:
        raise PatternError(_too_ambiguous(path, pieces, faulty))

    rule = "".join(
        piece if isinstance(piece, str) else _rule_of(piece, piece.name in bounded)
        for piece in pieces
    )
    shape = "".join(piece if isinstance(piece, str) else f"<{piece.converter}>" for piece in pieces)
    return PathPattern(path, rule, shape.rstrip("/"), names, _segments(pieces))


def _rule_of(parameter: Parameter, is_bounded: bool) -> str:
    return parameter.bounded_rule() if is_bounded else parameter.rule


def _too_ambiguous(path: str, pieces: tuple[Piece, ...], names: list[str]) -> str:
    """Return why a path that could match in too many ways is refused, and a better spelling."""
    better = ""
    last_path = max(
        (place for place, piece in enumerate(pieces) if _spans_slashes(piece)), default=0
    )
    for place, piece in enumerate(pieces):
        if isinstance(piece, Parameter):
            keeps_converter = piece.converter and (place >= last_path or not piece.spans_slashes)
            written = f":{piece.converter}" if keeps_converter else ""
            better += ("/" if better[-1:] == "}" else "") + f"{{{piece.name}{written}}}"
        elif (
            0 < place < len(pieces) - 1
            and "/" not in piece
            and _name_of(pieces[place - 1]) in names
        ):
            better += "/"
        else:
            better += piece

    return (
        f"parameters {', '.join(names)} in {path!r} may each end at many places, and a path could "
        f"be made that takes seconds to match; write {better!r}, or give them converters that "
        "can't hold the text behind them, as {id:int}"
    )


def _spans_slashes(piece: Piece) -> bool:
    return isinstance(piece, Parameter) and piece.spans_slashes


def _name_of(piece: Piece) -> str:
    return "" if isinstance(piece, str) else piece.name


def parameters(path: str) -> tuple[Parameter, ...]:
    """Return the parameters of a path, in order.

    Raises:
        PatternError: it isn't well formed.
    """
    return tuple(piece for piece in _pieces(path) if isinstance(piece, Parameter))


def join(prefix: str, path: str) -> str:
    """Join the prefix of a group and a path: "/api" and "/users" to "/api/users".

    Raises:
        PatternError: the path would run into the prefix's last segment.
    """
    if not isinstance(path, str):
        raise PatternError(f"path {path!r}, expected text")
    if prefix and path and not path.startswith("/"):
        raise PatternError(f"path {path!r} doesn't begin with a slash, write {'/' + path!r}")
    return prefix.rstrip("/") + path


def _check_text(path: str) -> None:
    if not path.startswith("/"):
        raise PatternError(f"path {path!r} doesn't begin with a slash, write {'/' + path!r}")
    if "?" in path or "#" in path:
        raise PatternError(
            f"path {path!r} holds a query or fragment, expected the path alone; "
            "read the query from `query`"
        )
    if "//" in path:
        raise PatternError(f"path {path!r} has an empty segment, write {re.sub('/+', '/', path)!r}")


def _pieces(path: str) -> Iterator[Piece]:
    position = 0
    while bracket := _BRACKET.search(path, position):
        if bracket.start() > position:
            yield _literal(path[position : bracket.start()], path)

        closing = _BRACKETS.get(bracket[0])
        end = _BRACKET.search(path, bracket.end())
        if closing is None or end is None or end[0] != closing:
            raise PatternError(
                f"brackets in {path!r} don't pair up at {path[bracket.start() :]!r}, "
                "write {name} or {name:int}"
            )
        yield _parameter(path[bracket.end() : end.start()], bracket[0] == "{", path)
        position = end.end()

    if position < len(path):
        yield _literal(path[position:], path)


def _literal(text: str, path: str) -> str:
    colon = _COLON_SEGMENT.search(text)
    if colon:
        right = _COLON_SEGMENT.sub(r"{\1}", path)
        raise PatternError(f"{colon[0]!r} in {path!r} is no parameter, write {right!r}")
    return text


def _parameter(inner: str, is_braced: bool, path: str) -> Parameter:
    if is_braced:
        name, _, specification = inner.partition(":")
    else:
        specification, _, name = inner.rpartition(":")

    name, specification = name.strip(), specification.strip()
    written = f"{{{inner}}}" if is_braced else f"<{inner}>"
    if not name.isascii() or not name.isidentifier():
        raise PatternError(
            f"parameter {written} in {path!r} has no proper name, expected letters, digits "
            "and _ as in {user_id}"
        )

    if not specification:
        if ":" in inner:
            raise PatternError(
                f"parameter {written} in {path!r} has no converter, write {{{name}}}"
            )
        return Parameter(name, "", None, spans_slashes=False)

    found = _SPECIFICATION.fullmatch(specification)
    converter = found[1] if found else specification
    if converter not in CONVERTERS or found is None:
        raise PatternError(_unknown_converter(name, converter, written, is_braced))
    return _converted(name, converter, found[2], f"{written} in {path!r}")


def _unknown_converter(name: str, converter: str, written: str, is_braced: bool) -> str:
    if name in CONVERTERS and converter.isidentifier():
        right = f"{{{converter}:{name}}}" if is_braced else f"<{name}:{converter}>"
    else:
        near = difflib.get_close_matches(converter, CONVERTERS, n=1, cutoff=0.5)
        right = f"{{{name}:{near[0]}}}" if near else f"{{{name}}}"
    return (
        f"unknown converter {converter!r} in {written}, expected one of: {', '.join(CONVERTERS)}; "
        f"write {right}"
    )


def _converted(name: str, converter: str, arguments: str | None, where: str) -> Parameter:
    if not arguments or not arguments.strip():
        arguments = ""
        if converter == "string":
            return Parameter(name, "", None, spans_slashes=False)
        if converter == "any":
            raise PatternError(
                f"{where} names nothing that may stand there, write {{{name}:any(red, blue)}}"
            )

    try:
        made = _converter(converter, arguments)
        read = _reader(made)
    except (TypeError, ValueError, re.error) as exc:
        raise PatternError(f"arguments of {where} don't fit {converter!r}: {exc}") from exc

    written = f"{converter}({arguments})" if arguments else converter
    ends, characters = _extent(made)
    return Parameter(name, written, read, not made.part_isolating, ends, characters)


def _extent(made: BaseConverter) -> tuple[int | None, str]:
    """Return `Parameter.ends` and `Parameter.characters` of a converter."""
    if isinstance(made, AnyConverter):
        items = sorted(made.items)
        return len(items), f"[{re.escape(''.join(sorted(set(''.join(items)))))}]"
    if isinstance(made, UUIDConverter):
        return 1, "[0-9A-Fa-f-]"
    if isinstance(made, NumberConverter):
        if isinstance(made, FloatConverter):
            return None, r"[\d.-]"
        return None, r"[\d-]" if made.signed else r"\d"

    length = _LENGTH.fullmatch(made.regex)
    if length is None:
        return None, ""
    least, most = length["least"], length["most"]
    if most is None:
        return 1, ""
    return (int(most) - int(least) + 1 if most else None), ""


def _converter(converter: str, arguments: str) -> BaseConverter:
    positional, named = parse_converter_args(arguments) if arguments else ((), {})
    made = _NO_MAP.converters[converter](_NO_MAP, *positional, **named)
    if isinstance(made, NumberConverter):
        try:
            # `min` and `max` may be anything until they are compared.
            made.to_python("1")
        except ValidationError:
            pass
    return made


def _reader(converter: BaseConverter) -> Callable[[str], Value]:
    # Werkzeug compiles the expression only when the first path comes.
    fits = re.compile(converter.regex).fullmatch
    convert = converter.to_python

    def read(text: str) -> Value:
        if fits(text) is None:
            raise ValueError(text)
        return convert(text)

    return read


def _segments(pieces: tuple[Piece, ...]) -> tuple[tuple[Piece, ...], ...]:
    rows: list[list[Piece]] = [[]]
    for piece in pieces:
        if isinstance(piece, Parameter):
            rows[-1].append(piece)
            continue
        first, *others = piece.split("/")
        if first:
            rows[-1].append(first)
        rows.extend([text] if text else [] for text in others)

    # Nothing stands before the first slash.
    return tuple(tuple(row) for row in rows[1:])
