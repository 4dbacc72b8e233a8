"""What is tried of each subject: one function for each column of the table.

A check that returns has seen what its column promises; what it didn't see is an AssertionError or
an OSError.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from tests.support.raw import PING, PONG, RawClient
from tests.support.workers import one_on_each

from .browser import Answer, differences
from .running import Running
from .subject import ADA, BOB, DATE, WORKER_COUNT

FOREIGN = ("Origin", "http://elsewhere.example")
SHOWN_DIFFERENCES = 5
LOGGED_OUT = 4401


def dialogue(site: Running) -> list[Answer]:
    """Send what is compared, and return all answers; beside the log is a list of them."""
    browser = site.browser()
    site.subject.dialogue(browser)
    told = "".join(f"{answer.status} {answer.asked}\n" for answer in browser.answers)
    site.server.log_path.with_suffix(".answers").write_text(told)
    return browser.answers


def same_http(before: Sequence[Answer], site: Running) -> None:
    """Every byte of HTTP is the same, apart from dates and secrets that are named."""
    found = differences(before, dialogue(site), {**DATE, **site.subject.volatile})
    assert not found, f"{len(found)} of {len(before)} answers differ:\n" + "\n".join(
        found[:SHOWN_DIFFERENCES]
    )


def refused_without_login(site: Running) -> None:
    """A stranger is answered 401 or 403 before the upgrade, a user 101."""
    stranger = site.status(site.browser().credentials, ADA)
    assert stranger in (401, 403), f"a stranger was answered {stranger}"
    user = site.status(site.browser(ADA).credentials, ADA)
    assert user == 101, f"a user was answered {user}"


def foreign_origin(site: Running) -> None:
    """A page of another site is answered 403, with the cookies of a user."""
    status = site.status([*site.browser(ADA).credentials, FOREIGN], ADA)
    assert status == 403, f"a page from elsewhere was answered {status}"


def push(site: Running) -> None:
    """What a view of the application changed reaches WebSockets in both workers."""
    browser = site.browser(ADA)
    with contextlib.ExitStack() as opened:
        clients = one_on_each(
            WORKER_COUNT, lambda: site.open(browser, ADA), opened, site.pid_of
        ).values()
        site.subject.change(browser)
        heard = [client.read_text() for client in clients]
    assert all(site.subject.pushed in text for text in heard), heard


def closed_at_logout(site: Running) -> None:
    """A log-out closes the user's WebSockets in both workers with 4401, and nobody else's."""
    ada, bob = site.browser(ADA), site.browser(BOB)
    with contextlib.ExitStack() as opened:
        hers = one_on_each(WORKER_COUNT, lambda: site.open(ada, ADA), opened, site.pid_of).values()
        his = opened.enter_context(site.open(bob, BOB))
        site.subject.leave(ada, site.site, ADA)
        codes = [client.read_close() for client in hers]
        assert codes == [LOGGED_OUT] * WORKER_COUNT, codes
        _expect_open(his)


def _expect_open(client: RawClient) -> None:
    client.send_frame(PING, b"still there")
    frame = client.read_frame()
    assert frame.opcode == PONG, f"the WebSocket of another user: {frame!r}"


HTTP = "HTTP"
ON_WRAPPED: dict[str, Callable[[Running], None]] = {
    "login": refused_without_login,
    "origin": foreign_origin,
    "push": push,
    "log-out": closed_at_logout,
}
COLUMNS = (HTTP, *ON_WRAPPED)
