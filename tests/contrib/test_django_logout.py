"""A log-out in Django ends the WebSockets of its session, in all processes; other sessions of the
user stay.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from tests.contrib import django_house
from tests.contrib.django_house import VERSIONS, Site, ask, hear
from tests.contrib.django_program import printed_by
from tests.support.raw import RawClient
from tests.support.workers import one_on_each

pytestmark = [pytest.mark.deadline(90), pytest.mark.usefixtures("django_programs")]


@pytest.fixture(scope="module", params=VERSIONS)
def workers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """The project in two processes."""
    folder = tmp_path_factory.mktemp("django")
    with django_house.serving(
        folder, request.param, "project.wsgi:application", "-w", "2"
    ) as running:
        yield running


def in_both_processes(site: Site, cookie: str, opened: contextlib.ExitStack) -> list[RawClient]:
    """Connect to both processes with this cookie."""
    each = one_on_each(
        2,
        lambda: site.open("/ws/quiet", cookie),
        opened,
        lambda client: int(hear(client)["process"]),
    )
    return [*each.values()]


def test_the_sockets_of_the_session_end_in_all_processes_and_no_others(workers):
    mine, others = workers.log_in("ada"), workers.log_in("ada")
    with contextlib.ExitStack() as opened:
        ended = in_both_processes(workers, mine, opened)
        stays = in_both_processes(workers, others, opened)

        workers.get("/logout", mine)

        assert [client.read_close() for client in ended] == [4401, 4401]
        assert [ask(client, "name")["name"] for client in stays] == ["ada", "ada"]


def test_a_visitor_without_a_session_stays(workers):
    cookie = workers.log_in("ada")
    with workers.open("/ws/quiet") as stranger:
        hear(stranger)

        workers.get("/logout", cookie)

        assert ask(stranger, "name") == {"name": "nobody"}


def test_it_ends_also_a_route_that_asks_nobody(workers):
    cookie = workers.log_in("ada")
    with workers.open("/ws/notes", cookie) as client:
        hear(client)

        workers.get("/logout", cookie)

        assert client.read_close() == 4401


IN_MEMORY = """
SETTINGS = {
    "INSTALLED_APPS": ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"],
    "SESSION_ENGINE": "django.contrib.sessions.backends.%s",
}
MIDDLEWARE = ["django.contrib.sessions.middleware.SessionMiddleware"]

def begin(request):
    request.session["theme"] = "dark"
    return HttpResponse("")

def end(request):
    from django.contrib.auth import logout
    logout(request)
    return HttpResponse("")

urlpatterns = [path("begin", begin), path("end", end)]

def main():
    client.get("/begin")
    with client.websocket("/ws/news/7") as ws:
        ws.receive()
        client.get("/end")
        print(ws.wait_closed())
"""


@pytest.mark.parametrize("engine", ["cache", "signed_cookies", "file"])
def test_wherever_sessions_are_kept(engine):
    assert printed_by(IN_MEMORY % engine) == ["(4401, 'logged out')"]


def test_a_handshake_that_a_log_out_overtakes_ends():
    lines = printed_by(
        IN_MEMORY % "cache"
        + """
def auth(request):
    client.get("/end")
    return "ada"

router.websocket("/ws/slow", news, auth=auth)

def main():
    client.get("/begin")
    with client.websocket("/ws/slow") as ws:
        ws.wait_closed()
        print(ws.closed_with)
"""
    )

    assert lines == ["(4401, 'logged out')"]
