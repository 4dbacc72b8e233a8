"""A Django project answers HTTP wrapped as it does bare, byte by byte."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.contrib import django_house
from tests.support import same_answers
from tests.support.same_answers import Address, Case, cases

TOKENS = re.compile(
    rb"(sessionid=)\w+|(expires=)[^;]+"
)  # a key that nobody can foretell, and a time


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Address, Address]]:
    """Where the bare application listens, and where the wrapped one does; each with a database of
    its own.
    """
    folders = tmp_path_factory.mktemp("bare"), tmp_path_factory.mktemp("wrapped")
    with (
        django_house.serving(folders[0], "newest", "project.wsgi:bare") as bare,
        django_house.serving(folders[1], "newest", "project.wsgi:application") as wrapped,
    ):
        yield bare.server.address, wrapped.server.address


@pytest.mark.parametrize("case", cases(), ids=str)
def test_a_wrapped_project_answers_as_it_does_bare(pair: tuple[Address, Address], case: Case):
    bare, wrapped = (TOKENS.sub(rb"\1\2", same_answers.answer(address, case)) for address in pair)

    assert wrapped == bare
    assert not case.statuses or int(bare.split(b" ", 2)[1]) in case.statuses, bare[:1_000]
