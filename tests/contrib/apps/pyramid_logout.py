"""A Pyramid app with logins by a ticket in a cookie, for several workers."""

from __future__ import annotations

import os

from pyramid.authentication import AuthTktCookieHelper
from pyramid.config import Configurator
from pyramid.response import Response

from tina4_wsgi import Router
from tina4_wsgi.contrib.logout import close_on_logout
from tina4_wsgi.contrib.pyramid import login_required, wrap


class Tickets:
    """A security policy that knows users by a signed cookie."""

    def __init__(self):
        self.helper = AuthTktCookieHelper("secret", hashalg="sha512")

    def identity(self, request):
        return self.helper.identify(request)

    def authenticated_userid(self, request):
        found = self.identity(request)
        return found and found["userid"]

    def permits(self, request, context, permission):
        return self.identity(request) is not None

    def remember(self, request, userid, **options):
        return self.helper.remember(request, userid, **options)

    def forget(self, request, **options):
        return self.helper.forget(request, **options)


def login(request):
    headers = request.registry.tickets.remember(request, request.matchdict["name"])
    return Response(b"in", headerlist=[("Content-Type", "text/plain"), *headers])


def logout(request):
    headers = request.registry.tickets.forget(request)
    return Response(b"out", headerlist=[("Content-Type", "text/plain"), *headers])


def live(connection, event, data):
    if event != "close":
        connection.send(f"{os.getpid()}")


config = Configurator()
config.include("tina4_wsgi.contrib.pyramid")
config.registry.tickets = Tickets()
config.set_security_policy(config.registry.tickets)
config.add_route("login", "/login/{name}")
config.add_route("logout", "/logout")
config.add_view(login, route_name="login")
config.add_view(logout, route_name="logout")
config.add_websocket("/ws/live", live, auth=login_required)

app = wrap(config.make_wsgi_app(), router=Router())
close_on_logout(app, "/logout")
