"""The thermometers of examples/falcon_app: what `test_live_examples.py` doesn't ask of all."""

from __future__ import annotations

from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import quote

import pytest

from tests.examples.browser import eventually
from tests.support.live_examples import FALCON, LivePage, unique
from tests.support.servers import Server

pytestmark = pytest.mark.deadline(60)

EXAMPLE = FALCON


def test_each_reading_of_a_place_takes_the_place_of_the_one_before(open_page):
    ada, bob = open_page(), open_page()
    place = unique("Cellar")

    for celsius in ("12.5", "11.8"):
        ada.measure(place, celsius)
        eventually(
            lambda celsius=celsius: reading(bob, place) == f"{celsius} °C", "Bob sees the value"
        )

    assert bob.shown().count(place) == 1


def reading(page: LivePage, place: str) -> str:
    script = (
        "return [...document.querySelectorAll('#values div')]"
        ".find((one) => one.querySelector('dt').textContent === "
        "arguments[0])?.querySelector('.celsius').textContent"
    )
    return str(page.front().execute_script(script, place))


def test_a_device_puts_by_the_api_and_a_bad_value_is_told(open_page, server_of_example):
    page = open_page()
    place = unique("Shed")
    cookie = "; ".join(f"{one['name']}={one['value']}" for one in page.front().get_cookies())
    bodies = ('{"celsius": 4.5}', '{"celsius": "hot"}', "[]", "no")

    statuses = [put(server_of_example, place, body, cookie) for body in bodies]

    assert statuses == [204, 422, 422, 400]
    assert put(server_of_example, place, '{"celsius": 5}', "") == 401
    eventually(lambda: reading(page, place) == "4.5 °C", "the page shows the good one")


def put(server: Server, place: str, body: str, cookie: str) -> int:
    with closing(HTTPConnection(*server.address, timeout=10)) as asker:
        fields = {"Content-Type": "application/json", "Cookie": cookie}
        asker.request("PUT", f"/readings/{quote(place)}", body, fields)
        return asker.getresponse().status
