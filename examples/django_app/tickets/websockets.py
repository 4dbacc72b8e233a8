"""The WebSocket routes of this app; Django's users decide who may connect.

The board keeps its latest tickets: a page that comes back gets those that it missed.
"""

import json
from collections import Counter

from tickets.live import BOARD
from tina4_wsgi import Router
from tina4_wsgi.contrib.django import login_required

present = Counter()


@Router.websocket(BOARD, auth=login_required, reauth_every=2, history=1_000)
def board(connection, event, data):
    """Tell everybody on the board who else is there."""
    if event == "message":
        return  # the page uses forms instead

    name = connection.auth.get_username()
    present[name] += 1 if event == "open" else -1
    connection.broadcast(
        json.dumps({"present": sorted(name for name, count in present.items() if count)}),
        keep=False,
    )
