"""The middleware of a project, loaded for events: what it leaves out, what it mustn't do, and who
has answered.

How it works. Django builds its chain in `load_middleware`, by the dotted names of MIDDLEWARE. While
it does so for us, `import_string` there is a stand-in of ours that gives each middleware with a
note of its own around `get_response`. So the one that has answered is the one behind the last that
called on.
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
    from .urls import EventUrls

Middleware = Callable[..., Any]  # Any: an instance with some methods, or a function
GetResponse = Callable[[HttpRequest], HttpResponse]


def names_of(leave_out: Collection[str | type | Middleware] | str | Middleware) -> frozenset[str]:
    """Find middleware in MIDDLEWARE, by its dotted name or by what that names.

    Raises:
        ConfigError: something isn't there.
    """
    wanted: Collection[Any] = (
        [leave_out] if isinstance(leave_out, str) or callable(leave_out) else leave_out
    )
    found = set()
    for one in wanted:
        names = [name for name in settings.MIDDLEWARE if one == name or one is import_string(name)]
        if not names:
            listed = ", ".join(settings.MIDDLEWARE) or "nothing"
            raise ConfigError(f"leave_out={one!r}, expected middleware of MIDDLEWARE: {listed}")
        found.update(names)
    return frozenset(found)


class Passing:
    """Who of the middleware an event has passed.

    Attributes:
        names: of the middleware, from the outside in.
    """

    def __init__(self, urls: EventUrls) -> None:
        self.names: list[str] = []
        self._urls = urls

    @contextmanager
    def loading(self, leave_out: Collection[str]) -> Iterator[None]:
        """Have Django load middleware with a note around each; in a process that serves nothing
        yet.
        """
        ordinary = base.import_string
        base.import_string = lambda name: self._noted(name, ordinary(name), name in leave_out)
        try:
            yield
        finally:
            base.import_string = ordinary

    def answered_by(self, passed: str | None) -> str:
        """Name who has answered, where the event came as far as `passed`, the last that called
        on.
        """
        at = 0 if passed is None else self.names.index(passed) + 1
        return self.names[at] if at < len(self.names) else ""

    def _noted(self, name: str, middleware: Middleware, is_left_out: bool) -> Middleware:
        if isinstance(middleware, type) and issubclass(middleware, CommonMiddleware):
            middleware = _without_redirects(middleware)

        @functools.wraps(middleware, updated=())
        def make(get_response: GetResponse) -> Any:
            if is_left_out:
                raise MiddlewareNotUsed("left out of WebSocket events")
            instance = middleware(self._noting(name, get_response))
            self.names.insert(0, name)  # Django begins at the innermost
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
            # A middleware may have set it for the thread alone.
            set_urlconf(self._urls.around(get_urlconf()))
            return get_response(request)

        return call_on


def _without_redirects(kind: type[CommonMiddleware]) -> type[CommonMiddleware]:
    """Make a kind of CommonMiddleware that adds neither "www." nor a slash: a WebSocket follows no
    redirect.
    """

    class Kept(kind):  # type: ignore[misc]
        def process_request(self, request: HttpRequest) -> HttpResponse | None:
            answer = super().process_request(request)
            return None if answer is not None and 300 <= answer.status_code < 400 else answer

        def should_redirect_with_slash(self, request: HttpRequest) -> bool:
            return False

    functools.update_wrapper(Kept, kind, updated=())
    return Kept


def naming(process_view: Callable[..., HttpResponse | None]) -> Callable[..., HttpResponse | None]:
    """Note whose `process_view` answers in the place of a callback."""
    owner = type(getattr(process_view, "__self__", process_view))

    @functools.wraps(process_view)
    def ask(request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        answer = process_view(request, view, args, kwargs)
        if answer:
            request.answered_by = f"{owner.__module__}.{owner.__qualname__}"
        return answer

    return ask
