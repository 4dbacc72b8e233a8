"""Closes the database connections of an event when it ends.

`close_old_connections` closes only those whose CONN_MAX_AGE is over. After an event all are closed:
the next event may come in an hour, in another greenlet, and meanwhile nobody would use or close
them. Django's pool makes that cheap (`"OPTIONS": {"pool": True}`, from 5.1 on, with psycopg 3): a
connection that is closed goes back to the pool.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

import gevent
from django.db import DEFAULT_DB_ALIAS, connections
from gevent import monkey
from gevent._hub_local import get_hub_if_exists

from ...errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

PATCH = "from gevent import monkey; monkey.patch_all()"


def in_transaction() -> frozenset[str]:
    """Return the databases that are in a transaction here; a TestCase begins one for each test."""
    return frozenset(
        one.alias for one in connections.all(initialized_only=True) if one.in_atomic_block
    )


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep this greenlet's connections open, whatever their age and state.

    `close_old_connections`, which Django runs at both ends of each request, would close those that
    the code around an event uses, even in a transaction. Django's test client disables it as well.
    """
    used = connections.all(initialized_only=True)
    for one in used:
        # The instance is this greenlet's own.
        one.close_if_unusable_or_obsolete = _leave_open

    try:
        yield
    finally:
        for one in used:
            vars(one).pop("close_if_unusable_or_obsolete", None)


def _leave_open() -> None:
    """Stand in for the method that closes a connection."""


def roll_back(kept: frozenset[str]) -> None:
    """End the transactions that a callback began and didn't end.

    Args:
        kept: the databases that `in_transaction` returned before the event; their transactions
            go on.
    """
    if not _is_patched() and get_hub_if_exists() is not None:
        # All greenlets of this thread share connections, and another may be in a transaction.
        return

    for connection in connections.all(initialized_only=True):
        if connection.in_atomic_block and connection.alias not in kept:
            # In an atomic block, `close` would wait for the end of the block.
            connection.in_atomic_block = False
            connection.close()


def close() -> None:
    """Close this greenlet's connections, but for those in a transaction."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()


@cache
def check_each_greenlet_has_its_own() -> None:
    """Check, once per process, that two callbacks can't use one database connection at a time.

    Raises:
        ConfigError: Django was imported first, and the standard library patched then.
    """
    if _is_patched() and not are_patched_in_time():
        raise ConfigError(
            "the standard library was patched after Django had been imported, so that all "
            f"greenlets share one database connection; expected `{PATCH}` as the first line of "
            "wsgi.py or manage.py"
        )


def are_patched_in_time() -> bool:
    """Return whether each greenlet has database connections of its own."""
    mine = connections[DEFAULT_DB_ALIAS]
    return gevent.spawn(connections.__getitem__, DEFAULT_DB_ALIAS).get() is not mine


def _is_patched() -> bool:
    return bool(monkey.is_module_patched("threading"))
