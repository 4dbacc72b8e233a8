"""Loads the middleware of a project for events, and notes which of it answers.

How it works. Django builds its chain in `load_middleware`, by the dotted names of MIDDLEWARE. While
it does so for us, we replace `import_string` there, so that each middleware gets a `get_response`
that notes its name. So the middleware that has answered is the next one after the last that called
on.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.core.handlers import base
from django.http import HttpRequest, HttpResponse
from django.middleware.common import CommonMiddleware
from django.urls import get_urlconf, set_urlconf
from django.utils.module_loading import import_string

from ...errors import ConfigError

if TYPE_CHECKING:
    from .urls import EventUrls, View

Middleware = Callable[..., Any]  # Any: makes an instance with some methods, or a function
GetResponse = Callable[[HttpRequest], HttpResponse]


def names_of(leave_out: Collection[str | type | Middleware] | str | Middleware) -> frozenset[str]:
    """Find middleware in MIDDLEWARE, by its dotted name or by the object that it names.

    Raises:
        ConfigError: something isn't there.
    """
    wanted: Collection[object] = (
        [leave_out] if isinstance(leave_out, str) or callable(leave_out) else leave_out
    )

    found: set[str] = set()
    for one in wanted:
        names = [name for name in settings.MIDDLEWARE if one == name or one is import_string(name)]
        if not names:
            listed = ", ".join(settings.MIDDLEWARE) or "nothing"
            raise ConfigError(f"leave_out={one!r}, expected middleware of MIDDLEWARE: {listed}")
        found.update(names)
    return frozenset(found)


class Passing:
    """Notes the middleware that events pass.

    Attributes:
        names: of the middleware, from the outside in.
    """

    def __init__(self, urls: EventUrls) -> None:
        self.names: list[str] = []
        self._urls = urls

    @contextmanager
    def loading(self, leave_out: Collection[str]) -> Iterator[None]:
        """Make Django load middleware with a note around each; only before anything is served."""
        ordinary = base.import_string
        base.import_string = lambda name: self._noted(name, ordinary(name), name in leave_out)
        try:
            yield
        finally:
            base.import_string = ordinary

    def answered_by(self, passed: str | None) -> str:
        """Return the middleware that answered: the next one after `passed`, which called on."""
        at = 0 if passed is None else self.names.index(passed) + 1
        return self.names[at] if at < len(self.names) else ""

    def _noted(self, name: str, middleware: Middleware, is_left_out: bool) -> Middleware:
        if isinstance(middleware, type) and issubclass(middleware, CommonMiddleware):
            middleware = _without_redirects(middleware)

        @functools.wraps(middleware, updated=())
        def make(get_response: GetResponse) -> object:
            if is_left_out:
                raise MiddlewareNotUsed("left out of WebSocket events")
            instance = middleware(self._noting(name, get_response))
            self.names.insert(0, name)  # Django begins with the innermost
            return instance

        for capability in ("sync_capable", "async_capable"):
            if hasattr(middleware, capability):
                setattr(make, capability, getattr(middleware, capability))
        return make

    def _noting(self, name: str, get_response: GetResponse) -> GetResponse:
        if iscoroutinefunction(get_response):
            return get_response

        @functools.wraps(get_response)
        def call_on(request: HttpRequest) -> HttpResponse:
            request.passed = name
            # Middleware may have set it only for the thread.
            set_urlconf(self._urls.around(get_urlconf()))
            return get_response(request)

        return call_on


def _without_redirects(kind: type[CommonMiddleware]) -> type[CommonMiddleware]:
    """Return a CommonMiddleware without redirects to "www." or a slash: no WebSocket follows."""

    class WithoutRedirects(kind):  # type: ignore[misc]
        def process_request(self, request: HttpRequest) -> HttpResponse | None:
            answer = super().process_request(request)
            return None if answer is not None and 300 <= answer.status_code < 400 else answer

        def should_redirect_with_slash(self, request: HttpRequest) -> bool:
            return False

    functools.update_wrapper(WithoutRedirects, kind, updated=())
    return WithoutRedirects


def naming(process_view: Callable[..., HttpResponse | None]) -> Callable[..., HttpResponse | None]:
    """Wrap a `process_view` so that its name is noted if it answers in a callback's place."""
    owner = type(getattr(process_view, "__self__", process_view))

    @functools.wraps(process_view)
    def ask(
        request: HttpRequest, view: View, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> HttpResponse | None:
        answer = process_view(request, view, args, kwargs)
        if answer:
            request.answered_by = f"{owner.__module__}.{owner.__qualname__}"
        return answer

    return ask
