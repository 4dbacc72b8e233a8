"""The bus and Redis keep the contract: the same methods, with the same arguments."""

from __future__ import annotations

import inspect

import pytest

from tina4_wsgi.backplane.bus.bus import LocalBus
from tina4_wsgi.backplane.bus.outside import BusOutsider
from tina4_wsgi.backplane.contract import Backplane, OutsidePublisher, Receipt, Status
from tina4_wsgi.backplane.isolation import WithinProcess
from tina4_wsgi.backplane.redis.backplane import RedisBackplane
from tina4_wsgi.backplane.redis.outside import RedisOutsider


@pytest.mark.parametrize(
    ("contract", "kept_by"),
    [
        (Backplane, LocalBus),
        (Backplane, RedisBackplane),
        (OutsidePublisher, BusOutsider),
        (OutsidePublisher, RedisOutsider),
        (OutsidePublisher, WithinProcess),
    ],
)
def test_each_method_takes_what_the_contract_says(contract, kept_by):
    methods = {
        name: method for name, method in vars(contract).items() if inspect.isfunction(method)
    }
    methods = {name: method for name, method in methods.items() if not name.startswith("_")}

    assert methods
    for name, method in methods.items():
        assert inspect.signature(getattr(kept_by, name)) == inspect.signature(method), name


def test_a_receipt_is_a_pair():
    processes, clients = Receipt(2, None)

    assert (processes, clients) == (2, None)


def test_a_status_needs_no_more_than_its_kind():
    assert Status("local", True) == ("local", True, 0, 0, 0, 0, "", (), "")
