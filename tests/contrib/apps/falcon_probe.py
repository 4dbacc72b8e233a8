"""A Falcon app for the matrix of requests in tests/support/same_answers.py, `bare` and
`wrapped`.
"""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import falcon

from tina4_wsgi import Router
from tina4_wsgi.contrib.falcon import wrap

FILE = Path(__file__)


class Text:
    """Fields twice."""

    def on_get(self, req, resp):
        resp.content_type = "text/plain"
        resp.append_header("X-Probe", "1")
        resp.append_header("X-Probe", "2")
        resp.text = "text\n"

    on_head = on_get


class Echo:
    """What came."""

    def on_get(self, req, resp):
        body = (
            req.bounded_stream.read()
            if not req.env.get("wsgi.input_terminated")
            else req.stream.read()
        )
        resp.media = {
            "method": req.method,
            "query": req.params,
            "type": req.content_type,
            "body": body.decode("latin-1"),
        }

    on_post = on_put = on_patch = on_delete = on_get


class Form:
    """Fields and files."""

    def on_post(self, req, resp):
        if req.content_type.startswith("multipart/"):
            resp.media = [
                [part.name, part.filename, part.content_type, part.data.hex()]
                for part in req.get_media()
            ]
        else:
            resp.media = req.get_media()


class Stream:
    """Several parts."""

    def on_get(self, req, resp):
        resp.stream = (f"{req.path} {number}\n".encode() for number in range(5))

    on_head = on_get

    def on_get_fails(self, req, resp):
        def parts():
            yield b"first\n"
            raise RuntimeError("on purpose")

        resp.stream = parts()


class Others:
    """The rest, each by its suffix."""

    def on_get_large(self, req, resp):
        resp.text = "0123456789" * 30_000

    def on_get_empty(self, req, resp):
        resp.status = 204

    def on_get_redirect(self, req, resp):
        raise falcon.HTTPFound("/text")

    def on_get_cookies(self, req, resp):
        resp.set_cookie("new", "a-b", max_age=60, path="/cookies", same_site="Lax")
        resp.unset_cookie("old")
        resp.media = req.cookies

    def on_get_error(self, req, resp):
        raise RuntimeError("on purpose")

    on_head_error = on_get_error

    def on_get_refused(self, req, resp):
        raise falcon.HTTPForbidden(title="on purpose")

    def on_get_cached(self, req, resp):
        resp.etag = "probe"
        resp.last_modified = modified = datetime(2024, 1, 1, tzinfo=timezone.utc)
        same = req.if_none_match is not None and "probe" in req.if_none_match
        if same or (req.if_modified_since is not None and req.if_modified_since >= modified):
            resp.status = 304
        else:
            resp.text = "cached\n"

    on_head_cached = on_get_cached

    def on_get_path(self, req, resp, rest):
        resp.media = [
            rest,
            *(req.env[name] for name in ("SCRIPT_NAME", "PATH_INFO", "QUERY_STRING")),
        ]


class Echoing:
    """The WebSocket."""

    def on_websocket(self, req, connection, event, data):
        if event == "message":
            connection.send(data)


class Files:
    """`/file`, as a static route serves it."""

    def process_request(self, req, resp):
        if req.path == "/file":
            req.path = f"/files/{FILE.name}"


bare = falcon.App(middleware=[Files()], cors_enable=True)
bare.add_route("/text", Text())
bare.add_route("/echo", Echo())
bare.add_route("/form", Form())
bare.add_route("/stream", Stream())
bare.add_route("/stream-fails", Stream(), suffix="fails")
for name in ("large", "empty", "redirect", "cookies", "error", "refused", "cached"):
    bare.add_route(f"/{name}", Others(), suffix=name)
bare.add_route("/path/{rest:path}", Others(), suffix="path")
bare.add_route("/ws/echo", Echoing())
bare.add_static_route("/files", FILE.parent)

wrapped = wrap(bare, router=Router())
