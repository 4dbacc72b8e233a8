"""Settings that can't be what was meant: each is refused with its name, its value, and what is
expected.
"""

from __future__ import annotations

import re

import pytest

from tina4_wsgi.config import Config, unknown_variables
from tina4_wsgi.errors import ConfigError

VARIABLES = {
    "DEBUG": ("maybe", "TINA4_WS_DEBUG='maybe', expected yes or no"),
    "MAX_CONNECTIONS": ("many", "TINA4_WS_MAX_CONNECTIONS='many', expected a number"),
    "DEFLATE_LEVEL": ("best", "TINA4_WS_DEFLATE_LEVEL='best', expected a number"),
    "PING_INTERVAL_S": ("25 s", "TINA4_WS_PING_INTERVAL_S='25 s', expected a number"),
    "TRUSTED_PROXIES": (
        "10.0.0.0/8, nginx",
        "trusted_proxies: 'nginx' is no address or network, expected as 10.0.0.0",
    ),
}
KEYWORDS = [
    ("max_connections", "10", "max_connections='10', expected int"),
    ("max_connections", True, "max_connections=True, expected int"),
    ("debug", 1, "debug=1, expected bool"),
    ("backplane_url", b"redis://:secret@a", "backplane_url is a bytes, expected str"),
    ("deflate_level", 0, "deflate_level=0, expected at least 1 on zlib's scale"),
    ("deflate_level", 10, "deflate_level=10, expected at most 9 on zlib's scale"),
    ("deflate_level", "fast", "deflate_level='fast', expected int"),
    ("deflate_mem_level", 0, "deflate_mem_level=0, expected at least 1 on zlib's scale"),
    ("deflate_mem_level", 10, "deflate_mem_level=10, expected at most 9 on zlib's scale"),
    ("max_connections", -1, "max_connections=-1, expected at least"),
    ("ping_interval_s", float("nan"), "ping_interval_s=nan, expected at least 0 seconds"),
    ("ping_interval_s", float("inf"), "ping_interval_s=inf, expected at most 86400 seconds"),
    ("on_slow", "wait", "on_slow='wait', expected one of: close,"),
    (
        "metrics",
        "metrics",
        "metrics='metrics', expected a path that begins with a slash, as \"/metrics\"",
    ),
    ("allowed_origins", [1], "allowed_origins: 1 is a int, expected an origin as"),
    ("allowed_origins", 5, "allowed_origins=5, expected tuple"),
    (
        "allowed_hosts",
        "http://shop.example",
        "allowed_hosts: 'http://shop.example' has a scheme, expected a host as",
    ),
    ("allowed_hosts", [1], "allowed_hosts=(1,), expected a list of texts"),
    ("root_path", "shop", "root_path='shop', expected a path as a browser shows it"),
    ("root_path", "/a b", "root_path='/a b', expected a path as a browser shows it"),
    ("root_path", "/a//b", "root_path='/a//b', expected a path as a browser shows it"),
    ("root_path", "/../b", "root_path='/../b', expected a path as a browser shows it"),
    ("root_path", "/a%20b", "root_path='/a%20b', expected a path as a browser shows it"),
    ("live_token", "guess me", "live_token, expected at least 16 letters"),
    ("backplane_url", "http://a", "backplane_url, expected one that begins with redis"),
]


@pytest.mark.parametrize("name", VARIABLES)
def test_a_variable_that_can_not_be_read_is_named(name):
    text, message = VARIABLES[name]

    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        Config.from_environ({f"TINA4_WS_{name}": text})


@pytest.mark.parametrize(
    ("name", "value", "message"), KEYWORDS, ids=[f"{name}={value}" for name, value, _ in KEYWORDS]
)
def test_a_value_out_of_its_range_is_named(name, value, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        Config.from_environ({}, **{name: value})


@pytest.mark.parametrize("text", ["/shop", "/shop/", "/käse/brot"])
def test_the_root_path_is_that_of_gunicorn_where_no_other_is_set(text):
    assert Config.from_environ({"SCRIPT_NAME": text}).root_path == text.rstrip("/")
    assert (
        Config.from_environ({"SCRIPT_NAME": text, "TINA4_WS_ROOT_PATH": "/own/"}).root_path
        == "/own"
    )
    assert Config.from_environ({"SCRIPT_NAME": text}, root_path="/key").root_path == "/key"


def test_a_script_name_that_is_no_path_is_named():
    with pytest.raises(ConfigError, match=r"^SCRIPT_NAME='shop', expected a path"):
        Config.from_environ({"SCRIPT_NAME": "shop"})


def test_origins_in_a_variable_are_a_list_and_one_that_no_page_has_is_named():
    both = {"TINA4_WS_ALLOWED_ORIGINS": "https://a.example, https://*.b.example"}

    assert Config.from_environ(both).allowed_origins == ("https://a.example", "https://*.b.example")
    with pytest.raises(ConfigError, match=r"^allowed_origins: 'b\.example' has no scheme"):
        Config.from_environ({"TINA4_WS_ALLOWED_ORIGINS": "https://a.example,b.example"})


def test_a_setting_above_its_most_is_named_with_its_unit():
    tops = {item: setting.most for item, setting in settings() if setting.most is not None}
    assert tops

    for name, most in tops.items():
        with pytest.raises(ConfigError, match=rf"^{name}=.*, expected at most {most} "):
            Config.from_environ({}, **{name: type(most)(most + 1)})


def settings():
    return [
        (name, field.metadata["setting"]) for name, field in Config.__dataclass_fields__.items()
    ]


@pytest.mark.parametrize(
    ("text", "is_on"), [("yes", True), ("1", True), ("ON", True), ("no", False), ("0", False)]
)
def test_a_variable_says_yes_or_no_in_several_ways(text, is_on):
    assert Config.from_environ({"TINA4_WS_DEBUG": text}).debug is is_on


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("max_conections", "max_connections"),
        ("ping_interval", "ping_interval_s"),
        ("allowed_origin", "allowed_origins"),
    ],
)
def test_a_misspelt_setting_names_the_one_that_was_probably_meant(name, meant):
    message = rf"^unknown app setting '{name}'; did you mean '{meant}'\? expected one of: "

    with pytest.raises(ConfigError, match=message):
        Config.from_environ({}, **{name: 1})


def test_variables_that_are_no_settings_are_found_with_what_was_probably_meant():
    environ = {
        "TINA4_WS_PING_INTERVAL": "3",
        "TINA4_WS_MAX_CONECTIONS": "10",
        "TINA4_WS_COLOUR": "red",
        "TINA4_WS_DEBUG": "1",
        "TINA4_WSGI_PURE": "1",
        "PING_INTERVAL_S": "3",
    }

    assert unknown_variables(environ) == {
        "TINA4_WS_COLOUR": "",
        "TINA4_WS_MAX_CONECTIONS": "TINA4_WS_MAX_CONNECTIONS",
        "TINA4_WS_PING_INTERVAL": "TINA4_WS_PING_INTERVAL_S",
    }
