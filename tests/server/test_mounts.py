"""Our own server with an App that is not the outermost application: whose an upgrade is, and who
says goodbye.
"""

from __future__ import annotations

import gevent
import pytest
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

from tests.support.deadline import NEVER_S
from tests.support.own_server import ANSWER_S, dial, hello, running
from tina4_wsgi import App, Router
from tina4_wsgi.hosting.claims import claims_upgrade


@pytest.fixture
def app(tmp_path):
    router = Router()
    router.websocket("/ws/{room}", lambda connection, event, data: None)
    return App(router=router, root=tmp_path)


@pytest.fixture
def app_with_legacy(app, tmp_path):
    """An App that has somebody to leave upgrades to."""
    return App(hello, router=app.router, root=tmp_path)


class Framework:
    """Keeps its callable as Flask does."""

    def __init__(self, wsgi_app):
        self.wsgi_app = wsgi_app

    def __call__(self, environ, start_response):
        return self.wsgi_app(environ, start_response)


def at(path):
    return {"PATH_INFO": path, "SCRIPT_NAME": ""}


def test_an_application_that_says_nothing_of_upgrades_is_left_with_them():
    assert claims_upgrade(hello, at("/ws/red"))


def made_for_gevent_websocket(environ, start_response):
    return hello(environ, start_response)


made_for_gevent_websocket.claims_upgrade = lambda environ: False


def test_an_app_is_asked_without_the_prefix_that_it_is_mounted_under(app_with_legacy):
    asked = []
    app_with_legacy.hands_over = lambda path: asked.append(path) or True
    site = DispatcherMiddleware(made_for_gevent_websocket, {"/live": app_with_legacy})

    assert claims_upgrade(site, at("/live/ws/red"))
    assert not claims_upgrade(site, at("/live/other"))
    assert not claims_upgrade(site, at("/ws/red"))
    assert asked == ["/other"]


@pytest.mark.parametrize("path", ["/other", "/ws", "/"])
def test_an_app_leaves_what_it_hands_over_and_what_its_legacy_app_wants_ready_made(
    app, tmp_path, path
):
    legacy = App(made_for_gevent_websocket, router=app.router, root=tmp_path)
    plain = App(hello, router=app.router, root=tmp_path)

    assert not legacy.claims_upgrade(at(path))
    assert plain.claims_upgrade(at(path))
    assert legacy.claims_upgrade(at("/ws/red"))


def test_an_app_without_a_legacy_application_claims_all_below_its_prefix(app):
    site = DispatcherMiddleware(made_for_gevent_websocket, {"/live": app})

    assert claims_upgrade(site, at("/live/nothing"))
    assert not claims_upgrade(site, at("/nothing"))


def test_asking_changes_nothing_in_the_environ(app):
    environ = at("/live/ws/red")

    claims_upgrade(DispatcherMiddleware(hello, {"/live": app}), environ)

    assert environ == at("/live/ws/red")


def test_middlewares_and_frameworks_are_looked_into(app):
    framework = Framework(DispatcherMiddleware(made_for_gevent_websocket, {"/live": ProxyFix(app)}))

    assert claims_upgrade(ProxyFix(framework), at("/live/ws/red"))
    assert not claims_upgrade(ProxyFix(framework), at("/ws/red"))


def test_an_app_inside_of_an_app_is_found(app, tmp_path):
    outer = App(
        DispatcherMiddleware(made_for_gevent_websocket, {"/live": app}),
        router=Router(),
        root=tmp_path,
    )

    assert outer.claims_upgrade(at("/live/ws/red"))
    assert not outer.claims_upgrade(at("/ws/red"))


def test_applications_that_go_round_in_a_circle_are_left_with_what_comes():
    framework = Framework(hello)
    framework.wsgi_app = ProxyFix(framework)

    assert claims_upgrade(framework, at("/ws/red"))


def by_hand(app):
    """An application that nobody can look into."""
    return lambda environ, start_response: app(environ, start_response)


@pytest.mark.parametrize(
    "outer",
    [by_hand, lambda app: App(app, router=Router(), root="."), ProxyFix],
    ids=["by hand", "in an App", "in a middleware"],
)
def test_an_app_inside_of_another_application_is_drained_with_the_server(app, outer):
    with running(outer(app)) as server, dial(server) as client:
        client.upgrade("/ws/red")
        stopping = gevent.spawn(server.stop, NEVER_S)

        assert client.read_close() == 1001
        client.send_close(1001)
        assert client.read_to_end() == b""
        stopping.get(timeout=ANSWER_S)
    app.drain()


def test_an_app_that_nobody_can_look_into_answers_its_upgrades_too(app):
    wrapper = by_hand(app)

    with running(wrapper) as server, dial(server) as client:
        assert client.ask_upgrade("/nothing", "dGhlIHNhbXBsZSBub25jZQ==").status == 404
