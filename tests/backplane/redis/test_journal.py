"""The journal in Redis keeps what every journal promises; `tests.journal` says what that is."""

from __future__ import annotations

import itertools

import pytest

from tests.journal import test_contract as contract
from tests.support import redis
from tina4_wsgi.backplane.redis.journal import RedisJournal
from tina4_wsgi.config import Config

_prefixes = itertools.count()

# All that need no news, which this journal publishes, and no sweeping, which Redis does.
PROMISES = (
    contract.test_a_new_epoch_goes_on_with_the_numbers_of_the_same_copy,
    contract.test_a_page_of_long_messages_is_short,
    contract.test_a_key_belongs_to_its_path_or_room,
    contract.test_as_many_messages_as_are_kept_can_be_missed,
    contract.test_keys_hold_for_all_users,
    contract.test_messages_of_exactly_the_age_that_is_kept_can_be_missed,
    contract.test_much_is_read_in_pages,
    contract.test_nothing_behind_the_end_was_missed,
    contract.test_nothing_is_declared_at_first,
    contract.test_nothing_said_is_nothing_kept,
    contract.test_numbers_grow_by_one_over_all_topics,
    contract.test_one_message_too_many_is_a_gap,
    contract.test_the_latest_are_the_last_ones_oldest_first,
    contract.test_the_same_draft_twice_is_two_messages,
    contract.test_two_users_of_a_journal_continue_the_same_numbers,
    contract.test_what_is_declared_is_there_for_all_users_sorted_and_once,
    contract.test_what_was_missed_is_of_one_topic_oldest_first,
    contract.test_what_was_said_under_a_key_is_not_kept_again,
    contract.test_who_missed_only_what_is_young_enough_has_no_gap,
)
globals().update({one.__name__: one for one in PROMISES})


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with redis.running(tmp_path_factory.mktemp("redis")) as broker:
        yield broker


@pytest.fixture
def open_journal(broker):
    """Opens one journal, for one more user with each call."""
    config = Config(
        backplane="redis", backplane_url=broker.url, backplane_prefix=f"app{next(_prefixes)}"
    )
    opened = []

    def open_another():
        opened.append(RedisJournal(config, has_clock=False))
        return opened[-1]

    yield open_another
    for one in opened:
        one.close()


@pytest.fixture
def journal(open_journal):
    return open_journal()
