"""One publisher that is made first and then used in children of several kinds, and in the parent
again.

Arguments: how the children come to be. Each child publishes its messages; exit code 1 if one of
them fails.
"""

from __future__ import annotations

import sys

if "patched" in sys.argv[1]:
    from gevent import monkey

    monkey.patch_all()

import multiprocessing
import os
import threading
import warnings

from tina4_wsgi import Publisher

# Forks beside threads are what is tried here, and Python warns of each.
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)

PATH = "/ws/hall/a"
CHILDREN, MESSAGES = 3, 10

publisher = Publisher()


def say(child, given=None):
    with given or publisher as used:
        for number in range(MESSAGES):
            used.publish(PATH, f"{child}-{number}")


def forked(action):
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        action()
        code = 0
    finally:
        os._exit(code)


def wait(pids):
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    assert not any(codes), codes


def fork():
    wait([forked(lambda child=child: say(child)) for child in range(CHILDREN)])


def twice():
    wait(
        [
            forked(lambda child=child: wait([forked(lambda: say(child))]))
            for child in range(CHILDREN)
        ]
    )


def threads():
    def fork_from_thread(child):
        wait([forked(lambda: say(child))])

    running = [
        threading.Thread(target=fork_from_thread, args=(child,)) for child in range(CHILDREN)
    ]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


def closing():
    children = [forked(lambda child=child: say(child)) for child in range(CHILDREN)]
    wait([forked(publisher.close), *children])


def started(method, *more):
    context = multiprocessing.get_context(method)
    children = [context.Process(target=say, args=(child, *more)) for child in range(CHILDREN)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert not any(child.exitcode for child in children)


WAYS = {
    "fork": fork,
    "patched fork": fork,
    "twice": twice,
    "threads": threads,
    "closing": closing,
    "multiprocessing": lambda: started("fork"),
    "spawn": lambda: started("spawn", publisher),
    "forkserver": lambda: started("forkserver", publisher),
}

if __name__ == "__main__":
    publisher.publish(PATH, "before")
    WAYS[sys.argv[1]]()
    print(publisher.publish(PATH, "after").processes)
    publisher.close()
