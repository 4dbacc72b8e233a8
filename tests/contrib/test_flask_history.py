"""Histories of a Flask app's WebSockets, as its views use them."""

from __future__ import annotations

import pytest
from flask import Blueprint, Flask

from tina4_wsgi import UsageError, broadcast, history, position
from tina4_wsgi.backplane.contract import Receipt
from tina4_wsgi.backplane.isolation import isolation
from tina4_wsgi.backplane.publishing import Publisher
from tina4_wsgi.contrib.flask import path_for, websocket, wrap
from tina4_wsgi.testing import TestClient


def quiet(connection, event, data):
    pass


@pytest.fixture
def app() -> Flask:
    """A shop whose views say where its history is, and one route for tenants."""
    app = Flask("shop", subdomain_matching=True)
    tenants = Blueprint("tenants", __name__, subdomain="<tenant>")
    websocket(app, "/ws/orders/<int:number>", history=10, endpoint="orders")(quiet)
    websocket(app, "/ws/plain", endpoint="plain")(quiet)
    websocket(tenants, "/ws/board", history=10, endpoint="board")(quiet)
    app.add_url_rule("/position", view_func=lambda: position("/ws/orders/7"))
    app.register_blueprint(tenants)
    return app


def test_a_view_says_where_a_page_begins(app):
    with TestClient(wrap(app)) as client:
        since = client.get("/position").text
        broadcast("/ws/orders/7", "two pears")

        assert [kept.message for kept in history("/ws/orders/7", after=since)] == ["two pears"]


def test_each_path_has_a_history_of_its_own(app):
    with TestClient(wrap(app)):
        broadcast("/ws/orders/7", "two pears")
        broadcast("/ws/orders/8", "a plum")

        assert [kept.message for kept in history("/ws/orders/8")] == ["a plum"]


@pytest.mark.parametrize("path", ["/ws/plain", "/ws/nothing", "/position", "/ws/orders/007"])
def test_what_keeps_no_history_is_said(app, path):
    with TestClient(wrap(app)), pytest.raises(UsageError, match="keeps no history"):
        position(path)


def test_tenants_of_one_path_have_histories_of_their_own(app):
    app.config["SERVER_NAME"] = "shop.example"
    with TestClient(wrap(app)), app.app_context():
        acme, globex = (path_for("tenants.board", tenant=name) for name in ("acme", "globex"))
        broadcast(acme, "for acme")

        assert [kept.message for kept in history(acme)] == ["for acme"]
        assert history(globex) == []
        with pytest.raises(UsageError, match="keeps no history"):
            position("/ws/board")


def test_a_publisher_keeps_what_it_says_on_the_path_of_a_tenant(app, tmp_path, monkeypatch):
    # A TestClient of an earlier test in this process may have turned it on.
    monkeypatch.setattr(isolation, "is_on", False)
    app.config["SERVER_NAME"] = "shop.example:5000"
    served = wrap(app, bus_dir=str(tmp_path / "bus"))
    served.number = 0  # whatever apps other tests have left
    with app.app_context():
        acme = path_for("tenants.board", tenant="acme")
    served.position(acme)

    with Publisher(bus_dir=str(tmp_path / "bus")) as publisher:
        told = publisher.publish(acme, "for acme", once="k")

    assert told == Receipt(0, 0)
    assert [kept.message for kept in served.history(acme)] == ["for acme"]
    served.release()


def test_the_routes_of_hosts_are_declared_with_them(app):
    app.config["SERVER_NAME"] = "shop.example:5000"

    paths = [kept.pattern for kept in wrap(app).all_kept()]

    assert paths == ["/ws/orders/<int:number>", "//<tenant>.shop.example/ws/board"]
