"""The thermometers as a WSGI application: `gunicorn wsgi:app`, or `tina4-wsgi serve`."""

import os

from thermometers import make

from tina4_wsgi.contrib.falcon import wrap

app = wrap(make(os.environ.get("THERMOMETERS_DATABASE", "thermometers.sqlite")))
