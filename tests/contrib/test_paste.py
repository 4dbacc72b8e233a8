"""A filter of PasteDeploy puts us around the application of an ini file."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import servers
from tests.support.installed import install_into
from tests.support.raw import RawClient
from tina4_wsgi import App, ConfigError, ConnectionClosed
from tina4_wsgi.contrib.paste import filter_app
from tina4_wsgi.testing import TestClient

NOTES = """
from tina4_wsgi import Router, broadcast

NOTES = []


def make(global_conf, **settings):
    return answer


def answer(environ, start_response):
    if environ["REQUEST_METHOD"] == "POST":
        NOTES.append(environ["PATH_INFO"])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ada"]


def passing(app, global_conf):
    return lambda environ, start_response: app(environ, start_response)
"""

SOCKETS = """
from tina4_wsgi import Router, ask, broadcast


@Router.websocket("/ws/notes", auth=ask("/me"))
def notes(connection, event, data):
    pass


def tell(method, path, status, environ):
    if method == "POST":
        broadcast("/ws/notes", path)
"""

INI = """
[app:notes]
paste.app_factory = notes:make

[filter:live]
use = egg:tina4-wsgi
routes = sockets
on_response = sockets:tell
max_message_bytes = 1000

[filter:passing]
paste.filter_app_factory = notes:passing

[pipeline:main]
pipeline = live notes

[pipeline:around]
pipeline = passing live notes
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with an ini file, in which the package is installed."""
    folder = tmp_path / "project"
    folder.mkdir()
    for name, text in (("notes.py", NOTES), ("sockets.py", SOCKETS), ("site.ini", INI)):
        (folder / name).write_text(text)
    monkeypatch.setenv("PYTHONPATH", install_into(tmp_path / "installed"))
    monkeypatch.setenv("TINA4_WS_BACKPLANE", "none")
    return folder


def command(folder: Path, *arguments: str, exit_code: int = 0) -> str:
    """Run `tina4-wsgi ARGUMENTS`, and give what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tina4_wsgi", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == exit_code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("worker_class", ["gevent", "sync"])
def test_gunicorn_serves_an_ini_file_with_its_websockets(project, tmp_path, worker_class):
    with servers.gunicorn(
        "notes",
        project,
        tmp_path / "log",
        "--paste",
        "site.ini",
        worker_class=worker_class,
        env={"PYTHONPATH": f"{project}:{os.environ['PYTHONPATH']}"},
    ) as server:
        servers.wait_until_answering(server)
        with RawClient.open(server.address, "/ws/notes") as client:
            assert post(server, "/milk") == "ada"

            assert client.read_text() == "/milk"
        server.end()


def post(server: servers.Server, path: str) -> str:
    connection = http.client.HTTPConnection(*server.address, timeout=10)
    try:
        connection.request("POST", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


# -- the commands


@pytest.mark.parametrize("target", ["config:site.ini", "config:site.ini#around"])
def test_routes_lists_what_an_ini_file_serves(project, target):
    printed = command(project, "routes", target)

    assert "/ws/notes" in printed
    assert "ask('/me')" in printed


def test_doctor_examines_an_ini_file(project):
    site = INI.replace("max_message_bytes = 1000", "max_connections = 9000000")
    (project / "site.ini").write_text(site)

    assert "9000000" in command(project, "doctor", "config:site.ini")


def test_our_own_server_serves_an_ini_file(project, tmp_path):
    with (
        servers.own("config:site.ini", project, tmp_path / "log") as server,
        RawClient.open(server.address, "/ws/notes") as client,
    ):
        assert post(server, "/eggs") == "ada"

        assert client.read_text() == "/eggs"


@pytest.mark.parametrize(
    ("target", "change", "why"),
    [
        ("config:none.ini", ("", ""), "there is no file 'none.ini' in"),
        ("config:site.ini#none", ("", ""), "none"),
        (
            "config:site.ini",
            ("max_message_bytes", "max_mesage_bytes"),
            "did you mean 'max_message_bytes'?",
        ),
        (
            "config:site.ini",
            ("routes = sockets", "routes = socket_routes"),
            "routes names 'socket_routes', expected a module",
        ),
        ("config:site.ini", ("sockets:tell", "sockets:told"), "sockets has no 'told'"),
        ("config:site.ini", ("= 1000", "= many"), "max_message_bytes='many', expected a number"),
    ],
)
def test_what_is_wrong_in_an_ini_file_is_said(project, target, change, why):
    (project / "site.ini").write_text(INI.replace(*change))

    printed = command(project, "routes", target, exit_code=1)

    assert why in printed.rstrip().rpartition("\n")[2]


# -- the filter itself


def legacy(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"legacy"]


def test_settings_are_spelled_as_in_variables(tmp_path):
    app = filter_app(
        legacy,
        {"here": str(tmp_path)},
        allowed_origins="https://a.example, https://b.example",
        deflate="yes",
        reauth_every="2.5",
        live="no",
    )

    assert isinstance(app, App)
    assert app.root == tmp_path
    assert app.config.allowed_origins == ("https://a.example", "https://b.example")
    assert (app.config.deflate, app.config.reauth_every) == (True, 2.5)


def test_log_outs_of_the_application_close_websockets(tmp_path):
    def logs_out(environ: Any, start_response: Any) -> list[bytes]:
        start_response("302 Found", [("Set-Cookie", "session=; Max-Age=0")])
        return [b""]

    app = filter_app(logs_out, {"here": str(tmp_path)}, close_on_logout="/logout, /admin/logout")
    app.router.websocket("/ws/paste/logout")(lambda connection, event, data: None)

    with TestClient(app) as client:
        client.set_cookie("session", "a-session-of-twenty-")
        ws = client.websocket("/ws/paste/logout")
        client.get("/admin/logout")
        with pytest.raises(ConnectionClosed) as closed:
            ws.receive()

    assert closed.value.code == 4401


def test_a_framework_is_wrapped_by_its_own_wrap_also_behind_middleware(tmp_path):
    from flask import Flask
    from werkzeug.middleware.proxy_fix import ProxyFix

    from tina4_wsgi.contrib.flask import websocket

    for stack in (lambda app: app, ProxyFix):
        flask_app = Flask("shop")
        websocket(flask_app, "/ws/board", endpoint="board")(lambda connection, event, data: None)

        app = filter_app(stack(flask_app), {"here": str(tmp_path)}, framework="flask")

        assert isinstance(app, App)
        assert "/ws/board" in [route.path for route in app.all_routes()]


def test_a_pyramid_app_is_found_behind_middleware(tmp_path):
    from pyramid.config import Configurator

    config = Configurator()
    config.include("tina4_wsgi.contrib.pyramid")
    config.add_websocket("/ws/board", lambda connection, event, data: None)
    stack = Around(config.make_wsgi_app())

    app = filter_app(stack, {"here": str(tmp_path)}, framework="pyramid")

    assert isinstance(app, App)
    assert "/ws/board" in [route.path for route in app.all_routes()]


class Around:
    """Middleware."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(self, environ: Any, start_response: Any) -> Any:
        return self.app(environ, start_response)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"framework": "turbogears"}, "framework='turbogears', expected one of: bottle, django"),
        ({"reauth": "1"}, "unknown app setting 'reauth'"),
        ({"deflate": "perhaps"}, "deflate='perhaps', expected yes or no"),
    ],
)
def test_a_wrong_setting_is_refused(tmp_path, settings, why):
    with pytest.raises(ConfigError, match=why):
        filter_app(legacy, {"here": str(tmp_path)}, **settings)
