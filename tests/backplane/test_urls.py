"""A URL of Redis that can't work is told where it is set, before anybody connects, and without its
password.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial

import pytest

from tests.support.servers import ROOT
from tina4_wsgi import App, ConfigError, Publisher, Router

SECRET = "s3cret"
HOST = f"redis://ada:{SECRET}@127.0.0.1"
TLS = f"rediss://ada:{SECRET}@127.0.0.1:6379"


@pytest.mark.parametrize(
    "url",
    [
        f"http://ada:{SECRET}@127.0.0.1",
        f"REDIS//{SECRET}",
        f"{HOST}:port",
        f"{HOST}:70000",
        f"{HOST}:0",
        f"{HOST}:-1",
        f"{HOST}:6379/zero",
        f"{HOST}:6379/3/4",
        f"{HOST}:6379/-1",
        f"{HOST}:6379/٣",
        f"redis://ada:{SECRET}/x@h:6379",
        f"redis://ada:{SECRET}#x@h:6379",
        f"redis://[::1:6379/{SECRET}",
        "unix://",
        "unix:///",
        f"{HOST}?databse=1",
        f"{HOST}?socket_keepalive_options=x&nonsense={SECRET}",
        f"{HOST}?db=one",
        f"{HOST}?ssl_cert_reqs=none",
        f"{TLS}?ssl_cert_reqs=bogus",
        f"{TLS}?ssl_min_version=old",
        f"{HOST}?socket_timeout=5",
        f"{HOST}?decode_responses=true",
        f"{HOST}?protocol=3",
        f"{HOST}?max_connections=1",
    ],
)
@pytest.mark.parametrize(
    "make", [partial(App, router=Router()), Publisher], ids=["App", "Publisher"]
)
def test_a_url_that_can_not_work_is_refused_where_it_is_set(make, url):
    with pytest.raises(ConfigError, match="backplane_url") as raised:
        make(backplane="redis", backplane_url=url)

    assert SECRET not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1",
        f"{HOST}:6379/0",
        "redis://[::1]:6379/15",
        "valkeys://redis.example",
        "redis://:p%40ss%3Aw%2Frd%25%23@127.0.0.1",
        f"{TLS}?ssl_cert_reqs=required&ssl_check_hostname=true",
        "unix:///run/redis.sock?db=3",
        f"{HOST}/0?socket_keepalive=true",
    ],
)
def test_a_url_that_can_work_connects_to_nobody_yet(url):
    Publisher(backplane="redis", backplane_url=url).close()


def test_the_variable_is_refused_at_import_and_not_by_every_handshake():
    program = "from tina4_wsgi import App, Router; App(router=Router())"
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "TINA4_WS_BACKPLANE": "redis",
        "TINA4_WS_BACKPLANE_URL": f"{TLS}?ssl_cert_reqs=bogus",
    }

    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "ConfigError: backplane_url" in done.stderr
    assert "bogus" in done.stderr
    assert SECRET not in done.stderr
