"""Answers an exception of a callback or of `auth` as the same exception of a view."""

from __future__ import annotations

import importlib
import logging
import sys
from typing import TYPE_CHECKING

from django.core import signals
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.http import Http404, HttpResponse

from ..passage import QUIET
from .urls import DONE

if TYPE_CHECKING:
    from django.http.response import HttpResponseBase

    from .handshake import HandshakeRequest

logger = logging.getLogger("tina4_wsgi.django")

KNOWN = (BadRequest, SuspiciousOperation, PermissionDenied, Http404)
"""The exceptions that Django answers by itself, with `handler403` and its like."""


def answer(request: HandshakeRequest, error: Exception) -> HttpResponseBase | None:
    """Answer an exception that Django doesn't, after the project's `process_exception`.

    Returns:
        None to leave it to Django.
    """
    if isinstance(error, QUIET):
        return quiet(DONE)
    answered = _by_rest_framework(request, error)
    if answered is not None and (request.connection is None or answered.status_code in (401, 403)):
        return answered
    if is_left_to_django(request, error):
        return None

    # As `response_for_exception` does, but the caller that gets the exception logs it.
    signals.got_request_exception.send(sender=None, request=request)
    return quiet(500)


def is_left_to_django(request: HandshakeRequest, error: Exception) -> bool:
    """Return whether Django answers an exception; in an event, Http404 is an error like any."""
    return isinstance(error, PermissionDenied if request.connection is not None else KNOWN)


def quiet(status: int) -> HttpResponse:
    """Return an answer that Django doesn't log."""
    response = HttpResponse(status=status)
    response._has_been_logged = True
    return response


def is_of_rest_framework(error: BaseException) -> bool:
    """Return whether Django REST framework, if it is there, answers an exception."""
    exceptions = sys.modules.get("rest_framework.exceptions")
    return exceptions is not None and isinstance(error, exceptions.APIException)


def _by_rest_framework(request: HandshakeRequest, error: Exception) -> HttpResponseBase | None:
    """Ask the project's EXCEPTION_HANDLER, as an APIView does."""
    # For those of `KNOWN` the project has handlers.
    if "rest_framework" not in sys.modules or isinstance(error, KNOWN):
        return None

    settings = importlib.import_module("rest_framework.settings")
    context: dict[str, object] = {
        "view": None,
        "args": (),
        "kwargs": dict(request.match.params),
        "request": request,
    }
    try:
        answered: HttpResponseBase | None = settings.api_settings.EXCEPTION_HANDLER(error, context)
    except Exception:
        logger.exception("EXCEPTION_HANDLER of Django REST framework raised")
        answered = None

    if answered is None:
        return quiet(getattr(error, "status_code", 500)) if is_of_rest_framework(error) else None

    made = quiet(answered.status_code)
    for name, value in answered.items():
        made[name] = value
    return made
