"""Misspelt settings of Django, Bottle and Falcon."""

from __future__ import annotations

import bottle
import falcon
from django.core.wsgi import get_wsgi_application

from tina4_wsgi.contrib import bottle as our_bottle
from tina4_wsgi.contrib import django as our_django
from tina4_wsgi.contrib import falcon as our_falcon

# mypy says call-arg: did you mean "max_connections"
# pyright says reportCallIssue: No parameter named "max_conections"
our_django.wrap(get_wsgi_application(), max_conections=100)

# mypy says arg-type: Argument "deflate" to "wrap" has incompatible type "str"; expected "bool | None"
# pyright says reportArgumentType: "Literal['on']" is not assignable to "bool"
our_bottle.wrap(bottle.default_app(), deflate="on")

# mypy says arg-type: Argument "on_slow" to "wrap" has incompatible type
# pyright says reportArgumentType: parameter "on_slow"
our_falcon.wrap(falcon.App(), on_slow="wait")
