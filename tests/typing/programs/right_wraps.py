"""Django, Bottle and Falcon with settings of ours."""

from __future__ import annotations

import bottle
import falcon
from django.core.wsgi import get_wsgi_application

from tina4_wsgi import Router
from tina4_wsgi.contrib import bottle as our_bottle
from tina4_wsgi.contrib import django as our_django
from tina4_wsgi.contrib import falcon as our_falcon

our_django.wrap(get_wsgi_application(), router=Router(), root=".", max_connections=100).drain()
our_bottle.wrap(bottle.default_app(), hooks_per_event=False, router=Router(), deflate=True).drain()
our_falcon.wrap(falcon.App(), middleware_per_event=False, live=False, on_slow="close").drain()
