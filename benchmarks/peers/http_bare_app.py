"""The least that WSGI can do: no framework at all, so the ceiling of the HTTP comparison."""

import json


def app(environ, start_response):
    """Answer with JSON."""
    body = json.dumps({"hello": environ["PATH_INFO"].rpartition("/")[2]}).encode()
    start_response(
        "200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    )
    return [body]
