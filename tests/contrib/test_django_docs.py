"""The walk through a Django project in docs/legacy.md, taken: a shop as it was before, and the
page's files.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contrib import django_house
from tests.support import native_hosts, servers
from tests.support.changes import applied
from tests.support.markdown import Block, blocks_of

pytestmark = pytest.mark.deadline(60)

PAGE = servers.ROOT / "docs" / "legacy.md"

BEFORE = {
    "manage.py": (django_house.SITE / "manage.py")
    .read_text()
    .replace("project.settings", "shop.settings"),
    "shop/settings.py": """
import os
SECRET_KEY = "x" * 60
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "orders"]
MIDDLEWARE = ["django.contrib.sessions.middleware.SessionMiddleware",
              "django.middleware.csrf.CsrfViewMiddleware",
              "django.contrib.auth.middleware.AuthenticationMiddleware"]
ROOT_URLCONF = "shop.urls"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
WSGI_APPLICATION = "shop.wsgi.application"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
""",
    "shop/urls.py": """
from django.urls import path
from orders import views
urlpatterns = [path("", views.orders, name="orders"), path("order", views.order, name="order")]
""",
    "shop/wsgi.py": """\
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")

application = get_wsgi_application()
""",
    "orders/models.py": """
from django.db import models


class Order(models.Model):
    text = models.CharField(max_length=200)
""",
    "orders/views.py": """\
from django.contrib.auth.decorators import login_required
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from .models import Order


@login_required
def orders(request):
    return render(request, "orders.html", {"orders": Order.objects.all()})


@login_required
@require_POST
def order(request):
    Order.objects.create(text=request.POST["text"])
    return redirect("orders")
""",
    "orders/templates/orders.html": """\
<ul>{% for order in orders %}<li>{{ order.text }}</li>{% endfor %}</ul>
<form method="post" action="{% url 'order' %}">{% csrf_token %}<input name="text"><button>Order</button></form>
""",
}
"""The shop without live updates."""

LOG_IN = """
from importlib import import_module
from django.contrib.auth.models import User
from django.test import Client
client = Client()
client.force_login(User.objects.create_user("ada"))
print("cookie", client.cookies["sessionid"].value)
"""


def changes() -> dict[str, str]:
    """Give the files as they are when what the page shows is done."""
    return {
        block.name: applied(block.text, BEFORE[block.name])
        if block.language == "diff"
        else block.text
        for block in blocks()
    }


def blocks() -> list[Block]:
    return [one for one in blocks_of(PAGE) if one.name.startswith(("orders/", "shop/"))]


def test_it_takes_as_many_lines_as_the_page_says():
    lines = [
        line[1:] if one.language == "diff" else line
        for one in blocks()
        for line in one.text.splitlines()
        if one.language != "diff" or line.startswith("+")
    ]

    assert len([line for line in lines if line.strip()]) == 27
    assert "Those twenty-seven lines are all." in PAGE.read_text()


@contextlib.contextmanager
def serving(kind: str, folder: Path, env: dict[str, str]) -> Iterator[servers.Server]:
    log_path = folder / "log"
    if kind == "runserver":
        command = [*servers.PYTHON, "manage.py", "runserver", "127.0.0.1:0", "--noreload"]
        with native_hosts.running(command, folder, log_path, env) as server:
            yield server
    else:
        with servers.gunicorn(
            "shop.wsgi", folder, log_path, "-w", "1", worker_class=kind, env=env
        ) as server:
            yield server
            server.end()


@pytest.mark.parametrize("kind", ["gevent", "sync", "runserver"])
def test_an_order_of_one_is_heard_by_the_others(kind: str, tmp_path: Path):
    for name, text in {**BEFORE, **changes()}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    env = {"PYTHONPATH": str(servers.ROOT)}
    manage(tmp_path, env, "migrate", "--run-syncdb", "--verbosity", "0")
    key = manage(tmp_path, env, "shell", stdin=LOG_IN).partition("cookie ")[2].split()[0]

    with serving(kind, tmp_path, env) as server:
        site = django_house.Site(server)
        assert site.ask_upgrade("/ws/orders", Origin=server.url) == 401
        with site.open("/ws/orders", f"sessionid={key}", Origin=server.url) as client:
            assert order(server, key, "Käse") == 302
            assert json.loads(client.read_text()) == {"id": 1, "text": "Käse"}

        since = re.search(r'since: "(\S+)"', page_of(server, key))
        assert since
        assert order(server, key, "Brot") == 302
        claim = f"/ws/orders?tina4=1.abcdefghijkl.{since[1]}"
        with site.open(claim, f"sessionid={key}", Origin=server.url) as client:
            assert client.read_text() == f"@abcdefghijkl.{since[1]}.y:"
            assert client.read_text().endswith(':{"id":2,"text":"Brot"}')


def page_of(server: servers.Server, key: str) -> str:
    """Get the page with all orders."""
    connection = http.client.HTTPConnection(*server.address, timeout=10)
    try:
        connection.request("GET", "/", headers={"Cookie": f"sessionid={key}"})
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def order(server: servers.Server, key: str, text: str) -> int:
    """Send the form, and give the status of the answer."""
    token = "a" * 32
    connection = http.client.HTTPConnection(*server.address, timeout=10)
    fields = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Cookie": f"sessionid={key}; csrftoken={token}",
        "Origin": server.url,
    }
    try:
        connection.request(
            "POST", "/order", f"text={text}&csrfmiddlewaretoken={token}".encode(), fields
        )
        return connection.getresponse().status
    finally:
        connection.close()


def manage(folder: Path, env: dict[str, str], *arguments: str, stdin: str = "") -> str:
    """Run the shop's `manage.py` and give what it printed."""
    done = subprocess.run(
        [*servers.PYTHON, "manage.py", *arguments],
        cwd=folder,
        env={**os.environ, **env},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
