"""Makes an answer of a handler's result; `Request` and `Response` are those of a handler."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ..errors import UsageError
from .request import Request
from .response import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = ["Request", "Response", "answer"]


def answer(result: object, response: Response) -> WSGIApplication:
    """Return the answer that a handler's result stands for.

    Args:
        result: a dict or list (JSON), str (a page), bytes, None (what `response` holds, else 204),
            a `Response`, any other WSGI app, or `(body, status)` or `(body, status, headers)` with
            one of these as body.
        response: the one that the handler was given; its status, headers and cookies stay.
    Raises:
        UsageError: the result is none of these.
    """
    if isinstance(result, dict | list):
        return response.json(result)
    if result is response or result is None:
        return response
    if isinstance(result, str):
        return response.markup(result)
    if isinstance(result, bytes | bytearray | memoryview):
        return response.data(bytes(result))
    if isinstance(result, tuple):
        return _answer_of_tuple(result, response)
    if callable(result):
        return result

    raise UsageError(
        f"handler returned {type(result).__name__}, expected dict, list, str, bytes, None, a "
        "response or a tuple of body and status"
    )


def _answer_of_tuple(result: tuple[object, ...], response: Response) -> Response:
    if len(result) not in (2, 3) or isinstance(result[0], tuple):
        raise UsageError(
            f"handler returned a tuple of {len(result)}, expected (body, status) or "
            "(body, status, headers)"
        )

    body, status, *fields = result
    filled = answer(body, response)
    if not isinstance(filled, Response):
        raise UsageError(
            f"handler returned a tuple with {type(body).__name__}, expected dict, list, str, bytes "
            "or None as body"
        )
    if not isinstance(status, int):
        raise UsageError(
            f"handler returned {status!r} as status, expected a number; the order is "
            "(body, status, headers)"
        )

    filled.status(status)
    for name, value in _pairs(fields[0]) if fields else ():
        filled.header(name, value, add=True)
    return filled


def _pairs(fields: object) -> list[tuple[str, object]]:
    pairs = fields.items() if isinstance(fields, Mapping) else fields
    if isinstance(pairs, Iterable) and not isinstance(pairs, str | bytes):
        found = [tuple(pair) for pair in pairs]
        if all(len(pair) == 2 for pair in found):
            return [(name, value) for name, value in found]
    raise UsageError(f"handler returned {fields!r} as headers, expected a dict or a list of pairs")
