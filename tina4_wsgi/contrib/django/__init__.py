"""WebSocket routes in a Django project, under its sessions, users, middleware and origin policy.

In wsgi.py:

    application = wrap(get_wsgi_application())

In `websockets.py` of an app of the project:

    @Router.websocket("/ws/board/{board:int}", auth=login_required, reauth_every=30)
    def board(connection, event, data):
        if event == "open":
            connection.send_json({"hello": request().user.username})

`manage.py tina4serve` is there with "tina4_wsgi.contrib.django" in INSTALLED_APPS.
"""

from __future__ import annotations

from .auth import login_required, permission_required, user_passes_test
from .bridge import DjangoBridge, wrap
from .handshake import HandshakeRequest, request

__all__ = [
    "DjangoBridge",
    "HandshakeRequest",
    "login_required",
    "permission_required",
    "request",
    "user_passes_test",
    "wrap",
]
