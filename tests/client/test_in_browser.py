"""The browser client in a real Chromium, against servers that die, drain, refuse and come back."""

from __future__ import annotations

from collections.abc import Callable
from urllib.request import urlopen

import pytest

from tests.client.conftest import Place, Visit
from tests.examples.browser import eventually

pytestmark = pytest.mark.deadline(60)

Open = Callable[[str], Visit]

CLIENTS = 50
RESTARTS = 20
BASE_MS, CAP_MS = 1_000, 1_000

# Connections that talk all the time, also while there is nobody. What each sends is numbered, and
# so known again.
CROWD = """
const [count, baseMs, capMs] = arguments;
window.waits = [];
window.clients = Array.from({ length: count }, (_, own) => {
  let number = 0;
  const onState = (state, { retryAt }) => state === "waiting" && waits.push(retryAt - Date.now());
  const client = tina4.connect("ws/echo", { baseMs, capMs, onState });
  client.talk = setInterval(() => client.send(`${own} ${++number}`), 100);
  return client;
});
"""
ALL_OPEN = "clients.every(({ state }) => state === 'open')"
NONE_OPEN = "clients.every(({ state }) => state !== 'open')"

ONE = """
const [path, options] = arguments;
Object.assign(window, { states: [], heard: [], waits: [] });
window.client = (window.module ?? tina4).connect(path, {
  ...options,
  onState(state, { code, reason, retryAt }) {
    states.push(code ? `${state} ${code} ${reason}` : state);
    if (state === "waiting") waits.push(retryAt - Date.now());
  },
  onMessage: (data) => heard.push(data),
});
"""

# Tickets go into the query or among the subprotocols; a page that is logged out gets stale ones.
WITH_TICKETS = """
const [place, lifeS] = arguments;
Object.assign(window, { states: [], opened: 0, isLoggedOut: false });
const ticket = async () => (isLoggedOut ? "1" : await (await fetch(`ticket?for_s=${lifeS}`)).text());
const options = { token: { token: ticket }, protocols: { protocols: async () => ["v1", await ticket()] } }[place];
window.client = tina4.connect("ws/ticket", {
  ...options,
  baseMs: 100,
  onState: (state, { code }) => states.push(code ? `${state} ${code}` : state),
  onOpen: () => ++opened,
});
"""
OPEN = "client.state === 'open'"
WAITING = "client.state === 'waiting'"
REFUSED = "client.state === 'refused'"


@pytest.mark.deadline(180)
def test_twenty_kills_under_fifty_clients_lose_nobody_and_double_nothing(
    place: Place, visit: Open
) -> None:
    waits_ms = []

    with place.lives() as lives:
        with lives.one() as url:
            page = visit(url)
            page.run(CROWD, CLIENTS, BASE_MS, CAP_MS)
            page.wait_for(ALL_OPEN)
        for _ in range(RESTARTS):
            page.wait_for(NONE_OPEN)
            waits_ms.append(page.run("return waits.splice(0)")[:CLIENTS])
            with lives.one():
                page.wait_for(ALL_OPEN)
        page.wait_for(NONE_OPEN)
        with lives.one():
            page.wait_for(ALL_OPEN)
            page.run(
                "clients.forEach((client, own) => clearInterval(client.talk) || "
                "client.send(`${own} 999999`))"
            )
            eventually(
                lambda: sum(text.endswith(" 999999") for text in place.said) == CLIENTS,
                "the last ones",
            )

    for own in range(CLIENTS):
        numbers = [int(text.split()[1]) for text in place.said if text.startswith(f"{own} ")]
        assert numbers == sorted(set(numbers)), f"client {own}: doubled or out of order"
    assert min(len({wait // (BASE_MS / 10) for wait in waits}) for waits in waits_ms) >= 7, (
        "they come back spread out"
    )


def test_what_waits_for_the_server_arrives_once_and_in_order(place: Place, visit: Open) -> None:
    with place.serve() as server:
        page = visit(server.url)
        page.run(ONE, "ws/echo")
        page.wait_for(OPEN)
    page.wait_for(WAITING)
    page.run("for (const text of ['a', 'b', 'c']) client.send(text)")

    with place.serve():
        page.wait_for("heard.length === 3")

    assert place.said == ["a", "b", "c"]
    assert page.run("return heard") == ["a", "b", "c"]


def test_airplane_mode_is_noticed_and_so_is_its_end(place: Place, visit: Open) -> None:
    with place.serve() as server:
        page = visit(server.url)
        page.run(ONE, "ws/echo")
        page.wait_for(OPEN)

        page.go_offline(True)
        page.wait_for(WAITING)
        page.run("client.send('written in the air')")
        page.run(
            "Object.defineProperty(Math, 'random', { value: () => 0.99 })"
        )  # the longest waits
        page.wait_for("waits.length > 3")
        page.go_offline(False)

        page.wait_for("heard.includes('written in the air')")

    assert place.said == ["written in the air"]


def test_a_page_that_sleeps_through_a_restart_is_back_when_it_wakes(
    place: Place, visit: Open
) -> None:
    with place.serve() as server:
        page = visit(server.url)
        page.run(ONE, "ws/echo")
        page.wait_for(OPEN)
        page.protocol("Page.setWebLifecycleState", state="frozen")
        server.kill()

    with place.serve():
        page.protocol("Page.setWebLifecycleState", state="active")
        page.wait_for("states.filter((state) => state === 'open').length === 2")
        page.run("client.send('good morning')")

        page.wait_for("heard.length === 1")


def test_a_silent_connection_is_given_up_after_a_long_sleep(place: Place, visit: Open) -> None:
    with place.serve() as server:
        page = visit(server.url)
        page.run(ONE, "ws/echo")
        page.wait_for(OPEN)

        page.run("const now = Date.now; Date.now = () => now.call(Date) + 3_600_000")
        page.run("document.dispatchEvent(new Event('visibilitychange'))")

        page.wait_for("states.includes('waiting 1006 asleep')")
        page.wait_for(OPEN)


def test_a_page_that_one_leaves_gives_up_its_place_and_takes_it_again(
    place: Place, visit: Open
) -> None:
    with place.serve() as server:
        page = visit(server.url)
        page.run(ONE, "ws/count")
        page.wait_for(OPEN)

        page.driver.get(f"{server.url}/deep/down/below")
        eventually(lambda: place.said == ["open", "close"], "the server hears that it left")
        page.driver.back()
        if page.run("return typeof client") == "undefined":  # the browser did not keep the page
            page.run(ONE, "ws/count")

        eventually(lambda: place.said == ["open", "close", "open"], "it is back")


def test_a_log_out_that_the_server_notices_is_final(place: Place, visit: Open) -> None:
    with place.serve() as server:
        page = visit(server.url)
        page.run(ONE, "ws/users/ada")
        page.wait_for(OPEN)

        place.users.write_text("")
        page.run("client.send('ask again')")

        page.wait_for(REFUSED)
        assert page.run("return client.code") == 4401


def test_a_log_out_that_the_server_answers_401_is_final_until_the_page_logs_in(
    place: Place, visit: Open
) -> None:
    with place.serve() as server:
        page = visit(server.url)
        page.run("document.cookie = 'session=ada'")
        page.run(ONE, "ws/private")
        page.wait_for(OPEN)
        server.kill()
    page.run("document.cookie = 'session=; max-age=0'")

    with place.serve():
        page.wait_for(REFUSED)
        assert page.run("return states.at(-1)") == "refused 4401 HTTP 401"

        page.run("document.cookie = 'session=ada'; client.retry()")
        page.wait_for(OPEN)


@pytest.mark.parametrize("where", ["token", "protocols"])
def test_a_ticket_that_expires_is_changed_for_a_fresh_one_until_the_log_out(
    place: Place, visit: Open, where: str
) -> None:
    with place.serve() as server:
        page = visit(server.url)
        page.run(WITH_TICKETS, where, 1.5)

        page.wait_for("opened === 3")
        assert page.run("return states").count("waiting 4401") == 2

        page.run("isLoggedOut = true")
        page.wait_for(REFUSED)
        assert page.run("return states.at(-1)") == "refused 4401"


def test_a_ticket_among_the_subprotocols_survives_a_restart(place: Place, visit: Open) -> None:
    with place.serve() as server:
        page = visit(server.url)
        page.run(WITH_TICKETS, "protocols", 60)
        page.wait_for(OPEN)
    page.wait_for("states.includes('waiting 1006') || states.includes('waiting 1001')")

    with place.serve():
        page.wait_for("opened === 2")

        assert page.run("return client.protocol") == "v1"


def test_who_may_not_come_is_told_so_and_gives_up(place: Place, visit: Open) -> None:
    with place.serve() as server:
        page = visit(server.url)
        page.run("document.cookie = 'session=stranger'")

        page.run(ONE, "ws/private")

        page.wait_for(REFUSED)
        assert page.run("return states.at(-1)") == "refused 4403 HTTP 403"


def test_a_server_that_stops_says_so_and_is_waited_for(place: Place, visit: Open) -> None:
    with place.serve() as server:
        page = visit(server.url)
        page.run(ONE, "ws/echo")
        page.wait_for(OPEN)
        server.stop()

        page.wait_for("states[2]?.startsWith('waiting 1001')")

    with place.serve():
        page.wait_for(OPEN)


def test_a_server_that_drains_says_when_to_come_again(place: Place, visit: Open) -> None:
    with place.serve() as server:
        page = visit(server.url)
        page.run(ONE, "ws/drain", {"baseMs": 100})
        page.wait_for(OPEN)

        page.run("client.send('restart; retry in 1500 ms')")

        page.wait_for("states.length === 5 && client.state === 'open'")
        assert page.run("return states[2]") == "waiting 1012 restart; retry in 1500 ms"
        assert 1_400 < page.run("return waits[0]") <= 1_500


def test_the_module_is_the_same_client(place: Place, visit: Open) -> None:
    with place.serve() as server:
        page = visit(f"{server.url}/deep/down/below")

        page.run("import('/__tina4/tina4-ws.mjs').then((module) => (window.module = module))")
        page.wait_for("window.module")
        page.run(ONE, "ws/echo")
        page.wait_for(OPEN)
        page.run("client.close()")

        assert page.run("return client.state") == "closed"


@pytest.mark.parametrize("kind", ["script", "module"])
def test_an_app_under_a_prefix_is_found_from_any_of_its_pages(
    place: Place, visit: Open, kind: str
) -> None:
    with place.serve("visited:mounted") as server:
        page = visit(f"{server.url}/shop/deep/down/below")
        if kind == "module":
            page.run(
                "import('/shop/__tina4/tina4-ws.mjs').then((module) => (window.module = module))"
            )
            page.wait_for("window.module")

        page.run(ONE, "ws/echo")
        page.wait_for(OPEN)
        page.run("client.send('hello')")

        page.wait_for("heard[0] === 'hello'")


# -- a route that keeps history


def say(url: str, *texts: str) -> None:
    for text in texts:
        with urlopen(f"{url}/say", data=text.encode(), timeout=10) as answer:
            assert answer.read() == b"said"


def test_a_page_that_lost_its_line_sees_exactly_what_it_missed(place: Place, visit: Open) -> None:
    with place.serve() as server:
        page = visit(server.url)
        page.run(ONE, "ws/kept", {"baseMs": 100})
        page.wait_for(OPEN)
        say(server.url, "seen")
        page.wait_for("heard.length === 1")

        page.go_offline(True)
        page.wait_for(WAITING)
        say(server.url, "missed 1", "missed 2", "missed 3")
        page.go_offline(False)
        page.wait_for("heard.length === 4")
        say(server.url, "and on")
        page.wait_for("heard.includes('and on')")

    assert page.run("return heard") == ["seen", "missed 1", "missed 2", "missed 3", "and on"]
    assert place.said == ["None", "True"]


def test_what_is_said_while_nobody_serves_is_seen_once_behind_the_restart(
    place: Place, visit: Open
) -> None:
    with place.serve() as server:
        page = visit(server.url)
        page.run(ONE, "ws/kept", {"baseMs": 100})
        page.wait_for(OPEN)
        say(server.url, "seen")
        page.wait_for("heard.length === 1")
        server.kill()
    page.wait_for(WAITING)
    for number in (1, 2):
        place.publish("/ws/kept", f"in the night {number}")

    with place.serve() as server:
        page.wait_for("heard.length === 3")
        say(server.url, "and on")
        page.wait_for("heard.includes('and on')")

    assert page.run("return heard") == ["seen", "in the night 1", "in the night 2", "and on"]
    assert place.said == ["None", "True"]


def test_a_page_and_its_reload_see_what_was_said_since_they_were_rendered(
    place: Place, visit: Open
) -> None:
    listen = ONE.replace("...options,", "...options, since: window.since,")

    with place.serve() as server:
        page = visit(f"{server.url}/rendered?number=1")
        page.run(listen, "ws/kept")
        page.wait_for("heard.length === 1")
        page.driver.get(f"{server.url}/rendered?number=2")
        say(server.url, "between")
        page.run(listen, "ws/kept")
        page.wait_for("heard.length === 2")
        say(server.url, "and on")
        page.wait_for("heard.length === 3")

    assert page.run("return heard") == ["said behind 2", "between", "and on"]
    assert place.said == ["True", "True"]
