"""Tests of an app as its author has them: run by unittest and by pytest, patched and not, in a
process of their own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUN_S = 60.0

APP = """
from tina4_wsgi import App, Router

router = Router()

@router.websocket("/ws/echo")
def echo(connection, event, data):
    if event == "message":
        connection.broadcast(data)

@router.get("/")
def home(request, response):
    return "home"

app = App(router=router)
"""

UNITTEST = """
import unittest
from shop import app
from tina4_wsgi.testing import TestClient

class EchoTest(unittest.TestCase):
    def setUp(self):
        self.client = TestClient(app)
        self.addCleanup(self.client.close)

    def test_echo_reaches_both(self):
        with self.client.websocket("/ws/echo") as ada, self.client.websocket("/ws/echo") as bob:
            ada.send("hi")
            self.assertEqual(ada.receive(), "hi")
            self.assertEqual(bob.receive(timeout=10), "hi")
            bob.receive_nothing()

    def test_home(self):
        self.assertEqual(self.client.get("/").text, "home")
"""

PYTEST = """
import socket
import urllib.request

def test_in_memory(tina4_client):
    with tina4_client.websocket("/ws/echo") as ws:
        ws.send("hi")
        assert ws.receive() == "hi"

def test_over_the_network(tina4_server):
    assert urllib.request.urlopen(tina4_server.url + "/").read() == b"home"
    assert tina4_server.ws_url.startswith("ws://127.0.0.1:")
    socket.create_connection(tina4_server.address).close()
    global pid
    pid = tina4_server.pid

def test_the_server_is_gone():
    import os
    assert not os.path.exists(f"/proc/{pid}")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(APP)
    return tmp_path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the folder, a warning being an error."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "COV_"))
    }
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )


def run_pytest(folder: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_shop.py").write_text(textwrap.dedent(text))
    return run(folder, "-m", "pytest", "-p", "no:cacheprovider", *arguments)


@pytest.mark.parametrize(
    "first_line", ["", "from gevent import monkey; monkey.patch_all()"], ids=["plain", "patched"]
)
def test_a_unittest_file_passes(folder, first_line):
    (folder / "test_shop.py").write_text(first_line + UNITTEST)

    done = run(folder, "-m", "unittest")

    assert done.returncode == 0, done.stderr
    assert "Ran 2 tests" in done.stderr


def test_a_pytest_file_uses_both_fixtures(folder):
    (folder / "pytest.ini").write_text(
        "[pytest]\ntina4_app = shop:app\naddopts = --strict-markers\n"
    )

    done = run_pytest(folder, PYTEST)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_a_patched_pytest_run_uses_both_fixtures(folder):
    (folder / "pytest.ini").write_text("[pytest]\ntina4_app = shop:app\n")
    (folder / "conftest.py").write_text("from gevent import monkey; monkey.patch_all()\n")

    # Hypothesis loads trio at the end, and that starts a program: gevent forks for it, beside a
    # thread.
    done = run_pytest(folder, PYTEST, "-p", "no:hypothesispytest")

    assert "3 passed" in done.stdout, done.stdout + done.stderr


def test_an_app_that_patches_after_something_has_imported_ssl_makes_no_warning(folder):
    """Another plugin has: under `-W error` gevent's warning of it would end each test."""
    (folder / "conftest.py").write_text("from ssl import SSLContext\n")
    (folder / "wsgi.py").write_text(
        "from gevent import monkey; monkey.patch_all()\nfrom shop import app\n"
    )

    done = run_pytest(
        folder,
        "def test_it(tina4_client): tina4_client.get('/')\n",
        "-W",
        "error",
        "-p",
        "no:hypothesispytest",
    )

    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_a_marker_names_the_app(folder):
    done = run_pytest(
        folder,
        """
        import pytest
        pytestmark = pytest.mark.tina4_app("shop:app")

        def test_home(tina4_client):
            assert tina4_client.get("/").text == "home"
        """,
        "--strict-markers",
    )

    assert "1 passed" in done.stdout, done.stdout


def test_a_suite_may_make_its_own_app(folder):
    done = run_pytest(
        folder,
        """
        import pytest
        import shop

        @pytest.fixture
        def tina4_app():
            return shop.App(router=shop.router)

        def test_home(tina4_app, tina4_client):
            assert tina4_client.application is tina4_app
        """,
    )

    assert "1 passed" in done.stdout, done.stdout


def test_without_a_name_the_routes_in_src_are_the_app(folder):
    routes = folder / "src" / "routes"
    routes.mkdir(parents=True)
    (routes / "home.py").write_text(
        "from tina4_wsgi import Router\n@Router.get('/')\ndef home(request, response):\n    return "
        "'found'\n"
    )

    done = run_pytest(
        folder, "def test_home(tina4_client):\n    assert tina4_client.get('/').text == 'found'\n"
    )

    assert "1 passed" in done.stdout, done.stdout


@pytest.mark.parametrize(
    ("mark", "why"),
    [
        (
            "tina4_app('shop:nothing')",
            "module 'shop' has no 'nothing', but it has 'app': try shop:app",
        ),
        ("tina4_app()", r"tina4_app(): expected one text, as in tina4_app('shop.wsgi:app')"),
    ],
)
def test_a_wrong_name_is_an_error_that_says_so(folder, mark, why):
    done = run_pytest(
        folder,
        f"import pytest\n@pytest.mark.{mark}\ndef test(tina4_client, tina4_server):\n    pass\n",
    )

    assert "1 error" in done.stdout
    assert why in done.stdout


def test_a_server_that_does_not_start_says_why(folder):
    done = run_pytest(
        folder,
        "import pytest\n@pytest.mark.tina4_app('shop:app.nothing')\ndef test(tina4_server):\n    "
        "pass\n",
    )

    assert "1 error" in done.stdout
    assert "the server ended with exit code 1" in done.stdout


def test_a_run_that_uses_no_fixture_is_left_alone(folder, monkeypatch):
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)  # it would load greenlet

    done = run_pytest(
        folder,
        """
        import sys

        def test_nothing_of_it_is_there():
            loaded = {name.partition(".")[0] for name in sys.modules}
            assert not loaded & {"gevent", "greenlet", "werkzeug", "jinja2"}
            assert {name for name in sys.modules if name.startswith("tina4_wsgi.")} <= {"tina4_wsgi.pytest_plugin"}
        """,
        "-p",
        "no:hypothesispytest",
    )

    assert "1 passed" in done.stdout, done.stdout


def test_the_plugin_can_be_left_out(folder):
    done = run_pytest(
        folder, UNITTEST + "\ndef test(tina4_client):\n    pass\n", "-p", "no:tina4_wsgi"
    )

    assert "2 passed, 1 error" in done.stdout
    assert "fixture 'tina4_client' not found" in done.stdout
