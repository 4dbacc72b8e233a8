"""Paths that are matched in more than linear time are refused; the work is counted, not timed."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tina4_wsgi import Router
from tina4_wsgi.errors import RouteError
from tina4_wsgi.routing.pattern import Parameter, PathPattern, PatternError, parse

REFUSED = [
    ("/f/{a}-{b}-{c}.json", "/f/{a}/{b}/{c}.json"),
    ("/{a}.{b}.{c}.{d}", "/{a}/{b}/{c}/{d}"),
    ("/{a}{b}{c}x", "/{a}/{b}/{c}x"),
    ("/{a:path}/x/{b:path}", "/{a}/x/{b:path}"),
    ("/{a:path}/{b:path}", "/{a}/{b:path}"),
    ("/{a:path}-{b}.json", "/{a:path}/{b}.json"),
    ("/{a:path}/{b}-{c}.json", "/{a:path}/{b}/{c}.json"),
    ("/{a:int}{b:int}x", "/{a:int}/{b:int}x"),
    ("/{a}1{b:int}", "/{a}/{b:int}"),
    ("/x/<a>_<b>_<c>_", "/x/{a}/{b}/{c}_"),
    ("/{a:path}{b}/x", "/{a:path}/{b}/x"),
    ("/g/{a:path}-{b}/{c:int}", "/g/{a:path}/{b}/{c:int}"),
    ("/{a:string(maxlength=9)}.{b}.{c}.x", "/{a:string(maxlength=9)}/{b}/{c}.x"),
]
TAKEN = [
    "/{a}.json",
    "/{a}-{b}",
    "/{a}/{b}/{c}.json",
    "/{a:int}-{b:int}-{c:int}-{d:int}",
    "/{lat:float},{lon:float}",
    "/{a:path}",
    "/files/{a:path}/raw",
    "/{a:path}/{b}.json",
    "/{a}-{b:int}.json",
    "/{a:uuid}-{b:uuid}.{c}",
    "/{y:string(length=4)}{m:string(length=2)}{d:string(length=2)}",
    "/{a:any(red, blue)}-{b}.{c:any(png, jpg)}",
    "/{a}{b}/",
    "/g/{a}-{b}/{c:int}",
    "/{a:path}{b}/",
]
BOUNDED = [
    "/{a}-{b}.json",
    "/{a}-{b}-{c}",
    "/{a}{b}x",
    "/g/{a}.{b}.tar",
    "/{a:string(minlength=2)}_{b}_",
]


class Steps:
    """Matches as a backtracking engine does, by hand, and counts what it tries."""

    def __init__(self, pieces: Sequence[Parameter | str], pattern: PathPattern) -> None:
        self.pieces = [
            piece if isinstance(piece, str) else re.compile(converter_regex(piece, pattern))
            for piece in pieces
        ]
        self.count = 0

    def match(self, text: str, place: int = 0, at: int = 0) -> bool:
        self.count += 1
        if place == len(self.pieces):
            return at == len(text)
        piece = self.pieces[place]
        if isinstance(piece, str):
            return text.startswith(piece, at) and self.match(text, place + 1, at + len(piece))
        longest = piece.match(text, at)
        if longest is None:
            return False
        self.count += longest.end() - at  # it is read before anything is tried
        # It is a repeat of one set of characters, so of its longest match every beginning of at
        # least this length is a match, too.
        fixed = re.search(r"\{(\d+)\}$", piece.pattern)
        least = int(fixed[1]) if fixed else 1
        ends = range(longest.end(), at + least - 1, -1)
        return any(self.match(text, place + 1, end) for end in ends)


def row(segments: Sequence[Sequence[Parameter | str]]) -> list[Parameter | str]:
    """The pieces of segments, a slash before each."""
    between = [["/", *segment] for segment in segments]
    return list(itertools.chain.from_iterable(between))


def converter_regex(piece: Parameter, pattern: PathPattern) -> str:
    if piece.spans_slashes:
        return r"[^/].*"
    if piece.characters:
        return piece.characters + (
            "{36}" if piece.ends == 1 else "+" if piece.ends is None else "{1,4}"
        )
    if piece.ends == 1:
        return r"[^/]{" + re.sub(r"\D", "", piece.converter) + "}"
    found = re.search(rf"maxlength=(\d+)\):{piece.name}>", pattern.rule)
    if found:
        return rf"[^/]{{1,{found[1]}}}"
    return r"[^/]+"


def steps(pattern: PathPattern, text: str) -> int:
    """Count the most that one expression of a path tries, as if the text had fitted up to there.

    Werkzeug has one for each segment, and from the first parameter that spans slashes on one for
    all the rest.
    """
    text = text.removeprefix("/")
    longest = max(text.split("/"), key=len)
    # A slash at the end need not be there.
    segments = pattern.segments if pattern.segments[-1] else pattern.segments[:-1]
    most = 0
    for place, segment in enumerate(segments):
        is_last = any(not isinstance(piece, str) and piece.spans_slashes for piece in segment)
        one = Steps(row(segments[place:])[1:] if is_last else segment, pattern)
        one.match(text if is_last else longest)
        most = max(most, one.count)
        if is_last:
            break
    return most


def hostile(pattern: PathPattern, length: int) -> list[str]:
    """Texts that hold much of what stands between parameters, and then don't fit."""
    pieces = row(pattern.segments)
    literals = {piece for piece in pieces if isinstance(piece, str)} | {"1", "a"}
    begin = next((piece for piece in pieces[1:] if isinstance(piece, str)), "")
    start = "/" + (begin if isinstance(pieces[1], str) else "")
    units = [*sorted(literals), "".join(sorted(literals)), "1" + "".join(sorted(literals - {"/"}))]
    return [start + (unit * length)[:length] + "!" for unit in units]


@pytest.mark.parametrize(("path", "better"), REFUSED)
def test_what_can_be_matched_in_too_many_ways_is_refused_with_a_better_spelling(path, better):
    with pytest.raises(PatternError, match="may each end at many places") as raised:
        parse(path)

    assert f"write {better!r}" in str(raised.value)
    parse(better)


@pytest.mark.parametrize("path", [*TAKEN, *BOUNDED])
def test_what_is_taken_is_matched_in_linear_time(path):
    pattern = parse(path)

    for short, long in zip(hostile(pattern, 1_500), hostile(pattern, 3_000), strict=True):
        # Linear work doubles, and quadratic work would be four times as much.
        assert steps(pattern, long) <= 2.6 * steps(pattern, short) + 1_000, short[:20]


PIECES = [
    "{}",
    "{:int}",
    "{:path}",
    "{:uuid}",
    "{:string(length=2)}",
    "{:string(maxlength=9)}",
    "-",
    ".",
    "/",
    "1",
    "x",
]


@settings(deadline=None, max_examples=150)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=7))
def test_whatever_is_taken_is_matched_in_linear_time(pieces):
    numbers = itertools.count()
    path = "/" + "".join(
        piece.replace("{", f"{{p{next(numbers)}") if "{" in piece else piece for piece in pieces
    )
    try:
        pattern = parse(path)
    except PatternError:
        return

    for short, long in zip(hostile(pattern, 600), hostile(pattern, 1_200), strict=True):
        # Below the upper length of two strings, the work may still be that of their 255 characters.
        assert steps(pattern, long) <= max(2.6 * steps(pattern, short) + 1_000, 140_000), (
            path,
            short[:20],
        )


@pytest.mark.parametrize(("path", "fits"), [("/{a}-{b}.json", 255), ("/g/{a}.{b}.tar", 255)])
def test_two_in_one_segment_hold_as_much_as_a_files_name(path, fits):
    router = Router()
    router.get(path, lambda request, response: None)
    start, between, end = re.split(r"\{\w\}", path)

    assert router.match_http(f"{start}{'x' * fits}{between}y{end}", "GET").params["a"] == "x" * fits
    with pytest.raises(Exception, match="404"):
        router.match_http(f"{start}{'x' * (fits + 1)}{between}y{end}", "GET")


@pytest.mark.parametrize("register", ["get", "websocket"])
def test_the_refusal_names_the_callback(register):
    router = Router()
    callback = (
        (lambda connection, event, data: None)
        if register == "websocket"
        else (lambda request, response: None)
    )

    with pytest.raises(
        RouteError, match=r"test_ambiguity\.py:\d+: route '/\{a\}-\{b\}-\{c\}\.json' refused"
    ):
        getattr(router, register)("/{a}-{b}-{c}.json", callback)
