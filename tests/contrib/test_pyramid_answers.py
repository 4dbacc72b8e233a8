"""A wrapped Pyramid app answers every request as it does bare."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.framework_site import Address, bare_and_wrapped
from tests.support.raw import RawClient
from tests.support.same_answers import Case, assert_same, cases

Pair = tuple[Address, Address]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with bare_and_wrapped("pyramid_probe", tmp_path_factory.mktemp("probe")) as running:
        yield running


@pytest.mark.parametrize("case", cases(), ids=str)
def test_a_wrapped_app_answers_as_it_does_bare(servers: Pair, case: Case) -> None:
    assert_same(*servers, case)


def test_and_has_a_websocket(servers: Pair) -> None:
    with RawClient.open(servers[1], "/ws/echo") as client:
        client.send_text("hello")

        assert client.read_text() == "hello"
