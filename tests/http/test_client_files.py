"""The browser client, as the app serves it: where, how, and when not."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from werkzeug.test import EnvironBuilder, run_wsgi_app

from tina4_wsgi import App, Router

STATIC = Path(__file__).resolve().parents[2] / "tina4_wsgi" / "browser"
ADDRESS = "/__tina4/tina4-ws.js"
MOST_GZIPPED_BYTES = 4_608


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("tina4-ws.js", "text/javascript; charset=utf-8"),
        ("tina4-ws.mjs", "text/javascript; charset=utf-8"),
        ("tina4-ws.d.ts", "text/plain; charset=utf-8"),
    ],
)
def test_each_file_is_served_as_what_it_is(site, name, kind):
    answer = site.ask(f"/__tina4/{name}")

    assert (answer.status_code, answer.content_type) == (200, kind)
    assert answer.data == (STATIC / name).read_bytes()


def test_the_client_is_under_four_and_a_half_kibibytes_on_the_wire():
    assert len(gzip.compress((STATIC / "tina4-ws.js").read_bytes())) < MOST_GZIPPED_BYTES


def test_a_browser_that_has_it_is_told_that_nothing_changed(site):
    first = site.ask(ADDRESS)

    again = site.ask(ADDRESS, headers={"If-None-Match": first.headers["ETag"]})

    assert first.headers["Cache-Control"] == "no-cache"
    assert (again.status_code, again.data) == (304, b"")


def test_a_part_is_answered_with_the_whole(site):
    answer = site.ask(ADDRESS, headers={"Range": "bytes=999999-"})

    assert (answer.status_code, len(answer.data)) == (200, (STATIC / "tina4-ws.js").stat().st_size)


def test_a_page_of_another_origin_may_import_it(site):
    assert site.ask("/__tina4/tina4-ws.mjs").headers["Access-Control-Allow-Origin"] == "*"


def test_a_route_that_takes_every_path_does_not_hide_it(site):
    site.router.get("/{anything:path}", lambda request, response: "the one page")

    assert site.ask(ADDRESS).text.startswith("// tina4.connect")
    assert site.ask("/__tina4/other").text == "the one page"


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/__tina4/", "GET"),
        ("/__tina4", "GET"),
        ("/__tina4/x.js", "GET"),
        ("/__tina4/../app.py", "GET"),
        ("/__tina4//tina4-ws.js", "GET"),
        ("/__tina4/tina4-ws.js/", "GET"),
        (ADDRESS, "POST"),
    ],
)
def test_all_else_below_the_folder_is_the_legacy_app_s(site, path, method):
    site.fallback = legacy

    answer = site.ask("/", method=method, environ_overrides={"PATH_INFO": path})

    assert answer.text == f"legacy {path}"


def test_switched_off_it_leaves_the_address_to_the_app(site):
    site.settings["browser_client"] = False
    site.fallback = legacy

    assert site.ask(ADDRESS).text == f"legacy {ADDRESS}"


def test_it_is_there_below_a_prefix_and_without_discovery(tmp_path):
    app = App(legacy, router=Router(), root=tmp_path)
    environ = EnvironBuilder(ADDRESS, base_url="http://localhost/shop").get_environ()

    body, status, _ = run_wsgi_app(app, environ, buffered=True)

    assert environ["SCRIPT_NAME"] == "/shop"
    assert status == "200 OK"
    assert b"".join(body) == (STATIC / "tina4-ws.js").read_bytes()


def legacy(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [
        b"" if environ["REQUEST_METHOD"] == "HEAD" else f"legacy {environ['PATH_INFO']}".encode()
    ]
