"""Serves the site of visited.py in one life after the other: a port on standard input begins one,
SIGKILL ends it.

Each is a fork of this process, which has loaded everything and listens nowhere: on a busy machine,
twenty starts of Python would take longer than all that the test is about.
"""

import os
import sys

import visited
from gevent.monkey import get_original
from gevent.os import fork_gevent

from tina4_wsgi.server.server import Server


def live(port):
    server = Server(visited.app, port=port)
    server.start()
    tell(os.getpid(), server.port)
    server.serve_forever()


def tell(*words):
    os.write(sys.stdout.fileno(), (" ".join(map(str, words)) + "\n").encode())


for line in sys.stdin:
    pid = fork_gevent()
    if pid == 0:
        live(int(line))
    get_original("os", "waitpid")(pid, 0)
    tell("it is dead")
