"""A middleware of the project's own, which refuses what a test asks it to refuse."""

import sys

from django.core.signals import got_request_exception
from django.http import HttpResponse, HttpResponseRedirect
from django.utils.translation import get_language

seen = {"errors": [], "signalled": []}


def note_exception(**signal):
    """Look where tools that report errors look."""
    seen["signalled"].append(repr(sys.exc_info()[1]))


got_request_exception.connect(note_exception)


class Probe:
    """`?refuse=EVENT:STATUS` makes it answer an event by itself."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        event, _, status = request.GET.get("refuse", "").partition(":")
        if event and event == getattr(request, "websocket_event", "http"):
            return (
                HttpResponseRedirect("/login")
                if status == "302"
                else HttpResponse("no", status=int(status))
            )
        response = self.get_response(request)
        response["X-Language"] = get_language()
        return response

    def process_exception(self, request, exception):
        """Note what views, and callbacks, raise."""
        seen["errors"].append(repr(exception))


probe = Probe
