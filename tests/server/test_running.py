"""What a process needs to run our server."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from tina4_wsgi import __version__
from tina4_wsgi.server import running
from tina4_wsgi.server.listening import ListenAddress
from tina4_wsgi.server.running import MOST_DESCRIPTORS, allow_many_descriptors, banner_at

INFINITE = resource.RLIM_INFINITY


def test_the_banner_names_version_and_addresses():
    text = banner_at(ListenAddress(), ("127.0.0.1", 7148), "", "")

    assert text.splitlines() == [
        f"Tina4 WSGI v{__version__}",
        "HTTP server running at http://127.0.0.1:7148",
        "WebSocket server running at ws://127.0.0.1:7148",
    ]


def test_the_banner_shows_the_link_of_the_live_page_below_the_root_path():
    text = banner_at(ListenAddress(), ("127.0.0.1", 7148), "/shop", "/__tina4/live?token=a")

    assert text.splitlines()[-1] == (
        "Live page, and tracebacks in the browser: http://127.0.0.1:7148/shop/__tina4/live?token=a"
    )


@pytest.mark.parametrize(
    ("soft", "hard", "wanted"),
    [
        (1_024, INFINITE, (MOST_DESCRIPTORS, INFINITE)),
        (1_024, 4_096, (4_096, 4_096)),
        (1_024, 1_000_000, (MOST_DESCRIPTORS, 1_000_000)),
        (100_000, INFINITE, None),
        (INFINITE, INFINITE, None),
    ],
)
def test_the_soft_limit_on_descriptors_is_raised_but_never_lowered(monkeypatch, soft, hard, wanted):
    asked = []
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda kind, limits: asked.append(limits))

    allow_many_descriptors()

    assert asked == ([wanted] if wanted else [])


def test_importing_it_imports_no_gevent():
    code = f"import sys, {running.__name__}; print('gevent' in sys.modules)"

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True
    )

    assert done.stdout == "False\n"
