"""What `make hosts` tries under every gunicorn, with the newest: each column of docs/hosts.md, once
at least.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hosts.checks import ON_ONE_SERVER, ON_OWN_SERVERS, Subject
from hosts.environment import python_of
from hosts.host import BY_KEY, HOSTS, UWSGI
from hosts.reasons import reason_for
from hosts.running import Running

PYTHON = Path(sys.executable)
WITH_WORKERS = [host.key for host in HOSTS if host.has_workers]


def subject(key: str) -> Subject:
    host = BY_KEY[key]
    return Subject(host, python_of(UWSGI) if host.is_uwsgi else PYTHON)


@pytest.fixture(scope="module", autouse=True)
def _uwsgi_is_built() -> None:
    """Have pip build uWSGI before a test's own time begins."""
    python_of(UWSGI)


@pytest.fixture(scope="module", params=[*BY_KEY])
def site(request: pytest.FixtureRequest) -> Iterator[Running]:
    with subject(request.param).running() as started:
        yield started


@pytest.mark.parametrize("column", ON_ONE_SERVER)
def test_a_host_does_what_the_table_says(site, column):
    reason = reason_for(site.host, column)
    check = ON_ONE_SERVER[column] if reason is None else reason.instead

    assert check is not None
    check(site)


@pytest.mark.parametrize(
    ("key", "column"),
    [
        *((host.key, "TLS") for host in HOSTS if host.has_tls and not host.is_uwsgi),
        *((host.key, "UNIX socket") for host in HOSTS if host.has_unix),
        *((host.key, "SIGTERM 1001") for host in HOSTS if host.is_plain),
        *((key, "preload") for key in WITH_WORKERS if not BY_KEY[key].is_uwsgi),
        ("gws", "HUP"),
        ("worker", "HUP"),
        ("worker", "max_requests"),
        ("gevent", "max_requests"),
        ("gws", "max_requests"),
        ("sync", "max_requests"),
        ("gthread", "HUP"),
        ("uwsgi-gevent", "max_requests"),
        ("uwsgi-threads", "max_requests"),
        ("uwsgi", "HUP"),
    ],
)
def test_a_host_that_is_started_in_another_way_does_too(key, column):
    reason = reason_for(BY_KEY[key], column)
    check = ON_OWN_SERVERS[column] if reason is None else reason.instead_alone

    assert check is not None
    check(subject(key))
