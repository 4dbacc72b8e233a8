"""What an exception of a callback or of `auth` is answered with: what the same exception of a view
would be.
"""

from __future__ import annotations

import importlib
import logging
import sys
from typing import Any

from django.core import signals
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase

from ..passage import QUIET
from .handshake import HandshakeRequest
from .urls import DONE

logger = logging.getLogger("tina4_wsgi.django")

KNOWN = (BadRequest, SuspiciousOperation, PermissionDenied, Http404)
"""Those that Django answers by itself, with `handler403` and its like."""


def answer(request: HandshakeRequest, error: Exception) -> HttpResponseBase | None:
    """Answer what isn't Django's to answer; None leaves it to Django. Behind the project's
    `process_exception`.
    """
    if isinstance(error, QUIET):
        return quiet(DONE)
    answered = _by_rest_framework(request, error)
    if answered is not None and (request.connection is None or answered.status_code in (401, 403)):
        return answered
    if is_left_to_django(request, error):
        return None
    # As `response_for_exception` does, but the log is left to whoever gets the exception from us.
    signals.got_request_exception.send(sender=None, request=request)
    return quiet(500)


def is_left_to_django(request: HandshakeRequest, error: Exception) -> bool:
    """Say whether Django has an answer. One like 404 to a message is no answer, but an error like
    any.
    """
    return isinstance(error, PermissionDenied if request.connection is not None else KNOWN)


def quiet(status: int) -> HttpResponse:
    """Make an answer that Django doesn't log."""
    response = HttpResponse(status=status)
    response._has_been_logged = True
    return response


def is_of_rest_framework(error: BaseException) -> bool:
    """Say whether this is an exception that Django REST framework answers; it need not be
    installed.
    """
    exceptions = sys.modules.get("rest_framework.exceptions")
    return exceptions is not None and isinstance(error, exceptions.APIException)


def _by_rest_framework(request: HandshakeRequest, error: Exception) -> HttpResponseBase | None:
    """Ask the project's EXCEPTION_HANDLER, as an APIView does."""
    if "rest_framework" not in sys.modules or isinstance(
        error, KNOWN
    ):  # for these the project has handlers
        return None
    settings = importlib.import_module("rest_framework.settings")
    context: dict[str, Any] = {
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
