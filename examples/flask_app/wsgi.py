"""The board as a WSGI application: `gunicorn -k gevent wsgi:app`, or `tina4-wsgi serve`."""

from board import create_app

from tina4_wsgi.contrib.flask import wrap

app = wrap(create_app(), reauth_every=5)
