"""The project that `wagtail start` makes, as its wsgi.py has it."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings.dev")

application = get_wsgi_application()
