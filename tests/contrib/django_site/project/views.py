"""What the pages do, each with Django's own means."""

import datetime
import json
from pathlib import Path

from django.contrib.auth import get_user_model, login, logout
from django.core.exceptions import PermissionDenied
from django.db import connections
from django.http import (
    FileResponse,
    HttpResponse,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.utils.translation import get_language
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import condition, require_safe
from notes.models import Note

from project import middleware
from tina4_wsgi import broadcast


@csrf_exempt
@require_safe
def text(request):
    response = HttpResponse("hello", content_type="text/plain")
    response["X-Probe"] = "one"
    return response


@csrf_exempt
def echo(request):
    said = [
        request.method,
        request.META.get("QUERY_STRING"),
        request.META.get("CONTENT_TYPE"),
        request.body.hex(),
    ]
    return JsonResponse(said, safe=False)


@csrf_exempt
def form(request):
    files = {
        name: [file.name, file.content_type, file.read().hex()]
        for name, file in request.FILES.items()
    }
    return JsonResponse({"fields": dict(request.POST.lists()), "files": files})


def stream(request):
    return StreamingHttpResponse(f"part {number}\n" for number in range(4))


def stream_fails(request):
    def parts():
        yield "first\n"
        raise RuntimeError("the stream breaks")

    return StreamingHttpResponse(parts())


def large(request):
    return HttpResponse(b"0123456789" * 30_000, content_type="application/octet-stream")


def empty(request):
    return HttpResponse(status=204)


def redirect_to_text(request):
    return HttpResponseRedirect("/text")


def cookies(request):
    response = JsonResponse(request.COOKIES)
    response.set_cookie("taste", "sweet", path="/", httponly=True, samesite="Lax", secure=True)
    response.delete_cookie("old")
    return response


def session(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return JsonResponse({"visits": request.session["visits"]})


def error(request):
    raise RuntimeError("the view fails")


def refused(request):
    raise PermissionDenied


def _etag(request):
    return '"probe"'


def _last_modified(request):
    return datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)


@condition(etag_func=_etag, last_modified_func=_last_modified)
def cached(request):
    return HttpResponse("kept", content_type="text/plain")


@require_safe
def file(request):
    return FileResponse(Path(__file__).with_name("views.py").open("rb"), content_type="text/plain")


def path(request, rest):
    meta = request.META
    return JsonResponse(
        [rest, meta["SCRIPT_NAME"], meta["PATH_INFO"], meta["QUERY_STRING"]], safe=False
    )


def log_in(request):
    """Log in without asking for a password: `/login?user=ada`."""
    login(request, get_user_model().objects.get(username=request.GET["user"]))
    return HttpResponse(request.session.session_key)


def log_out(request):
    logout(request)
    return HttpResponse("bye")


def deactivate(request):
    get_user_model().objects.filter(username=request.GET["user"]).update(is_active=False)
    return HttpResponse("done")


def state(request):
    """Tell what this process holds."""
    return JsonResponse(
        {
            "notes": list(Note.objects.order_by("id").values_list("text", flat=True)),
            **middleware.seen,
            "in_atomic_block": connections["default"].in_atomic_block,
            "language": get_language(),
        }
    )


def say(request):
    """Push to a path from a view: `/say?path=/ws/notes&text=hello`."""
    broadcast(request.GET["path"], json.dumps({"said": request.GET["text"]}))
    return HttpResponse("said")
