"""What must be so before a Django project can serve WebSockets, and what is said when it isn't."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.contrib import django_house
from tests.contrib.django_house import SITE, hear
from tests.support import servers

pytestmark = pytest.mark.deadline(60)


def run(program: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program in the project."""
    env = {**os.environ, **django_house.environment("newest", ":memory:"), **variables}
    return subprocess.run(
        [*servers.PYTHON, "-c", program],
        cwd=SITE,
        env=env,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def test_patched_too_late_a_handshake_is_refused_with_the_line_to_write(tmp_path):
    env = django_house.environment("newest", str(tmp_path / "db.sqlite3"))
    # gevent itself warns about late patching, which is what this is about.
    python = (sys.executable,)
    with servers.gunicorn(
        "project.wsgi:application", SITE, tmp_path / "log", "--preload", env=env, python=python
    ) as server:
        site = django_house.Site(server)

        assert site.ask_upgrade("/ws/notes") == 500
        server.wait_for_log(
            r"expected `from gevent import monkey; monkey.patch_all\(\)` as the first line of wsgi.py"
        )
        assert site.get("/text")[0] == 200
        server.end()


def test_patched_by_wsgi_py_preloading_works(tmp_path):
    with (
        django_house.serving(
            tmp_path, "newest", "project.patched_wsgi:application", "--preload"
        ) as site,
        site.open("/ws/probe/a") as client,
    ):
        assert hear(client) == {"user": "nobody", "visits": None}


def test_wrap_before_django_is_set_up_is_refused():
    done = run(
        "from tina4_wsgi.contrib.django import wrap; wrap(print)",
        DJANGO_SETTINGS_MODULE="project.settings",
    )

    assert "ConfigError: Django is not set up, expected wrap(get_wsgi_application())" in done.stderr


def test_an_error_in_websockets_py_is_shown_at_start(tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "__init__.py").touch()
    (tmp_path / "broken" / "websockets.py").write_text("import nowhere\n")
    program = (
        f"import sys; sys.path.append({str(tmp_path)!r})\n"
        "from project import settings; settings.INSTALLED_APPS.append('broken')\n"
        "import project.wsgi"
    )

    assert "ModuleNotFoundError: No module named 'nowhere'" in run(program).stderr


def test_a_router_of_ones_own_has_its_own_routes_alone():
    done = run(
        "import os; os.environ['DJANGO_SETTINGS_MODULE'] = 'project.settings'\n"
        "from django.core.wsgi import get_wsgi_application\n"
        "from tina4_wsgi import Router\n"
        "from tina4_wsgi.contrib.django import wrap\n"
        "print(wrap(get_wsgi_application(), router=Router()).router.routes, Router.routes)"
    )

    assert done.stdout == "() ()\n", done.stderr


def test_the_request_outside_of_an_event_is_refused():
    done = run("from tina4_wsgi.contrib.django import request; request()")

    assert "UsageError: request() outside of an event" in done.stderr


def test_without_the_middleware_for_users_the_login_is_refused(tmp_path):
    names = ["django.contrib.sessions.middleware.SessionMiddleware"]
    with django_house.serving(tmp_path, MIDDLEWARE=names) as site:
        assert site.ask_upgrade("/ws/private") == 500
        site.server.wait_for_log("the request has no user, expected django.contrib.auth.middleware")


def test_a_session_in_a_cookie_can_be_read_but_not_written(tmp_path):
    engine = "django.contrib.sessions.backends.signed_cookies"
    with (
        django_house.serving(tmp_path, SESSION_ENGINE=engine) as site,
        site.open("/ws/probe/a", site.log_in("ada")) as client,
    ):
        assert hear(client)["user"] == "ada"
        client.send_text("visit")

        site.server.wait_for_log("UsageError: the session was changed")


def test_a_login_survives_a_new_secret_key(tmp_path):
    with django_house.serving(tmp_path, SECRET_KEY="the old one " * 5) as site:
        cookie = site.log_in("ada")
    with django_house.serving(tmp_path, SECRET_KEY_FALLBACKS=["the old one " * 5]) as site:
        with site.open("/ws/private", cookie) as client:
            assert hear(client)["user"] == "ada"

        assert site.ask_upgrade("/ws/private", cookie) == 101, (
            "the browser still has the key of its session"
        )


def test_a_project_where_all_need_a_login_needs_it_for_websockets_too(tmp_path):
    names = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.auth.middleware.LoginRequiredMiddleware",
    ]
    with django_house.serving(tmp_path, MIDDLEWARE=names, LOGIN_URL="/login") as site:
        assert site.ask_upgrade("/ws/notes") == 401
