"""The project bare, as any server runs it, and with its WebSocket routes."""

import os

from django.core.wsgi import get_wsgi_application

from tina4_wsgi.contrib.django import wrap

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
bare = get_wsgi_application()
application = wrap(bare)
