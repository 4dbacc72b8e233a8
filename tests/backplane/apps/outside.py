"""A publisher as a task queue's worker or a cron job is one: there is no gevent, and the app is not
imported.

`outside.py COUNT CLIENTS` publishes so many messages, slower as long as fewer clients are there,
and prints, as JSON, to how many processes and clients each went as it was told.
"""

from __future__ import annotations

import json
import sys
import time

for name in ("gevent", "greenlet", "geventwebsocket"):
    sys.modules[name] = None  # importing it raises ImportError from now on

import tina4_wsgi  # noqa: E402

taken = []
if sys.argv[1] == "1":
    taken.append(list(tina4_wsgi.publish("/ws/hall/a", "number 0")))
else:
    with tina4_wsgi.Publisher() as publisher:
        for number in range(int(sys.argv[1])):
            try:
                taken.append(list(publisher.publish("/ws/hall/a", f"number {number}")))
            except tina4_wsgi.BackplaneError:  # all workers are being replaced
                taken.append([0, 0])
            if taken[-1][1] < int(sys.argv[2]):
                time.sleep(0.002)  # or all would be said before everybody is there to hear it
print(json.dumps(taken))
