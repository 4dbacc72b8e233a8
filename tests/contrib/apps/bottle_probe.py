"""A Bottle app for the matrix of requests in tests/support/same_answers.py, `bare` and
`wrapped`.
"""

from __future__ import annotations

from pathlib import Path

from bottle import Bottle, HTTPResponse, abort, redirect, request, response, static_file

from tina4_wsgi import Router
from tina4_wsgi.contrib.bottle import wrap

bare = Bottle()
router = Router()


@bare.get("/text")
def text():
    response.add_header("X-Probe", "1")
    response.add_header("X-Probe", "2")
    response.content_type = "text/plain"
    return "text\n"


@bare.route("/echo", method="ANY")
def echo():
    return {
        "method": request.method,
        "query": list(request.query.allitems()),
        "type": request.content_type,
        "body": request.body.read().decode("latin-1"),
    }


@bare.post("/form")
def form():
    parts = request.files.allitems()
    files = [
        [name, one.raw_filename, one.content_type, one.file.read().hex()] for name, one in parts
    ]
    return {"form": list(request.forms.allitems()), "files": files}


@bare.get("/stream")
def stream():
    for number in range(5):
        yield f"{request.path} {number}\n"


@bare.get("/stream-fails")
def stream_fails():
    yield "first\n"
    raise RuntimeError("on purpose")


@bare.get("/large")
def large():
    return "0123456789" * 30_000


@bare.get("/empty")
def empty():
    response.status = 204


@bare.get("/redirect")
def to_text():
    redirect("/text", 302)


@bare.get("/cookies")
def cookies():
    response.set_cookie("new", "a-b", path="/cookies", httponly=True, samesite="lax")
    response.delete_cookie("old")
    return {"cookies": sorted(request.cookies.allitems())}


@bare.get("/error")
def error():
    raise RuntimeError("on purpose")


@bare.get("/refused")
def refused():
    abort(403, "on purpose")


@bare.get("/cached")
def cached():
    fields = {"ETag": '"probe"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
    is_same = request.get_header("If-None-Match") == '"probe"' or request.get_header(
        "If-Modified-Since"
    )
    return HTTPResponse("" if is_same else "cached\n", 304 if is_same else 200, fields)


@bare.get("/file")
def file():
    return static_file(Path(__file__).name, Path(__file__).parent, mimetype="text/plain")


@bare.get("/path/<rest:path>")
def path(rest):
    names = ("SCRIPT_NAME", "PATH_INFO", "QUERY_STRING")
    return {"path": [rest, *(request.environ[name] for name in names)]}


@router.websocket("/ws/echo")
def live(connection, event, data):
    if event == "message":
        connection.send(data)


wrapped = wrap(bare, router=router)
