"""Publishes from outside of any server: "room text" in, "said" or "refused" and a reason out."""

from __future__ import annotations

import sys

from tina4_wsgi import BackplaneError, Publisher

with Publisher() as publisher:
    for line in sys.stdin:
        room, text = line.split()
        try:
            publisher.publish(f"/ws/room/{room}", text)
        except BackplaneError as exc:
            print("refused", str(exc).replace("\n", " "), flush=True)
        else:
            print("said", flush=True)
