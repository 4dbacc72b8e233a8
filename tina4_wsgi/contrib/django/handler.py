"""Django's WSGI handler for the requests of events, with our URLs and answers to exceptions."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from django.core.handlers.wsgi import WSGIHandler
from django.urls import ResolverMatch, set_urlconf

from ..passage import QUIET
from . import databases, failures
from .handshake import HandshakeRequest, current
from .middleware import Passing, naming

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from django.http import HttpResponse
    from django.http.response import HttpResponseBase

    from .urls import EventUrls


class EventHandler(WSGIHandler):  # type: ignore[misc]  # Django ships no types
    """Sends events through the project's middleware.

    It is called as a WSGI application, as code that patches Django expects.

    Args:
        urls: resolve the paths of events.
        leave_out: names of middleware that events don't pass.
    Raises:
        ImproperlyConfigured: by Django, a middleware can't be used.
    """

    _view_middleware: list[Callable[..., HttpResponse | None]]
    _middleware_chain: Callable[[HandshakeRequest], HttpResponseBase]

    def __init__(self, urls: EventUrls, leave_out: Collection[str] = ()) -> None:
        self.request_class = partial(HandshakeRequest, urls=urls)
        self._urls = urls
        self._leave_out = leave_out
        self._passing = Passing(urls)
        super().__init__()

    def load_middleware(self, is_async: bool = False) -> None:
        """Load middleware with a note around each, so that a refusal can name the one it is of."""
        with self._passing.loading(self._leave_out):
            super().load_middleware(is_async)
        self._view_middleware = [naming(process_view) for process_view in self._view_middleware]
        self._middleware_chain = partial(_begin, self._middleware_chain)

    def get_response(self, request: HandshakeRequest) -> HttpResponseBase:
        """Answer an event, and note which middleware answered in the callback's place."""
        in_transaction = databases.in_transaction()
        try:
            response: HttpResponseBase = super().get_response(request)
        finally:
            # Before `request_finished`, when Django closes what is left open in a transaction.
            databases.roll_back(in_transaction)

        if not request.event.is_called:
            request.event.answered_by = request.answered_by or self._passing.answered_by(
                request.passed
            )
        return response

    def resolve_request(self, request: HandshakeRequest) -> ResolverMatch:
        """Return the match of the event's route, whatever middleware has made of the path."""
        route, params = request.match
        set_urlconf(request.urlconf)
        request.resolver_match = self._urls.match(route, dict(params))
        return request.resolver_match

    def process_exception_by_middleware(
        self, exception: Exception, request: HandshakeRequest
    ) -> HttpResponseBase | None:
        """Ask the middleware for an answer, and else find one as Django would."""
        if not isinstance(exception, QUIET) and not failures.is_of_rest_framework(exception):
            answered: HttpResponseBase | None = super().process_exception_by_middleware(
                exception, request
            )
            if answered:
                return answered
        return failures.answer(request, exception)


def _begin(
    chain: Callable[[HandshakeRequest], HttpResponseBase], request: HandshakeRequest
) -> HttpResponseBase:
    current.set(request)
    set_urlconf(request.urlconf)
    return chain(request)
