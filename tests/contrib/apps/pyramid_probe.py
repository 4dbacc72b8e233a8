"""A Pyramid app for the matrix of requests in tests/support/same_answers.py, `bare` and
`wrapped`.
"""

from __future__ import annotations

import time
from datetime import datetime, timezone
from types import SimpleNamespace

import pyramid.session
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden, HTTPFound, HTTPMethodNotAllowed
from pyramid.response import FileResponse, Response
from pyramid.session import SignedCookieSessionFactory

from tina4_wsgi import Router
from tina4_wsgi.contrib.pyramid import wrap

# Signed sessions hold the time; here it is always the same.
pyramid.session.time = SimpleNamespace(**{**vars(time), "time": lambda: 1_700_000_000.0})


def text(request):
    response = Response("text\n", content_type="text/plain")
    response.headerlist += [("X-Probe", "1"), ("X-Probe", "2")]
    return response


def echo(request):
    return {
        "method": request.method,
        "query": list(request.GET.items()),
        "type": request.content_type,
        "body": request.body.decode("latin-1"),
    }


def form(request):
    fields = [(name, value) for name, value in request.POST.items() if isinstance(value, str)]
    files = [(name, value) for name, value in request.POST.items() if not isinstance(value, str)]
    return {
        "form": fields,
        "files": [[name, one.filename, one.type, one.file.read().hex()] for name, one in files],
    }


def stream(request):
    return Response(app_iter=(f"{request.path} {number}\n".encode() for number in range(5)))


def stream_fails(request):
    def parts():
        yield b"first\n"
        raise RuntimeError("on purpose")

    return Response(app_iter=parts())


def large(request):
    return Response("0123456789" * 30_000)


def empty(request):
    return Response(status=204)


def redirect(request):
    return HTTPFound(request.route_url("text"))


def cookies(request):
    # Raw: WebOb raises for one that isn't UTF-8.
    response = Response(json_body=[request.headers.get("Cookie")])
    response.set_cookie("new", "a-b", path="/cookies", httponly=True, samesite="Lax")
    response.delete_cookie("old")
    return response


def visits(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return Response(str(request.session["visits"]))


def error(request):
    raise RuntimeError("on purpose")


def refused(request):
    raise HTTPForbidden("on purpose")


def cached(request):
    last_modified = datetime(2024, 1, 1, tzinfo=timezone.utc)
    return Response(
        "cached\n", etag="probe", last_modified=last_modified, conditional_response=True
    )


def file(request):
    response = FileResponse(__file__, request, content_type="text/plain")
    response.conditional_response = True
    return response


def path(request):
    names = ("SCRIPT_NAME", "PATH_INFO", "QUERY_STRING")
    return Response(
        json_body=[request.matchdict["rest"], *(request.environ[name] for name in names)]
    )


def wrong_method(request):
    return HTTPMethodNotAllowed(headers=[("Allow", "GET, HEAD")])


def live(request, connection, event, data):
    if event == "message":
        connection.send(data)


VIEWS = {
    "/text": text,
    "/stream": stream,
    "/stream-fails": stream_fails,
    "/large": large,
    "/empty": empty,
    "/redirect": redirect,
    "/cookies": cookies,
    "/session": visits,
    "/error": error,
    "/refused": refused,
    "/cached": cached,
    "/file": file,
    "/path/*rest": path,
}

with Configurator(session_factory=SignedCookieSessionFactory("probe")) as config:
    config.include("tina4_wsgi.contrib.pyramid")
    config.add_websocket("/ws/echo", live)
    for pattern, view in VIEWS.items():
        config.add_route(view.__name__, pattern)
        config.add_view(view, route_name=view.__name__, request_method="GET")
        config.add_view(wrong_method, route_name=view.__name__)
    for name, view in (("echo", echo), ("form", form)):
        config.add_route(name, f"/{name}")
        config.add_view(view, route_name=name, renderer="json")

bare = config.make_wsgi_app()
wrapped = wrap(bare, router=Router())
