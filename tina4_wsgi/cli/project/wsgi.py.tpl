"""What servers import: `tina4-wsgi serve`, or `gunicorn -k gevent wsgi:app`."""

from gevent import monkey

monkey.patch_all()  # before any other import, so that waiting holds up nobody else

from application import app  # noqa: E402, F401
