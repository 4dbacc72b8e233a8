"""The settings that type checkers see are those of `Config`: by name, type and choices."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Sequence, Set
from typing import Any, Literal

import pytest

from tina4_wsgi.addresses.origins import Allowed
from tina4_wsgi.config import ROUTE_OPTIONS, Config
from tina4_wsgi.settings import AppSettings, RouteSettings, Texts

FIELDS = {item.name: item for item in dataclasses.fields(Config)}
IN_CONFIG = typing.get_type_hints(Config)
OF_APP = typing.get_type_hints(AppSettings)
OF_ROUTE = typing.get_type_hints(RouteSettings)


def taken(name: str) -> Any:
    """The type of what a setting may be given as: a list of any kind where `Config` holds a
    tuple.
    """
    if name == "allowed_origins":
        return Allowed | Sequence[Allowed] | Set[Allowed]
    return Texts if IN_CONFIG[name] == tuple[str, ...] else IN_CONFIG[name]


def test_an_app_takes_every_setting_in_the_order_of_config():
    assert list(OF_APP) == list(FIELDS)


def test_a_route_takes_those_that_are_marked_for_it_in_the_order_of_config():
    assert list(OF_ROUTE) == [name for name in FIELDS if name in ROUTE_OPTIONS]


@pytest.mark.parametrize("name", FIELDS)
def test_a_setting_of_an_app_has_the_type_of_its_field_or_is_not_given(name):
    assert OF_APP[name] == taken(name) | None


@pytest.mark.parametrize("name", OF_ROUTE)
def test_a_setting_of_a_route_has_the_type_of_its_field(name):
    assert OF_ROUTE[name] == taken(name)


@pytest.mark.parametrize("name", FIELDS)
def test_the_choices_of_a_setting_are_those_of_its_type(name):
    choices = FIELDS[name].metadata["setting"].choices

    assert (
        typing.get_args(IN_CONFIG[name]) == choices
        if choices
        else typing.get_origin(IN_CONFIG[name]) != Literal
    )


@pytest.mark.parametrize("given", [["a"], ("a",), {"a"}, frozenset({"a"}), "a"])
def test_a_list_may_be_given_in_every_way_that_its_type_has(given):
    assert Config.from_environ({}, presence_fields=given).presence_fields == ("a",)
    assert Config.from_environ({}).for_route({"presence_fields": given}).presence_fields == ("a",)


def test_none_leaves_a_setting_of_an_app_as_it_is():
    assert Config.from_environ({}, **dict.fromkeys(FIELDS)) == Config.from_environ({})
