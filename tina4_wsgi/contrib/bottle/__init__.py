"""WebSocket routes beside a Bottle app: each event runs between its hooks, with `bottle.request`.

    app = wrap(bottle.default_app())            # for any server
    bottle.run(server="tina4")                  # or our own, by Bottle's name for it

An event goes the way of a request: `before_request` runs ahead of it and `after_request` behind it,
however it ended, so what these open and close (a database session) is fresh for each event; plugins
and error handlers apply. A hook, a plugin or a callback that raises 401 or 403
(`bottle.abort(401)`) refuses: before the 101 with that status, afterwards with 4401 or 4403.
"""

from __future__ import annotations

from .bridge import wrap

__all__ = ["wrap"]

try:
    from .server import Tina4Server
except ModuleNotFoundError as exc:
    # Bottle may not be installed: an app may have brought a copy of it.
    if exc.name != "bottle":
        raise
else:
    __all__ += ["Tina4Server"]
