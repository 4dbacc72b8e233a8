"""The board as a WSGI application: `gunicorn wsgi:app`, `flask run`, or `tina4-wsgi serve`."""

from board import create_app

from tina4_wsgi.contrib.flask import Live

app = create_app()
live = Live(app, reauth_every=5)
