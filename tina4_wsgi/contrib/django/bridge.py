"""Runs the events of WebSocket routes as Django runs views.

How it works. Each event is a request of its own, made from the handshake, that goes through the project's whole
middleware; at the place of the view the callback is called. So session, user, language, tenant and whatever else
middleware provides are those of this moment, and what middleware takes back after a view it takes back after an
event. Around it the signals `request_started` and `request_finished` are sent, by which Django and others clean up.

A middleware that answers by itself refuses: before the 101 with its status, later by closing the connection.
"""

from __future__ import annotations

import contextvars
import logging
import types
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.conf import settings
from django.core import signals
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.core.handlers.base import BaseHandler
from django.core.handlers.wsgi import get_script_name
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import ResolverMatch, set_script_prefix, set_urlconf
from django.utils.module_loading import autodiscover_modules
from werkzeug.exceptions import HTTPException

from ...app import App
from ...config import Config
from ...errors import ConfigError, Refused
from ...matching import Match
from ...protocol.frames import CloseCode
from ...router import Router
from ...service import Bridge, Environ
from . import databases, origins
from .handshake import HandshakeRequest, current

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

logger = logging.getLogger("tina4_wsgi.django")

_DONE = 204  # what a callback answers, as middleware sees it; one that caches whole sites doesn't keep it

_REFUSALS: Mapping[type[Exception], tuple[int, str]] = {
    BadRequest: (400, "this request makes no sense here"),
    SuspiciousOperation: (400, "this request makes no sense here"),
    PermissionDenied: (403, "this WebSocket route is not open to you"),
    Http404: (404, "there is nothing at this address"),
}
"""How Django's own exceptions answer a handshake when `auth` raises them."""


def wrap(wsgi_app: WSGIApplication, *, router: Router | None = None, **settings: Any) -> App:
    """Give a Django project WebSocket routes: `application = wrap(get_wsgi_application())`.

    Args:
        wsgi_app: the project's application, which answers all HTTP as before.
        router: where the routes are; by default the shared `Router`, and then `websockets.py` of each installed
            app is imported, which registers them there.
        settings: fields of `Config` by name, and `root`.
    Raises:
        ConfigError: Django is not set up; a setting is unknown or out of its range.
    """
    if not apps.ready:
        raise ConfigError("Django is not set up, expected wrap(get_wsgi_application()), which does that")
    if router is None:
        autodiscover_modules("websockets")
    return App(wsgi_app, router=router, bridge=DjangoBridge(), **settings)


class DjangoBridge(Bridge):
    """Has Django's settings and middleware decide about our WebSocket routes.

    Raises:
        ImproperlyConfigured: by Django, a middleware can't be used.
    """

    def __init__(self) -> None:
        self._handler = _Handler()
        self._handler.load_middleware()

    def check_origin(self, environ: Environ, host: str, limits: Config) -> None:
        """Hold ALLOWED_HOSTS and CSRF_TRUSTED_ORIGINS; the setting `allowed_origins` adds to these."""
        origins.check(environ, host, limits.allowed_origins)

    def admit(self, environ: Environ, match: Match) -> None:
        """Ask the middleware; where a route has `auth` it is asked together with that."""
        if match.route.auth is None:
            environ["tina4_wsgi.match"] = match
            self.run(environ, "auth", _nothing)

    def run(self, environ: Environ, event: str, call: Callable[[], object]) -> object:
        """Have `call` take the place of the view, in a context of its own.

        Raises:
            Refused: before the 101, by a middleware or by an exception of Django's that says so.
            ConfigError: greenlets would share database connections.
        """
        databases.check_each_greenlet_has_its_own()
        return contextvars.copy_context().run(self._handler.handle, environ, event, call)


class _Handler(BaseHandler):  # type: ignore[misc]  # Django ships no types
    """A handler of Django's that calls callbacks instead of views."""

    def handle(self, environ: Environ, event: str, call: Callable[[], object]) -> object:
        """Run one event; within another one, as `connection.refresh_auth()` in a callback, its databases go on."""
        request = HandshakeRequest(environ, event, call)
        is_nested = request.is_nested
        in_transaction = databases.in_transaction()
        set_script_prefix(get_script_name(environ))
        started = partial(signals.request_started.send, sender=type(self), environ=environ)
        databases.send_sparingly(started, is_nested=is_nested)
        response = HttpResponse()
        current.set(request)
        try:
            set_urlconf(settings.ROOT_URLCONF)
            response = self._middleware_chain(request)
            return _outcome(request, response)
        finally:
            request.error = None  # its traceback holds this frame
            databases.roll_back(in_transaction)
            response._handler_class = type(self)
            try:
                request.close()
                databases.send_sparingly(response.close, is_nested=is_nested)  # which sends request_finished
            finally:
                if not is_nested:
                    databases.close()

    def _get_response(self, request: HandshakeRequest) -> HttpResponseBase:
        """Call the callback; Django's machinery calls this behind the last middleware."""
        route, params = request.match
        request.resolver_match = ResolverMatch(route.callback, (), dict(params), route=route.path)
        for process_view in self._view_middleware:
            answer = process_view(request, route.callback, (), dict(params))
            if answer is not None:
                return answer
        request.is_answered = True
        try:
            request.result = self._in_transaction(route.callback, request.call)()
            request.check_session()
        except Exception as exc:  # noqa: BLE001  # raised again when all middleware has seen the answer
            request.error = exc
            return self._failure(request, exc)
        return HttpResponse(status=_DONE)

    def _in_transaction(self, view: Callable[..., object], call: Callable[[], object]) -> Callable[[], object]:
        """Put a transaction around `call` if ATOMIC_REQUESTS, and the marks of `view`, ask for one."""

        def in_place_of_view() -> object:
            return call()

        in_place_of_view.__dict__.update(view.__dict__ if isinstance(view, types.FunctionType) else {})
        wrapped: Callable[[], object] = self.make_view_atomic(in_place_of_view)
        return wrapped

    def _failure(self, request: HandshakeRequest, exc: Exception) -> HttpResponseBase:
        """Show an exception to whom Django shows those of views, and give what middleware sees of it."""
        refusal = _refusal_for(exc) if request.websocket_event == "auth" else None
        if refusal is not None:  # that is how `auth` says no
            return HttpResponse(status=refusal)
        self.process_exception_by_middleware(exc, request)
        signals.got_request_exception.send(sender=type(self), request=request)
        return HttpResponse(status=500)


def _outcome(request: HandshakeRequest, response: HttpResponseBase) -> object:
    """Give what came of an event, or raise it."""
    if request.websocket_event == "auth":
        return _outcome_of_auth(request, response)
    if request.error is not None:
        raise request.error
    if response.status_code >= 400 or not request.is_answered:
        assert request.connection is not None
        where = request.websocket_event, request.connection.path
        logger.warning("%r on %.200r: a middleware answered %d", *where, response.status_code)
    if request.is_answered:
        return request.result
    if request.websocket_event == "close":  # it comes once, whatever happened
        return request.call()
    _send_away(request, response)
    return None


def _outcome_of_auth(request: HandshakeRequest, response: HttpResponseBase) -> object:
    if request.error is not None:
        for kind, refusal in _REFUSALS.items():
            if isinstance(request.error, kind):
                raise Refused(*refusal) from request.error
        raise request.error
    if response.status_code >= 400 or not request.is_answered:
        raise _refusal_by(request, response)
    return request.result


def _refusal_for(exc: Exception) -> int | None:
    if isinstance(exc, HTTPException):
        return exc.code or 403
    return next((status for kind, (status, _) in _REFUSALS.items() if isinstance(exc, kind)), None)


def _refusal_by(request: HandshakeRequest, response: HttpResponseBase) -> Refused:
    """Say to a WebSocket what a middleware's answer says to a browser; a redirect would lead it nowhere."""
    status = response.status_code
    if status < 400:
        user = getattr(request, "user", None)
        status = 401 if user is not None and not user.is_authenticated else 403
    return Refused(status, "the site does not let you in here", detail=f"a middleware answered {response.status_code}")


def _send_away(request: HandshakeRequest, response: HttpResponseBase) -> None:
    refusal = _refusal_by(request, response)
    if refusal.status >= 500:
        code = CloseCode.TRY_AGAIN_LATER
    else:
        code = CloseCode.UNAUTHENTICATED if refusal.status == 401 else CloseCode.FORBIDDEN
    assert request.connection is not None
    request.connection.close(code, refusal.message)


def _nothing() -> None:
    """Stands where a route has no `auth`."""
