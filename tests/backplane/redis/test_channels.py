"""Names of Redis channels, where a redirect leads, and errors without the password."""

from __future__ import annotations

import hashlib

import pytest
import redis
from redis.connection import SSLConnection, UnixDomainSocketConnection

from tina4_wsgi.backplane.envelope import Kind
from tina4_wsgi.backplane.redis import channels as channels_module
from tina4_wsgi.backplane.redis.channels import (
    Channels,
    RedisNode,
    check_client,
    check_url,
    describe,
    is_denied,
    new_connection,
)
from tina4_wsgi.config import Config
from tina4_wsgi.errors import BackplaneError, ConfigError


def test_paths_and_rooms_have_channels_of_their_own():
    channels = Channels("tina4")

    assert channels.of(Kind.PATH, "/chat") == "tina4:path:/chat"
    assert channels.of(Kind.ROOM, "/chat") == "tina4:room:/chat"
    assert channels.everybody == "tina4:everybody"
    assert channels.inbox(b"\x01\xff") == "tina4:inbox:01ff"


def test_a_second_app_of_a_process_has_channels_of_its_own():
    assert Channels("tina4", 2).of(Kind.PATH, "/chat") == "tina4.2:path:/chat"


def test_a_hash_tag_keeps_all_channels_on_one_shard():
    channels = Channels("tina4", 1, is_sharded=True)

    assert channels.of(Kind.ROOM, "a") == "{tina4.1}:room:a"
    assert channels.everybody == "{tina4.1}:everybody"


@pytest.mark.parametrize("name", ["/" + "a" * 199, "/" + "é" * 99 + "a"])
def test_a_name_of_200_bytes_is_written_out(name):
    assert len(name.encode()) == 200

    assert Channels("t").of(Kind.PATH, name) == f"t:path:{name}"


@pytest.mark.parametrize("name", ["/" + "a" * 200, "/" + "é" * 100, "/\udcff"])
def test_a_longer_name_and_one_that_utf8_can_not_express_is_hashed(name):
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()

    assert Channels("t").of(Kind.PATH, name) == f"t:path#{digest}"


@pytest.mark.parametrize(
    "error",
    [
        redis.ResponseError("MOVED 3999 10.0.0.7:6381"),
        redis.exceptions.MovedError("3999 10.0.0.7:6381"),
    ],
)
def test_a_redirect_leads_to_the_other_node_until_that_is_forgotten(error):
    node = RedisNode()

    assert node.is_elsewhere(error)
    assert node.address == ("10.0.0.7", 6381)

    node.forget()
    assert node.address is None


@pytest.mark.parametrize("text", ["3999 10.0.0.7:6381", "MOVED somewhere"])
def test_any_other_error_leads_nowhere(text):
    node = RedisNode()

    assert not node.is_elsewhere(redis.ResponseError(text))
    assert node.address is None


def test_a_connection_goes_to_the_address_of_the_url():
    config = Config(backplane_url="redis://user:pw@10.0.0.1:6380/3")

    connection = new_connection(config, 1.5, RedisNode())

    assert (connection.host, connection.port, connection.db) == ("10.0.0.1", 6380, 3)
    assert (connection.socket_timeout, connection.socket_connect_timeout) == (1.5, 2.0)
    assert (connection.client_name, connection.health_check_interval) == ("tina4_wsgi", 0)


def test_a_redirect_changes_the_address_and_nothing_else():
    config = Config(backplane_url="redis://user:pw@10.0.0.1:6380/3")
    node = RedisNode()
    node.address = ("10.0.0.7", 6381)

    connection = new_connection(config, 1.0, node)

    assert (connection.host, connection.port, connection.db) == ("10.0.0.7", 6381, 3)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("valkey://10.0.0.1", redis.Connection),
        ("valkeys://10.0.0.1", SSLConnection),
        ("unix:///run/redis.sock", UnixDomainSocketConnection),
    ],
)
def test_urls_of_valkey_and_of_unix_sockets_work(url, kind):
    assert type(new_connection(Config(backplane_url=url), 1.0, RedisNode())) is kind


def test_a_url_that_can_not_be_read_is_refused_without_a_cause_that_might_quote_it():
    with pytest.raises(
        BackplaneError, match=r"^backplane_url can't be read, expected as"
    ) as raised:
        new_connection(Config(backplane_url="redis://:pass@host?db=x"), 1.0, RedisNode())

    assert raised.value.__suppress_context__
    assert "pass" not in str(raised.value).replace("password", "")


def test_an_option_that_would_change_how_we_read_is_refused():
    with pytest.raises(ConfigError, match=r"sets 'protocol', which is this package's own business"):
        check_url(Config(backplane_url="redis://host?protocol="))


def test_a_url_with_other_options_is_fine():
    check_url(Config(backplane_url="redis://host?db=3"))


def test_redis_py_is_found():
    check_client()


def test_without_redis_py_a_url_is_fine_and_the_start_says_what_to_install(monkeypatch):
    monkeypatch.setattr(channels_module, "client", None)

    check_url(Config(backplane_url="redis://host"))
    with pytest.raises(BackplaneError, match=r"pip install 'tina4-wsgi\[redis\]'"):
        check_client()


@pytest.mark.parametrize(
    ("error", "is_so"),
    [
        (redis.ResponseError("NOPERM this user has no permissions"), True),
        (redis.exceptions.NoPermissionError("no permissions"), True),
        (redis.ResponseError("ERR has NOPERM in it"), False),
    ],
)
def test_what_the_acl_forbids_is_known(error, is_so):
    assert is_denied(error) is is_so


def test_an_error_is_told_in_one_line_and_without_the_password():
    config = Config(backplane_url="redis://user:p%40ss@host")
    error = redis.ConnectionError("no p@ss and no p%40ss\nsecond line")

    assert describe(error, config) == "ConnectionError: no *** and no ***"


def test_an_error_is_told_whole_where_there_is_no_password():
    config = Config(backplane_url="redis://host")

    assert describe(redis.ConnectionError("refused"), config) == "ConnectionError: refused"
