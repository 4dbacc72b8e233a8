"""The URLconf of events: our WebSocket routes, and behind them all that the project's own one has.

Middleware may look up what a request leads to (`resolve`, APPEND_SLASH, tenants), and a WebSocket's
path is in no URLconf of the project's. So the request of an event has one that begins with our
routes. It is laid around whatever URLconf is in force, also one that a middleware sets.
"""

from __future__ import annotations

import functools
import re
import types
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import ResolverMatch, URLPattern, get_resolver
from django.urls.resolvers import RegexPattern

from ...errors import Refused
from ...routing.matching import Route
from ...routing.pattern import parameters
from ...routing.router import Router
from ..passage import plain

Urlconf = Any  # the name of a module, a module, or a list of patterns
View = Callable[..., HttpResponse]

DONE = 204
"""What a callback answers, as middleware sees it; one that caches whole sites doesn't keep it."""

_NAME = re.compile(r"\{(\w+)\}")


class RoutesFirst:
    """A URLconf that has our routes in front of another one."""

    def __init__(self, patterns: list[URLPattern], behind: Urlconf) -> None:
        resolver = get_resolver(behind)
        self._module = resolver.urlconf_module
        self.urlpatterns = [*patterns, *resolver.url_patterns]

    def __getattr__(self, name: str) -> Any:  # Any: `handler404` and what else a URLconf has
        return getattr(self._module, name)


class EventUrls:
    """Makes URLconfs for events, one for each of the project's; and the views in them.

    Args:
        router: whose WebSocket routes they begin with.
    """

    def __init__(self, router: Router) -> None:
        self._router = router
        self._made: dict[
            Any, RoutesFirst
        ] = {}  # Django keeps a resolver for each as long as the process lives
        self._routes: tuple[Route, ...] = ()
        self._views: dict[Route, View] = {}

    def around(self, urlconf: Urlconf) -> RoutesFirst:
        """Give a URLconf with our routes in front; None stands for ROOT_URLCONF."""
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

    def match(self, route: Route, params: dict[str, Any]) -> ResolverMatch:
        """Give what a request to this route resolves to."""
        return ResolverMatch(self.view(route), (), params, route=route.path, captured_kwargs=params)

    def view(self, route: Route) -> View:
        """Give the view that stands for the callback of a route, with its name and its marks."""
        view = self._views.get(route)
        if view is None:
            view = self._views[route] = _view_of(route)
        return view

    def _pattern(self, route: Route) -> URLPattern:
        return URLPattern(_Pattern(route, self._router), self.view(route))


class _Pattern(RegexPattern):  # type: ignore[misc]  # Django ships no types
    """The path of a route, as Django's resolver asks for it; our router decides."""

    def __init__(self, route: Route, router: Router) -> None:
        super().__init__(_regex(route), is_endpoint=True)
        self._route = route
        self._router = router

    def match(self, path: str) -> tuple[str, tuple[()], dict[str, Any]] | None:
        """Match what is left of a path behind its first slash."""
        try:
            found = self._router.match_websocket("/" + path)
        except Refused:
            # Spelled in another way than the route writes it: no handshake of this address passes.
            return None
        return (
            ("", (), dict(found.params))
            if found is not None and found.route is self._route
            else None
        )

    def check(self) -> list[Any]:
        """Find nothing to warn of: the router has seen to that."""
        return []

    def __str__(self) -> str:
        return self._route.path


def _regex(route: Route) -> str:
    """Write a path as those read it who look into patterns: `reverse`, error trackers."""
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
