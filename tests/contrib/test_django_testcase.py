"""Django's own way to test works for WebSocket routes: a TestCase, its transaction, its client's
login.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.contrib import django_house
from tests.contrib.django_house import SITE, VERSIONS
from tests.support import postgres, servers
from tests.support.postgres import Postgres

pytestmark = pytest.mark.deadline(60)


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    """A PostgreSQL of this module's own."""
    with postgres.running() as running:
        yield running


def run_tests(env: dict[str, str], *options: str, tests: str = "notes") -> str:
    """Run `manage.py test` and give what it printed; it must succeed."""
    done = subprocess.run(
        [*servers.PYTHON, *options, "manage.py", "test", tests],
        cwd=SITE,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done.stderr


@pytest.mark.parametrize("version", VERSIONS)
def test_a_testcase_holds_websocket_routes_with_sqlite(version):
    assert "Ran 8 tests" in run_tests(django_house.environment(version, ":memory:"))


def test_a_testcase_holds_websocket_routes_with_postgresql(database: Postgres):
    settings = {"DATABASES": {"default": database.django("tests")}}

    assert "Ran 8 tests" in run_tests(django_house.environment("newest", "", settings))


def test_in_a_patched_run_the_client_in_memory_holds_them_too():
    env = django_house.environment("newest", ":memory:")

    assert "Ran 2 tests" in run_tests(env, "-m", "gevent.monkey", tests="notes.tests.ClientTest")
