"""WebSockets of apps that serve several hosts: subdomains of tenants, and hosts of their own."""

from __future__ import annotations

import pytest
from flask import Blueprint, Flask, request, url_for
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import Client

from tests.contrib.flask_house import KEY, ask, serving
from tina4_wsgi import Router, UsageError, broadcast, count
from tina4_wsgi.contrib.flask import path_for, websocket, wrap

pytestmark = pytest.mark.filterwarnings(
    "ignore:Current server name:UserWarning"
)  # Werkzeug's, for a foreign host

HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}


def tell(connection, event, data):
    if event == "message":
        connection.send_json(
            {
                "params": connection.params,
                "view_args": request.view_args,
                "endpoint": request.endpoint,
                "blueprint": request.blueprint,
                "path": connection.path,
            }
        )


def at(host: str) -> list[tuple[str, str]]:
    return [("Host", host), ("Origin", f"http://{host}")]


@pytest.fixture
def app() -> Flask:
    """A shop with tenants, an api and pages of its own."""
    app = Flask("shop", subdomain_matching=True)
    app.config["SERVER_NAME"] = "shop.example"
    tenants = Blueprint("tenants", __name__, subdomain="<tenant>")
    websocket(tenants, "/ws/a", endpoint="live")(tell)
    websocket(tenants, "/ws/board/{board:int}", endpoint="board")(tell)
    api = Blueprint("api", __name__, subdomain="api", url_prefix="/v1")
    websocket(api, "/ws/a", endpoint="live")(tell)
    app.register_blueprint(api)
    app.register_blueprint(tenants)
    websocket(app, "/ws/own")(tell)
    websocket(app, "/ws/admin", subdomain="admin", endpoint="admin")(tell)
    return app


@pytest.mark.parametrize(
    ("host", "path", "endpoint", "params"),
    [
        ("acme.shop.example", "/ws/a", "tenants.live", {"tenant": "acme"}),
        ("ACME.shop.example", "/ws/a", "tenants.live", {"tenant": "acme"}),
        ("acme.shop.example", "/ws/board/7", "tenants.board", {"tenant": "acme", "board": 7}),
        ("a.b.shop.example", "/ws/a", "tenants.live", {"tenant": "a.b"}),
        ("api.shop.example", "/v1/ws/a", "api.live", {}),
        ("admin.shop.example", "/ws/admin", "admin", {}),
        ("shop.example", "/ws/own", "tell", {}),
    ],
)
def test_a_route_knows_its_host_as_a_view_does(app, host, path, endpoint, params):
    with serving(app) as house:
        told = ask(house.connect(path, at(host)))

    assert (told["endpoint"], told["params"], told["view_args"]) == (endpoint, params, params)
    assert told["blueprint"] == (endpoint.rpartition(".")[0] or None)


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("www.shop.example", "/v1/ws/a"),
        ("shop.example", "/ws/admin"),
        ("acme.shop.example", "/ws/own"),
        ("acme.shop.example", "/ws/board/x"),
        ("acme.other.example", "/ws/a"),
    ],
)
def test_another_host_does_not_have_the_route(app, host, path):
    assert status_of(app, host, path) == 404


def status_of(app: Flask, host: str, path: str) -> int:
    """Ask for an upgrade that no route takes, so that no socket is needed."""
    return (
        Client(wrap(app, router=Router()))
        .get(path, headers={**HANDSHAKE, "Host": host})
        .status_code
    )


def test_tenants_on_one_path_never_hear_each_other(app):
    with serving(app) as house:
        acme, other = (
            house.connect("/ws/a", at(f"{name}.shop.example")) for name in ("acme", "other")
        )
        assert ask(acme)["path"] == "//acme.shop.example/ws/a"
        ask(other)

        broadcast("//other.shop.example/ws/a", "for the other")
        broadcast("//acme.shop.example/ws/a", "for acme")
        broadcast("/ws/a", "for nobody")

        assert (acme.read_text(), other.read_text()) == ("for acme", "for the other")
        assert count("//acme.shop.example/ws/a") == 1
        assert ask(acme)["path"] == "//acme.shop.example/ws/a"  # and nothing came between


def test_one_host_on_two_ports_is_one_tenant(app):
    app.config["SERVER_NAME"] = "shop.example:5000"
    with serving(app) as house:
        assert (
            ask(house.connect("/ws/a", at("acme.shop.example:5000")))["path"]
            == "//acme.shop.example/ws/a"
        )


def test_a_route_without_a_host_keeps_its_path_as_its_name(app):
    with serving(app) as house:
        assert ask(house.connect("/ws/own", at("shop.example")))["path"] == "/ws/own"


@pytest.mark.parametrize(
    ("endpoint", "values", "name"),
    [
        ("tenants.live", {"tenant": "acme"}, "//acme.shop.example/ws/a"),
        ("tenants.board", {"tenant": "acme", "board": 7}, "//acme.shop.example/ws/board/7"),
        ("api.live", {}, "//api.shop.example/v1/ws/a"),
        ("tell", {}, "/ws/own"),
    ],
)
def test_a_view_and_a_script_get_the_name_by_path_for(app, endpoint, values, name):
    with app.test_request_context("/", base_url="http://shop.example/root"):
        assert path_for(endpoint, **values) == name
    with app.app_context():
        assert path_for(endpoint, **values) == name


def test_path_for_is_relative_to_a_blueprint_as_url_for_is(app):
    app.add_url_rule(
        "/page",
        "tenants.page",
        lambda tenant: path_for(".live", tenant=tenant),
        subdomain="<tenant>",
    )

    assert (
        app.test_client().get("/page", base_url="http://acme.shop.example").text
        == "//acme.shop.example/ws/a"
    )


def test_path_for_reads_what_url_for_escapes():
    app = Flask("shop")
    websocket(app, "/ws/{room}")(tell)
    with app.test_request_context("/"):
        assert path_for("tell", room="käse und wein") == "/ws/käse und wein"


def test_path_for_refuses_what_is_no_websocket(app):
    app.add_url_rule("/page", "page", lambda: "page")
    with (
        app.test_request_context("/", base_url="http://shop.example"),
        pytest.raises(UsageError, match="no WebSocket"),
    ):
        path_for("page")


def test_the_host_is_that_which_proxies_report(app):
    app.wsgi_app = ProxyFix(app.wsgi_app, x_host=1)
    with serving(app) as house:
        told = ask(
            house.connect(
                "/ws/a", [("X-Forwarded-Host", "acme.shop.example"), ("Host", "10.0.0.1")]
            )
        )

    assert (told["params"], told["path"]) == ({"tenant": "acme"}, "//acme.shop.example/ws/a")


@pytest.fixture
def hosts() -> Flask:
    """An app that matches whole hosts."""
    app = Flask("hosts", host_matching=True, static_host="static.example")
    websocket(app, "/ws", host="one.example", endpoint="one")(tell)
    websocket(app, "/ws", host="<name>.many.example", endpoint="many")(tell)
    websocket(app, "/ws/hostless", endpoint="hostless")(tell)
    return app


@pytest.mark.parametrize(
    ("host", "endpoint", "params"),
    [
        ("one.example", "one", {}),
        ("a.many.example", "many", {"name": "a"}),
        ("b.many.example", "many", {"name": "b"}),
    ],
)
def test_hosts_are_matched_as_for_views(hosts, host, endpoint, params):
    with serving(hosts) as house:
        told = ask(house.connect("/ws", at(host)))

    assert (told["endpoint"], told["params"], told["path"]) == (endpoint, params, f"//{host}/ws")


@pytest.mark.parametrize(
    ("host", "path"),
    [("two.example", "/ws"), ("many.example", "/ws"), ("one.example", "/ws/hostless")],
)
def test_where_views_would_not_be_found_sockets_are_not(hosts, host, path):
    hosts.add_url_rule(
        "/ws/hostless/page", "page", lambda: "page"
    )  # Flask takes it for no host at all
    assert (
        hosts.test_client().get("/ws/hostless/page", base_url=f"http://{host}").status_code == 404
    )

    assert status_of(hosts, host, path) == 404


def test_without_subdomain_matching_only_the_default_subdomain_is_served():
    app = Flask("shop")
    blueprint = Blueprint("live", __name__, subdomain="live")
    websocket(blueprint, "/ws")(tell)
    app.register_blueprint(blueprint)

    assert status_of(app, "live.shop.example", "/ws") == 404


def test_a_server_name_restricts_hosts_as_it_does_for_views():
    """Since Flask 3.1 it doesn't, before it did."""
    app = Flask("shop")
    app.config["SERVER_NAME"] = "shop.example"
    app.add_url_rule("/page", "page", lambda: "page")
    websocket(app, "/ws")(tell)
    is_served = app.test_client().get("/page", base_url="http://other.example").status_code == 200
    with serving(app) as house:
        if is_served:
            assert ask(house.connect("/ws", [("Host", "other.example")]))["path"] == "/ws"
        else:
            assert status_of(app, "other.example", "/ws") == 404


@pytest.mark.parametrize(
    ("settings", "host", "status"),
    [
        ({}, "pointed.example", 421),
        ({"SERVER_NAME": "shop.example"}, "notshop.example", 421),
        ({"SERVER_NAME": "shop.example"}, "shop.example.evil.test", 421),
        ({"SERVER_NAME": "shop.example:5000"}, "shop.example:80", 101),
        ({"SERVER_NAME": "shop.example"}, "shop.example", 101),
        ({"TRUSTED_HOSTS": ["shop.example"]}, "shop.example", 101),
        ({"TRUSTED_HOSTS": ["shop.example"]}, "pointed.example", 400),
    ],
)
def test_on_the_loopback_alone_a_page_connects_under_a_host_that_the_app_names(
    settings, host, status
):
    """A page whose name was pointed to 127.0.0.1 looks as if it came from the app itself."""
    app = Flask("shop")
    app.config.update(settings)
    websocket(app, "/ws/käse")(tell)

    with serving(app) as house:
        if status == 101:
            house.connect("/ws/k%C3%A4se", at(host))
        else:
            assert house.refusal("/ws/k%C3%A4se", at(host))[0] == status


def test_an_app_that_binds_its_map_itself_is_asked():
    class Renamed(Flask):
        def create_url_adapter(self, request):
            if request is not None:
                request.environ["HTTP_HOST"] = "acme.shop.example"
            return super().create_url_adapter(request)

    app = Renamed("shop", subdomain_matching=True)
    app.config["SERVER_NAME"] = "shop.example"
    websocket(app, "/ws", subdomain="acme")(tell)
    with serving(app) as house:
        assert ask(house.connect("/ws", at("whatever.example")))["endpoint"] == "tell"


def test_a_page_gets_the_address_of_its_tenant(app):
    with app.test_request_context("/", base_url="https://acme.shop.example"):
        assert (
            url_for("tenants.live", tenant="acme", _external=True) == "wss://acme.shop.example/ws/a"
        )
