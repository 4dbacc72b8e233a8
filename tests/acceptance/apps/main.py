"""The application that most acceptance tests talk to. It patches nothing: that is the server's
part.
"""

from __future__ import annotations

import ends
import features
import neighbours
import probe
import rooms
import sources

from tina4_wsgi import App, Router

router = Router()
for module in (ends, features, neighbours, rooms, sources):
    router.include(module.router)
app = App(router=router)
probe.install(router, lambda: app)
