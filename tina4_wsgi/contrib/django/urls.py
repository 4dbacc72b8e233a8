"""The URLconf of events: our WebSocket routes, followed by the project's own patterns.

Middleware may resolve the path of a request (`resolve`, APPEND_SLASH, tenants), and a WebSocket's
path is in no URLconf of the project. So the request of an event has a URLconf that begins with our
routes, and goes on with whichever one is in force, even one that middleware sets.
"""

from __future__ import annotations

import functools
import re
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import ResolverMatch, URLPattern, get_resolver
from django.urls.resolvers import RegexPattern

from ...errors import Refused
from ...routing.pattern import parameters
from ..passage import plain

if TYPE_CHECKING:
    from django.core.checks import CheckMessage

    from ...routing.matching import Route
    from ...routing.router import Router

Urlconf = Any  # the name of a module, a module, or a list of patterns
View = Callable[..., HttpResponse]

DONE = 204
"""The status that middleware sees after a callback; one that caches whole sites doesn't keep it."""

_NAME = re.compile(r"\{(\w+)\}")


class RoutesFirst:
    """A URLconf with our routes in front of another one's."""

    def __init__(self, patterns: list[URLPattern], behind: Urlconf) -> None:
        resolver = get_resolver(behind)
        self._module = resolver.urlconf_module
        self.urlpatterns = [*patterns, *resolver.url_patterns]

    def __getattr__(self, name: str) -> object:
        return getattr(self._module, name)  # `handler404` and its like


class EventUrls:
    """Makes URLconfs for events, one for each of the project's, and the views in them.

    Args:
        router: the URLconfs begin with its WebSocket routes.
    """

    def __init__(self, router: Router) -> None:
        self._router = router
        # One for each: Django keeps its resolver for as long as the process lives.
        self._made: dict[Urlconf, RoutesFirst] = {}
        self._routes: tuple[Route, ...] = ()
        self._views: dict[Route, View] = {}

    def around(self, urlconf: Urlconf) -> RoutesFirst:
        """Return a URLconf with our routes in front; None stands for ROOT_URLCONF."""
        if isinstance(urlconf, RoutesFirst):
            return urlconf

        routes = self._router.routes
        if routes is not self._routes:
            self._routes, self._made = routes, {}

        key = settings.ROOT_URLCONF if urlconf is None else urlconf
        made = self._made.get(key)
        if made is None:
            patterns = [self._pattern(route) for route in routes if route.kind == "websocket"]
            made = self._made[key] = RoutesFirst(patterns, key)
        return made

    def match(self, route: Route, params: dict[str, object]) -> ResolverMatch:
        """Return what a request to this route resolves to."""
        return ResolverMatch(self.view(route), (), params, route=route.path, captured_kwargs=params)

    def view(self, route: Route) -> View:
        """Return the view that stands for a route's callback, with its name and attributes."""
        view = self._views.get(route)
        if view is None:
            view = self._views[route] = _view_of(route)
        return view

    def _pattern(self, route: Route) -> URLPattern:
        return URLPattern(_Pattern(route, self._router), self.view(route))


class _Pattern(RegexPattern):  # type: ignore[misc]  # Django ships no types
    """The path of a route as a pattern of Django's; our router matches it."""

    def __init__(self, route: Route, router: Router) -> None:
        super().__init__(_regex(route), is_endpoint=True)
        self._route = route
        self._router = router

    def match(self, path: str) -> tuple[str, tuple[()], dict[str, object]] | None:
        """Match the part of a path after its first slash."""
        try:
            found = self._router.match_websocket("/" + path)
        except Refused:
            # Not spelled as the route writes it: no handshake of this address passes.
            return None

        if found is None or found.route is not self._route:
            return None
        return "", (), dict(found.params)

    def check(self) -> list[CheckMessage]:
        """Return no warnings: the router has checked the route."""
        return []

    def __str__(self) -> str:
        return self._route.path


def _regex(route: Route) -> str:
    """Return a path as a regular expression, for `reverse` and for error trackers."""
    spanning = {one.name for one in parameters(route.path) if one.spans_slashes}
    pieces = _NAME.split(plain(route.rule).lstrip("/"))
    for at in range(1, len(pieces), 2):
        name = pieces[at]
        pieces[at] = f"(?P<{name}>{'.+' if name in spanning else '[^/]+'})"
    pieces[::2] = map(re.escape, pieces[::2])
    return f"^{''.join(pieces)}$"


def _view_of(route: Route) -> View:
    callback = route.callback

    def view(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        request.run_event()
        return HttpResponse(status=DONE)

    if isinstance(callback, types.FunctionType):
        functools.update_wrapper(view, callback)
    return view
