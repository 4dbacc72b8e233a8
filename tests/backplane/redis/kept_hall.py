"""Clients and pages on a path that keeps history in Redis, on several machines."""

from __future__ import annotations

import itertools

from tests.backplane.conftest import ask, settle, spread
from tests.support.crowd import Crowd
from tests.support.pages import Page

BACK_S = 20.0
_tags = itertools.count()


class Hall:
    """Everybody on one path."""

    def __init__(self, machines, name=None):
        self.machines = machines
        self.name = name or f"hall{next(_tags)}"
        self.path = f"/ws/kept/{self.name}"
        self.crowd = Crowd(machines[0].address)
        self.pages = []
        self.plain = []
        self._machines = itertools.cycle(machines)

    def __enter__(self):
        self.crowd.__enter__()
        return self

    def __exit__(self, *raised):
        self.crowd.__exit__(*raised)

    def settle(self, crowd, path):
        return settle(crowd, next(self._machines), path)

    def page(self, query=""):
        """Let a page in, and wait until it knows where it is."""
        page = Page(self.crowd, self.path, self.settle)
        self.pages.append(page)
        self.come(page)
        return page

    def come(self, page):
        page.come()
        self.wait(lambda: page.is_settled, "a page's place")

    def workers(self):
        """Let one plain client in for each of the four workers, and one page each or more."""
        for machine in self.machines:
            found = {}
            while len(found) < 2:
                (member,) = spread(self.crowd, machine, self.path, 1)
                found.setdefault(member.name, member)
            self.plain += found.values()
        for _ in range(4):
            self.page()

    def wait(self, is_done, what, timeout_s=BACK_S):
        self.crowd.listen_until(is_done, what, timeout_s)

    def heard(self):
        """What each has heard that is kept."""
        for page in self.pages:
            page.read()
        return [one.texts for one in self.plain] + [page.heard for page in self.pages]

    def wait_for_all(self, count, timeout_s=BACK_S):
        """Wait until everybody has heard so much, and give it of the first."""
        self.wait(lambda: all(len(one) >= count for one in self.heard()), "everything", timeout_s)
        return self.heard()[0]

    def past(self, machine=0):
        return ask(self.machines[machine], f"/past/{self.name}")

    def is_well(self):
        """Say in rounds, until something is kept again; give what was said."""
        for number in range(1_000):
            self.plain[0].send_text(f"say round {number}")
            try:
                self.wait(lambda number=number: f"round {number}" in self.past(), "a round", 0.5)
            except AssertionError:
                continue
            return


def texts(prefix, count):
    """Make texts with numbers."""
    return [f"{prefix} {number}" for number in range(count)]


def settings(broker):
    """Make the settings of a publisher."""
    return {"backplane": "redis", "backplane_url": broker.url}
