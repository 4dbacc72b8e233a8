"""A wrapped app of each framework answers every request as it does bare, byte by byte, under
gunicorn.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence

import pytest

from tests.support.framework_site import Address, bare_and_wrapped
from tests.support.raw import RawClient
from tests.support.same_answers import Case, assert_same, cases, request

Pair = tuple[Address, Address]

AT_FLASKS_SOCKET = [  # where the wrapped app has a WebSocket; bare it has the same route
    Case("socket GET", request("GET", "/ws/echo"), (404,)),
    Case("socket POST", request("POST", "/ws/echo", body=b"x"), (404,)),
]


def cases_but(*own: str) -> list[Case]:
    """Give the cases for a framework that has no sessions, and answers those named in a way of its
    own.
    """
    return [
        dataclasses.replace(one, statuses=()) if one.name in own else one
        for one in cases(without=("session",))
    ]


CASES: dict[str, Sequence[Case]] = {
    # It takes chunks apart that gunicorn has taken apart already, and knows no If-Range.
    "bottle": cases_but("echo in chunks", "file if it is still the same"),
    "falcon": cases_but("file if it is still the same"),  # it knows no If-Range
    "flask": [*cases(), *AT_FLASKS_SOCKET],
    "pyramid": cases(),
}
EACH = [
    pytest.param(name, case, id=f"{name}: {case}") for name, some in CASES.items() for case in some
]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Pair]]:
    """The addresses of each framework's bare app and of the wrapped one."""
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(
                bare_and_wrapped(f"{name}_probe", tmp_path_factory.mktemp(name))
            )
            for name in CASES
        }


@pytest.mark.parametrize(("name", "case"), EACH)
def test_a_wrapped_app_answers_as_it_does_bare(
    pairs: dict[str, Pair], name: str, case: Case
) -> None:
    assert_same(*pairs[name], case)


@pytest.mark.parametrize("name", CASES)
def test_and_has_a_websocket(pairs: dict[str, Pair], name: str) -> None:
    with RawClient.open(pairs[name][1], "/ws/echo") as client:
        client.send_text("hello")

        assert client.read_text() == "hello"
