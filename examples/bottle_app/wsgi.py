"""The poll as a WSGI application: `gunicorn -k gevent wsgi:app`; by itself: `python wsgi.py`."""

from gevent import monkey

# First, for `python wsgi.py` and `gunicorn -k gevent --preload`: Bottle keeps its current request
# by thread, or greenlet. A server with threads doesn't need it.
monkey.patch_all()

import bottle  # noqa: E402
import poll  # noqa: F401, E402  # its routes

from tina4_wsgi.contrib.bottle import wrap  # noqa: E402

app = wrap(bottle.default_app(), reauth_every=5)

if __name__ == "__main__":
    bottle.run(app, server="tina4", port=7148)
