"""`tina4-wsgi routes`: every route, with who may come in and where it is written."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import PATH, run

APP = """\
from tina4_wsgi import App, Router


def logged_in(request):
    return None


@Router.websocket("/ws/{room}/<int:table>", auth=logged_in, subprotocols=["a"], max_message_bytes=500)
def chat(connection, event, data):
    pass


@Router.get("/")
def index(request, response):
    return ""


app = App()
"""

KEEPING = """\
from tina4_wsgi import App, Router


def talk(connection, event, data):
    pass


Router.websocket("/ws/kept", talk, history=100, history_s=60, replay=5)
Router.websocket("/ws/default", talk)
Router.websocket("/ws/plain", talk, history=0)
Router.get("/", lambda request, response: "")
Router.room("orders:{id}", history=7)
app = App(history=20)
"""

FLASK = """\
import flask
from tina4_wsgi.contrib.flask import login_required, websocket, wrap

site = flask.Flask("site")
board = flask.Blueprint("board", "board", url_prefix="/board")


@websocket(board, "/live/{card:int}", auth=login_required)
def live(connection, event, data):
    pass


site.register_blueprint(board)
app = wrap(site)
"""

PYRAMID = """\
import warnings
warnings.simplefilter("ignore")  # webob needs the `cgi` of the standard library
from pyramid.config import Configurator
from tina4_wsgi.contrib.pyramid import wrap


def live(connection, event, data):
    pass


with Configurator() as config:
    config.include("tina4_wsgi.contrib.pyramid")
    config.add_websocket("/live/{card:int}", live)
app = wrap(config.make_wsgi_app())
"""

FALCON = """\
import falcon
from tina4_wsgi.contrib.falcon import wrap


class Live:
    def on_websocket(self, req, connection, event, data, card):
        pass


inner = falcon.App()
inner.add_route("/live/{card:int}", Live())
app = wrap(inner)
"""


def described(folder: Path, source: str, target: str | None = None) -> list[dict[str, object]]:
    (folder / "wsgi.py").write_text(source)
    done = run(folder, "routes", "--json", *([target] if target else []))
    assert done.returncode == 0, done.stderr
    found: list[dict[str, object]] = json.loads(done.stdout)
    return found


def test_the_table_has_a_line_for_each(tmp_path):
    (tmp_path / "wsgi.py").write_text(APP)

    done = run(tmp_path, "routes")

    assert done.returncode == 0, done.stderr
    titles, *rows = (
        list(filter(None, map(str.strip, line.split("  ")))) for line in done.stdout.splitlines()
    )
    assert titles == ["KIND", "METHODS", "PATH", "CONVERTERS", "AUTH", "WHERE"]
    assert rows == [
        [
            "websocket",
            "-",
            "/ws/{room}/<int:table>",
            "room: string, table: int",
            "logged_in",
            "wsgi.py:8",
        ],
        ["http", "GET, HEAD", "/", "-", "-", "wsgi.py:13"],
    ]


def test_what_keeps_history_has_a_column_and_rooms_have_lines(tmp_path):
    (tmp_path / "wsgi.py").write_text(KEEPING)

    done = run(tmp_path, "routes")

    assert done.returncode == 0, done.stderr
    titles, *rows = (
        list(filter(None, map(str.strip, line.split("  ")))) for line in done.stdout.splitlines()
    )
    assert titles == ["KIND", "METHODS", "PATH", "CONVERTERS", "AUTH", "HISTORY", "WHERE"]
    assert [[row[0], row[2], row[5]] for row in rows] == [
        ["websocket", "/ws/kept", "100 for 60 s, replay 5"],
        ["websocket", "/ws/default", "20 for 300 s"],
        ["websocket", "/ws/plain", "-"],
        ["http", "/", "-"],
        ["room", "orders:{id}", "7 for 300 s"],
    ]


def test_json_tells_what_keeps_history(tmp_path):
    kept, _, plain, _, room = described(tmp_path, KEEPING)

    assert kept["history"] == {"messages": 100, "seconds": 60, "replay": 5}
    assert plain["history"] is None
    assert room == {
        "kind": "room",
        "methods": [],
        "path": "orders:{id}",
        "parameters": {},
        "auth": None,
        "subprotocols": [],
        "settings": {},
        "history": {"messages": 7, "seconds": 300, "replay": 0},
        "location": "",
    }


def test_json_has_all_that_is_known(tmp_path):
    websocket, page = described(tmp_path, APP)

    assert websocket == {
        "kind": "websocket",
        "methods": [],
        "path": "/ws/{room}/<int:table>",
        "parameters": {"room": "string", "table": "int"},
        "auth": "logged_in",
        "subprotocols": ["a"],
        "settings": {"max_message_bytes": 500},
        "history": None,
        "location": f"{tmp_path}/wsgi.py:8",
    }
    assert (page["path"], page["methods"], page["auth"]) == ("/", ["GET", "HEAD"], None)


@pytest.mark.parametrize(
    ("source", "path"),
    [
        (FLASK, "/board/live/<int:card>"),
        (PYRAMID, "/live/{card:int}"),
        (FALCON, "/live/{card:int}"),
    ],
    ids=["flask", "pyramid", "falcon"],
)
def test_what_a_wrapped_framework_declares_is_listed(tmp_path, source, path):
    (route,) = described(tmp_path, source)

    assert (route["kind"], route["path"], route["parameters"]) == (
        "websocket",
        path,
        {"card": "int"},
    )
    assert str(route["location"]).startswith(f"{tmp_path}/wsgi.py:")


def test_an_app_inside_of_a_middleware_is_found(tmp_path):
    source = (
        APP
        + "inner = app\n\n\ndef app(environ, start_response):\n    return inner(environ, start_response)\n"
    )

    assert len(described(tmp_path, source)) == 2


def test_an_app_without_routes_says_so(tmp_path):
    (tmp_path / "wsgi.py").write_text("from tina4_wsgi import App\napp = App()\n")

    done = run(tmp_path, "routes")

    assert (done.returncode, done.stdout) == (0, "no route is registered\n")


def test_something_else_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "wsgi.py").write_text("def app(environ, start_response):\n    pass\n")

    done = run(tmp_path, "routes")

    assert done.returncode == 1
    assert done.stderr == (
        "tina4-wsgi: the application is a builtins.function, expected a tina4_wsgi.App or "
        "something around one\n"
    )


@pytest.mark.parametrize("command", ["routes", "nginx"])
def test_code_that_can_not_be_loaded_shows_the_users_traceback(tmp_path, command):
    (tmp_path / "wsgi.py").write_text("1 / 0\n")

    done = run(tmp_path, command)

    assert done.returncode == 1
    assert done.stderr.splitlines()[-2:] == [
        "ZeroDivisionError: division by zero",
        "tina4-wsgi: wsgi.py:1: ZeroDivisionError: division by zero",
    ]


@pytest.mark.parametrize(
    ("variables", "has_colours"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_colours_are_for_terminals_whose_user_wants_them(tmp_path, variables, has_colours):
    (tmp_path / "wsgi.py").write_text(APP)
    ours, theirs = pty.openpty()
    env = {**os.environ, **PATH, "TERM": "xterm", **variables}
    try:
        subprocess.run(
            [sys.executable, "-m", "tina4_wsgi", "routes"],
            cwd=tmp_path,
            env=env,
            stdout=theirs,
            timeout=20,
            check=True,
        )
        printed = os.read(ours, 10_000).decode()
    finally:
        os.close(ours)
        os.close(theirs)

    assert ("\x1b[36mwebsocket" in printed) == has_colours
    assert "wsgi.py:8" in printed


def test_a_pipe_that_is_closed_early_is_no_error(tmp_path):
    (tmp_path / "wsgi.py").write_text(APP)
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-u", "-m", "tina4_wsgi", "routes"],
            cwd=tmp_path,
            env={**os.environ, **PATH},
            stdout=writing,
            stderr=subprocess.PIPE,
            timeout=20,
            check=False,
        )
    finally:
        os.close(writing)

    assert done.stderr == b""
    assert done.returncode == 141
