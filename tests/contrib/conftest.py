"""What the tests of all frameworks share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contrib import django_house, django_program
from tests.contrib.django_house import VERSIONS, Site
from tests.support.postgres import Postgres, running


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server for the whole run."""
    with running() as server:
        yield server


@pytest.fixture(scope="session")
def django_programs() -> Iterator[None]:
    """What `django_program.printed_by` needs."""
    with django_program.forking():
        yield


@pytest.fixture(scope="module", params=VERSIONS)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """The Django project under gunicorn, with the newest Django and with the oldest that is
    supported.

    Files about other frameworks have a `site` of their own.
    """
    with django_house.serving(tmp_path_factory.mktemp("django"), request.param) as running:
        yield running
