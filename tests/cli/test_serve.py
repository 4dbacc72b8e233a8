"""`tina4-wsgi serve`: what is served, what is printed."""

from __future__ import annotations

import os
import pty
import socket
import urllib.request

import pytest

from tests.support import servers
from tests.support.command import ask_unix_socket, launched, serving
from tina4_wsgi.version import __version__

SAYS = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [{expression}.encode()]
"""


def says(expression):
    """The source of an application that answers with the value of `expression`."""
    return SAYS.format(expression=expression)


def get(server, path="/"):
    with urllib.request.urlopen(server.url + path, timeout=10) as answer:
        return answer.read().decode()


def test_wsgi_py_is_served_by_default_and_the_banner_says_where(tmp_path):
    (tmp_path / "wsgi.py").write_text(says("'from wsgi.py'"))

    with serving(tmp_path) as server:
        assert get(server) == "from wsgi.py"
        port = server.address[1]
        assert server.log.splitlines()[:3] == [
            f"Tina4 WSGI v{__version__}",
            f"HTTP server running at http://127.0.0.1:{port}",
            f"WebSocket server running at ws://127.0.0.1:{port}",
        ]


def test_without_a_wsgi_py_the_routes_in_src_are_served(tmp_path):
    routes = tmp_path / "src" / "routes"
    routes.mkdir(parents=True)
    (routes / "hello.py").write_text(
        "from tina4_wsgi import Router\n@Router.get('/hello')\ndef hello(request, response):\n    "
        "return 'from src'\n"
    )

    with serving(tmp_path) as server:
        assert get(server, "/hello") == "from src"


@pytest.mark.parametrize(
    ("target", "source"),
    [
        ("shop.web:application", says("'named'").replace("def app", "def application")),
        ("shop.web", says("'named'")),
        (
            "shop.web:Site.app",
            "class Site:\n    @staticmethod" + says("'named'").replace("\n", "\n    "),
        ),
        ("shop.web:make()", says("'named'") + "def make():\n    return app\n"),
    ],
)
def test_the_application_may_be_named(tmp_path, target, source):
    package = tmp_path / "shop"
    package.mkdir()
    (package / "web.py").write_text(source)

    with serving(tmp_path, target) as server:
        assert get(server) == "named"


def test_everything_is_patched_before_the_application_is_imported(tmp_path):
    source = (
        "import socket, threading, gevent.socket\npatched = socket.socket is gevent.socket.socket\n"
    )
    (tmp_path / "wsgi.py").write_text(source + says("str(patched)"))

    with serving(tmp_path) as server:
        assert get(server) == "True"


def test_the_collector_is_spared_what_is_loaded(tmp_path):
    (tmp_path / "wsgi.py").write_text("import gc\n" + says("str(gc.get_freeze_count() > 10_000)"))

    with serving(tmp_path) as server:
        assert get(server) == "True"


def test_an_application_that_patches_for_itself_is_fine(tmp_path):
    (tmp_path / "wsgi.py").write_text(
        "from gevent import monkey\nmonkey.patch_all()\n" + says("'fine'")
    )

    with serving(tmp_path) as server:
        assert get(server) == "fine"


@pytest.mark.parametrize(("options", "debug"), [((), "False"), (("--debug",), "True")])
def test_debug_is_for_the_applications_config(tmp_path, options, debug):
    source = "from tina4_wsgi.config import Config\nconfig = Config.from_environ()\n"
    (tmp_path / "wsgi.py").write_text(source + says("str(config.debug)"))

    with serving(tmp_path, None, *options) as server:
        assert get(server) == debug


def test_requests_are_logged_in_plain_lines(tmp_path):
    (tmp_path / "wsgi.py").write_text(says("'hello'"))

    with serving(tmp_path) as server:
        get(server, "/a?token=secret")
        line = server.wait_for_log(r".*tina4_wsgi\.access: .*")[0]

    assert line[20:].startswith('INFO    tina4_wsgi.access: 127.0.0.1 "GET /a HTTP/1.1" 200 5 ')
    assert "secret" not in server.log
    assert "\x1b" not in server.log


def test_requests_are_not_logged_above_their_level(tmp_path):
    (tmp_path / "wsgi.py").write_text(says("'hello'"))

    with serving(tmp_path, None, "--log-level", "warning") as server:
        get(server)

    assert "tina4_wsgi.access" not in server.log


def test_logging_that_the_application_has_set_up_is_left_alone(tmp_path):
    source = "import logging\nlogging.basicConfig(level='INFO', format='mine %(name)s')\n"
    (tmp_path / "wsgi.py").write_text(source + says("'hello'"))

    with serving(tmp_path) as server:
        get(server)
        server.wait_for_log(r"(?m)^mine tina4_wsgi\.access$")


def test_levels_have_colours_on_a_terminal(tmp_path):
    (tmp_path / "wsgi.py").write_text(says("'hello'"))
    ours, theirs = pty.openpty()
    try:
        with launched(tmp_path, "--port", "0", stderr=theirs) as (_, banner):
            port = int(banner[1].rpartition(":")[2])
            with socket.create_connection(("127.0.0.1", port), 5) as client:
                client.sendall(b"nonsense\r\n\r\n")
                client.recv(100)
        printed = os.read(ours, 10_000).decode()
    finally:
        os.close(ours)
        os.close(theirs)

    assert "\x1b[33mWARNING\x1b[0m tina4_wsgi.server: refused 400 from 127.0.0.1" in printed


def test_a_unix_socket_is_served(tmp_path):
    (tmp_path / "wsgi.py").write_text(says("'hello'"))
    path = tmp_path / "web.sock"

    with launched(tmp_path, "--bind", f"unix:{path}", banner_lines=2) as (process, banner):
        assert ask_unix_socket(path).endswith(b"hello")

    assert banner == [
        f"Tina4 WSGI v{__version__}",
        f"HTTP and WebSocket server running at unix:{path}",
    ]
    assert process.returncode == 0
    assert not path.exists()


def test_a_certificate_makes_it_https(tmp_path):
    (tmp_path / "wsgi.py").write_text(says("'hello'"))
    certificate = servers.ROOT / "tests" / "server" / "localhost.pem"

    with launched(tmp_path, "--port", "0", "--certfile", str(certificate)) as (_, banner):
        assert banner[1].startswith("HTTP server running at https://127.0.0.1:")
        assert banner[2].startswith("WebSocket server running at wss://127.0.0.1:")


def test_the_installed_command_finds_the_applications_folder(tmp_path):
    (tmp_path / "wsgi.py").write_text(says("'found'"))
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "tina4-wsgi"  # as pip makes it: sys.path begins with its own folder
    script.write_text("import sys\nfrom tina4_wsgi.cli.main import main\nsys.exit(main())\n")

    with launched(tmp_path, "--port", "0", program=[str(script)]) as (_, banner):
        assert banner[0] == f"Tina4 WSGI v{__version__}"
