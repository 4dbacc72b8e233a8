"""A Flask app for the matrix of requests in tests/support/same_answers.py, `bare` and `wrapped`."""

from __future__ import annotations

from datetime import datetime, timezone

import itsdangerous
from flask import (
    Flask,
    Response,
    abort,
    jsonify,
    redirect,
    request,
    send_file,
    session,
    stream_with_context,
    url_for,
)

from tina4_wsgi import Router
from tina4_wsgi.contrib.flask import websocket, wrap

bare = Flask(__name__)
bare.secret_key = "probe"
# Signed cookies hold the time; here it is always the same.
itsdangerous.TimestampSigner.get_timestamp = lambda self: 1_700_000_000

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


@bare.get("/text")
def text():
    response = Response("plain käse\n", content_type="text/plain; charset=utf-8")
    response.headers.add("X-Probe", "one")
    response.headers.add("X-Probe", "two")
    return response


@bare.route("/echo", methods=METHODS)
def echo():
    heard = (
        f"{request.method} {request.query_string!r} {request.content_type} "
        f"{request.headers['Host']} "
    )
    return Response(heard.encode() + request.get_data(), content_type="application/octet-stream")


@bare.post("/form")
def form():
    files = {
        name: [file.filename, file.content_type, file.read().hex()]
        for name, file in request.files.items()
    }
    return jsonify(form=request.form.to_dict(flat=False), files=files)


@bare.get("/stream")
def stream():
    return stream_with_context(f"{request.path} {number}\n" for number in range(5))


@bare.get("/stream-fails")
def stream_fails():
    def parts():
        yield "first\n"
        raise RuntimeError("on purpose")

    return parts()


@bare.get("/large")
def large():
    return "0123456789" * 30_000


@bare.get("/empty")
def empty():
    return "", 204


@bare.get("/redirect")
def to_text():
    return redirect(url_for("text", _external=True))


@bare.get("/cookies")
def cookies():
    response = jsonify(request.cookies.to_dict(flat=False))
    response.set_cookie(
        "new", 'a "b"; c', max_age=60, path="/cookies", httponly=True, samesite="Lax"
    )
    response.delete_cookie("old")
    return response


@bare.get("/session")
def visits():
    session["visits"] = session.get("visits", 0) + 1
    return f"{session['visits']}"


@bare.get("/error")
def error():
    raise RuntimeError("on purpose")


@bare.get("/refused")
def refused():
    abort(403, "on purpose")


@bare.get("/cached")
def cached():
    response = Response("cached\n")
    response.last_modified = datetime(2024, 1, 1, tzinfo=timezone.utc)
    response.set_etag("probe")
    return response.make_conditional(request)


@bare.get("/file")
def file():
    return send_file(__file__, mimetype="text/plain")


@bare.get("/path/<path:rest>")
def path(rest):
    names = ("SCRIPT_NAME", "PATH_INFO", "QUERY_STRING")
    return jsonify([rest, *(request.environ[name] for name in names)])


@websocket(bare, "/ws/echo")
def live(connection, event, data):
    if event == "message":
        connection.send(data)


wrapped = wrap(bare, router=Router())
