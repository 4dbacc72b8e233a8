"""Authentication: a token in the query, checked in "open".

A browser can't add headers to a WebSocket, so the token travels in the address: /ws/private?token=…
Addresses end up in access logs, so give out tokens that live for a minute and work once.
Close codes from 4000 to 4999 are the application's own; 4401 says what 401 says in HTTP.

A connection is on its path before "open" has looked at the token, so don't broadcast secrets there.
To keep strangers out altogether, refuse them before the upgrade: `Router.websocket(path, callback,
auth=…)`.
"""

import json

from tina4_wsgi import Router

# In a real application: a look-up in the session store, or the signature of a signed token.
TOKENS = {"ada-7148": "Ada", "grace-7148": "Grace"}


@Router.websocket("/ws/private")
def private(connection, event, data):
    if event == "open":
        user = TOKENS.get(connection.query.get("token", ""))
        if user is None:
            connection.close(4401, "a valid token is needed")
            return
        connection.state["user"] = user
        connection.send(
            json.dumps(
                {
                    "type": "system",
                    "message": f"Welcome, {user}",
                }
            )
        )

    if event == "message" and "user" in connection.state:
        message = json.loads(data)
        connection.send(
            json.dumps(
                {
                    "type": "message",
                    "from": connection.state["user"],
                    "text": message.get("text") or "",
                }
            )
        )
