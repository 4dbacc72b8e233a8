"""The desk as a WSGI application: `gunicorn -k gevent wsgi:app`, or `tina4-wsgi serve`."""

from gevent import monkey

# First, for `gunicorn -k gevent --preload`: Pyramid keeps its current request by thread, or
# greenlet. A server with threads doesn't need it.
monkey.patch_all()

import os  # noqa: E402

from desk import main  # noqa: E402

from tina4_wsgi.contrib.pyramid import wrap  # noqa: E402

app = wrap(
    main({}, **{"sqlalchemy.url": os.environ.get("DESK_DATABASE", "sqlite:///desk.sqlite")}),
    reauth_every=5,
)
