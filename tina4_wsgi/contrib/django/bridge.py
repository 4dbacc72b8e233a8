"""Runs the events of WebSocket routes as Django runs views.

How it works. Each event is a request of its own, made from the handshake, that goes through the
project's whole middleware; the callback is called in the place of the view. So session, user,
language, tenant and whatever else middleware provides are those of this moment, and what middleware
takes back after a view it takes back after an event. The request enters as a WSGI request does. So
Django sends `request_started` and `request_finished` around it, by which Django and others clean
up, and code that patches Django's handler sees an ordinary request.

Middleware that answers by itself refuses: before the 101 with its status, later by closing the
connection.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Collection, Iterable
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING

from django.apps import apps
from django.core.handlers.wsgi import WSGIHandler
from django.core.serializers.json import DjangoJSONEncoder
from django.utils.module_loading import autodiscover_modules

from ...app import App
from ...errors import ConfigError, UsageError
from ...hub.raised_in import remember
from ...routing.router import Router
from ..passage import KEY, Event, PassingBridge
from . import databases, middleware, origins
from .handler import EventHandler
from .handshake import HandshakeRequest, current, is_nested
from .logout import SessionLogouts
from .scheme import with_http_scheme
from .urls import EventUrls

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication
    from django.core.handlers.wsgi import WSGIRequest
    from django.http.response import HttpResponseBase
    from typing_extensions import Unpack

    from ...backplane.contract import Facts
    from ...config import Config
    from ...settings import WrapSettings
    from ...websocket.bridge import Environ

LeaveOut = Collection["str | type"] | str | type


def wrap(
    wsgi_app: WSGIApplication | WSGIHandler,
    *,
    app: WSGIHandler | None = None,
    router: Router | None = None,
    leave_out: LeaveOut = (),
    **settings: Unpack[WrapSettings],
) -> App:
    """Give a Django project WebSocket routes: `application = wrap(get_wsgi_application())`.

    Args:
        wsgi_app: the project's application, which answers all HTTP as before; or middleware around
            it.
        app: what `get_wsgi_application()` returned, if `wsgi_app` is middleware that hides it;
            events pass the middleware, too.
        router: holds the routes; by default the shared `Router`, and then `websockets.py` of each
            installed app is imported, which registers its routes there.
        leave_out: middleware of MIDDLEWARE that events and re-checks don't pass, by dotted name or
            as the class: what counts and records. Handshakes do pass it.
        settings: fields of `Config` by name, and `root`.
    Raises:
        ConfigError: Django is not set up; a setting is unknown or out of its range; `leave_out`
            names no middleware.
        UsageError: `app` is something else.
    """
    if not apps.ready:
        raise ConfigError(
            "Django is not set up, expected wrap(get_wsgi_application()), which does that"
        )
    if app is not None and not isinstance(app, WSGIHandler):
        raise UsageError(f"app={app!r}, expected what get_wsgi_application() gave")

    if router is None:
        autodiscover_modules("websockets")
    bridge = DjangoBridge(wsgi_app, app, Router.default if router is None else router, leave_out)
    served = App(wsgi_app, router=router, bridge=bridge, **settings)
    bridge.listen_to_logouts(served)
    return served


class DjangoBridge(PassingBridge):
    """Lets Django's settings and middleware decide about our WebSocket routes.

    Args:
        stack: the project's application, perhaps with middleware around it.
        app: Django's handler in it; None to look for it.
        router: holds the routes.
        leave_out: as for `wrap`.
    Raises:
        ImproperlyConfigured: by Django, a middleware can't be used.
        ConfigError: `leave_out` names no middleware.
    """

    def __init__(
        self,
        stack: WSGIApplication | None = None,
        app: WSGIHandler | None = None,
        router: Router | None = None,
        leave_out: LeaveOut = (),
    ) -> None:
        self._logouts: SessionLogouts | None = None
        self._urls = EventUrls(Router.default if router is None else router)
        self._handshakes = self._events = EventHandler(self._urls)
        left_out = middleware.names_of(leave_out)
        if left_out:
            self._events = EventHandler(self._urls, left_out)

        inner = _handler_in(stack) if app is None else app
        if inner is None or (inner is stack and type(inner) is WSGIHandler):
            super().__init__(self._call, ())
        else:
            assert stack is not None
            self._take_events_of(inner)
            super().__init__(stack, ())

    def names_host(self, environ: Environ) -> bool:
        """Return True: ALLOWED_HOSTS is enforced for every handshake."""
        return True

    def with_page_schemes(self, environ: Environ) -> Environ:
        """Replace the scheme in the header of SECURE_PROXY_SSL_HEADER, too."""
        return with_http_scheme(environ)

    def check_origin(self, environ: Environ, host: str, limits: Config) -> None:
        """Enforce ALLOWED_HOSTS and CSRF_TRUSTED_ORIGINS; our `allowed_origins` adds to these."""
        origins.check(environ, host, limits)

    def listen_to_logouts(self, served: App) -> None:
        """Close the connections of each session that is logged out, in all processes."""
        self._logouts = SessionLogouts(served)

    def answer(self, question: Facts) -> Facts:
        """Close the connections of this process that a log-out ends, and return how many."""
        return {} if self._logouts is None else self._logouts.answer(question)

    def json_default(self, value: object) -> object:
        """Ask Django's own JSON encoder: it knows dates, UUIDs, decimals, lazy texts."""
        return DjangoJSONEncoder().default(value)

    def run(self, environ: Environ, event: str, call: Callable[[], object]) -> object:
        """Run `call` in the place of the view, in a context of its own.

        Raises:
            Refused: before the 101, by a middleware or by an exception that Django answers.
            ConnectionClosed: afterwards, by the same; the connection is closed.
            ConfigError: greenlets would share database connections.
        """
        databases.check_each_greenlet_has_its_own()
        context = contextvars.copy_context()
        try:
            return context.run(self._run_here, environ, event, call)
        except Exception as exc:
            remember(exc, context)
            raise

    def _run_here(self, environ: Environ, event: str, call: Callable[[], object]) -> object:
        """Run one event.

        One inside another, as by `connection.refresh_auth()` in a callback, keeps the other's
        database connections.
        """
        is_inner, in_transaction = is_nested(), databases.in_transaction()
        try:
            with databases.undisturbed() if is_inner or in_transaction else nullcontext():
                return super().run(environ, event, partial(self._unless_logged_out, call))
        finally:
            databases.roll_back(in_transaction)
            if not is_inner:
                databases.close()

    def _unless_logged_out(self, call: Callable[[], object]) -> object:
        request = current.get()
        if self._logouts is not None and not self._logouts.lets(request.event, request):
            return None
        return call()

    def refusal_status(self, event: Event) -> int:
        """Return 401 for an answer that is no error, as a redirect to the log-in page, else 403.

        It is 403 for a user who is logged in.
        """
        if event.status >= 400:
            return event.status
        request = current.get(None)
        user = (
            getattr(request, "user", None)
            if request is not None and request.event is event
            else None
        )
        return 401 if user is not None and not user.is_authenticated else 403

    def run_unhindered(self, event: Event, environ: Environ) -> None:
        """Run "close" with the request as far as middleware got with it."""
        request = current.get(None)
        if request is None or request.event is not event:
            current.set(HandshakeRequest({**environ, KEY: event}, self._urls))
        event.run()

    def _call(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        answer: Iterable[bytes] = self._handler_for(environ[KEY])(environ, start_response)
        return answer

    def _handler_for(self, event: Event) -> EventHandler:
        return self._handshakes if event.is_handshake else self._events

    def _take_events_of(self, handler: WSGIHandler) -> None:
        """Make Django's handler inside middleware answer events by ours."""
        make_request = handler.request_class

        def request_class(environ: Environ) -> WSGIRequest:
            return (
                HandshakeRequest(environ, self._urls) if KEY in environ else make_request(environ)
            )

        def get_response(request: WSGIRequest) -> HttpResponseBase:
            if isinstance(request, HandshakeRequest):
                return self._handler_for(request.event).get_response(request)
            return type(handler).get_response(handler, request)

        handler.request_class = request_class
        handler.get_response = get_response


def _handler_in(stack: object) -> WSGIHandler | None:
    """Find Django's handler inside middleware; its handler for static files is middleware, too."""
    waiting = [stack]
    seen: set[int] = set()

    while waiting:
        one = waiting.pop(0)
        if isinstance(one, WSGIHandler) and not hasattr(one, "application"):
            return one
        if (
            callable(one)
            and not isinstance(one, type)
            and id(one) not in seen
            and len(seen) < _MOST_SEEN
        ):
            seen.add(id(one))
            waiting += [*getattr(one, "__dict__", {}).values(), *_enclosed(one)]
    return None


_MOST_SEEN = 100
"""The most callables to look into: a stack of middleware has some ten of them."""


def _enclosed(function: object) -> list[object]:
    """Return the values that a function closes over, as middleware closes over its application."""
    found = []
    for cell in getattr(function, "__closure__", None) or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:  # the cell is still empty
            pass
    return found
