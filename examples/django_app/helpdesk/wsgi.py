"""What gunicorn runs: the project with its WebSocket routes."""

import os

from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.wsgi import get_wsgi_application

from tina4_wsgi.contrib.django import wrap

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "helpdesk.settings")

# A site in production leaves static files to nginx; this one shall run by itself.
application = wrap(StaticFilesHandler(get_wsgi_application()))
