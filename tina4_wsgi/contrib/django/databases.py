"""Leaves no database connection behind an event.

`close_old_connections` closes those whose CONN_MAX_AGE is over. Behind an event all are closed: the
next event may come in an hour, to another greenlet, and meanwhile nobody would use or close them.
What makes them cheap is Django's pool (`"OPTIONS": {"pool": True}`, from 5.1 on, with psycopg 3):
to close one gives it back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import gevent
from django.db import DEFAULT_DB_ALIAS, connections
from gevent import monkey

from ...errors import ConfigError

PATCH = "from gevent import monkey; monkey.patch_all()"


def in_transaction() -> frozenset[str]:
    """Name the databases that are within a transaction here: a TestCase puts one around each
    test.
    """
    return frozenset(
        one.alias for one in connections.all(initialized_only=True) if one.in_atomic_block
    )


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep this greenlet's connections open, whatever their age and state.

    `close_old_connections`, which Django runs at both ends of each request, would close those that
    the code around an event uses, also within a transaction; its test client takes it away as well.
    """
    used = connections.all(initialized_only=True)
    for one in used:
        one.close_if_unusable_or_obsolete = _leave_open  # in the instance, which is this greenlet's
    try:
        yield
    finally:
        for one in used:
            vars(one).pop("close_if_unusable_or_obsolete", None)


def _leave_open() -> None:
    """Stand in the place of what closes a connection."""


def roll_back(kept: frozenset[str]) -> None:
    """End the transactions that a callback began and didn't end.

    Args:
        kept: what `in_transaction` gave before the event; these go on.
    """
    if not _is_patched():
        # Connections are shared by all greenlets of this thread, one of which may be within its
        # transaction.
        return
    for connection in connections.all(initialized_only=True):
        if connection.in_atomic_block and connection.alias not in kept:
            connection.in_atomic_block = (
                False  # otherwise it would wait for the block's end to be closed
            )
            connection.close()


def close() -> None:
    """Close this greenlet's connections, but for those within a transaction."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()


@cache
def check_each_greenlet_has_its_own() -> None:
    """See that two callbacks can't use one database connection at the same time; asked once per
    process.

    Raises:
        ConfigError: Django was imported first, and the standard library patched then.
    """
    if _is_patched() and not are_patched_in_time():
        raise ConfigError(
            "the standard library was patched after Django had been imported, so that all "
            "greenlets share one database "
            f"connection; expected `{PATCH}` as the first line of wsgi.py or manage.py"
        )


def are_patched_in_time() -> bool:
    """Say whether each greenlet has database connections of its own."""
    mine = connections[DEFAULT_DB_ALIAS]
    return gevent.spawn(connections.__getitem__, DEFAULT_DB_ALIAS).get() is not mine


def _is_patched() -> bool:
    return bool(monkey.is_module_patched("threading"))
