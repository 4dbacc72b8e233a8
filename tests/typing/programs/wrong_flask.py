"""A Flask app with misspelt settings, and an `async def`."""

from __future__ import annotations

import flask

from tina4_wsgi import Connection
from tina4_wsgi.contrib.flask import websocket, wrap

flask_app = flask.Flask(__name__)


# mypy says call-arg: Unexpected keyword argument "reauth_evry" for "websocket"; did you mean "reauth_every"
# pyright says reportCallIssue: No parameter named "reauth_evry"
@websocket(flask_app, "/ws/a", reauth_evry=30)
def board(connection: Connection, event: str, data: str | bytes) -> None: ...


# mypy says type-var: Coroutine[Any, Any, None]
# pyright says reportArgumentType: return type "CoroutineType[Any, Any, None]" is incompatible
@websocket(flask_app, "/ws/b")
async def waits(connection: Connection, event: str, data: str | bytes) -> None: ...


# mypy says call-arg: Unexpected keyword argument "bridge" for "wrap"
# pyright says reportCallIssue: No parameter named "bridge"
wrap(flask_app, bridge=None)
