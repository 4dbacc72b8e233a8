"""A Flask app with a WebSocket."""

from __future__ import annotations

import flask

from tina4_wsgi import Connection, Router
from tina4_wsgi.contrib.flask import login_required, websocket, wrap

flask_app = flask.Flask(__name__)
boards = flask.Blueprint("boards", __name__)


@websocket(flask_app, "/ws/a", auth=login_required, reauth_every=30, on_error="close")
@websocket(boards, "/ws/b", endpoint="b")
def board(connection: Connection, event: str, data: str | bytes) -> None:
    connection.broadcast(data)


app = wrap(
    flask_app,
    run_before_request=True,
    router=Router(),
    root=".",
    live=False,
    max_message_bytes=4_096,
)
app.drain(1)
