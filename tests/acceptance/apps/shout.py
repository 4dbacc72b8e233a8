"""One room in which whoever speaks is heard by all; every message has the number that the worker
gave it.
"""

from __future__ import annotations

import os
import threading
from itertools import count

from tina4_wsgi import App, Router

router = Router()
journal = os.open(os.environ["JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
numbers = count(1)
one_speaks = threading.Lock()  # where callbacks run in threads, several at once
last = {"number": 0}


@router.websocket("/ws/shout")
def shout(connection, event, data):
    if event == "open":
        connection.send(f"joined {os.getpid()} {last['number']}")
    if event == "message":
        with one_speaks:
            last["number"] = next(numbers)
            connection.broadcast(f"said {last['number']} {data}")
    if event == "close":
        os.write(journal, f"{os.getpid()} {connection.close_code}\n".encode())


@router.get("/")
def state(request, response):
    return {"pid": os.getpid(), "last": last["number"], "connections": app.count("/ws/shout")}


app = App(router=router)
