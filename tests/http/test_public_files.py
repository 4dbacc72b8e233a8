"""Public files: what is given out, how, and what never is."""

from __future__ import annotations

import os
from urllib.parse import quote

import pytest
from werkzeug.test import EnvironBuilder

from tina4_wsgi.http.public_files import PublicFiles


@pytest.fixture
def public(site):
    """The site, with a few files in its public folder and secrets around it."""
    site.write("src/public/app.css", "body {}")
    site.write("src/public/docs/index.html", "<h1>Docs</h1>")
    site.write("src/public/docs/a b é.txt", "named")
    site.write("src/public/empty/deep/x.txt", "x")
    site.write("src/public/.env", "secret")
    site.write("src/public/.git/config", "secret")
    site.write("src/public/docs/.hidden.css", "secret")
    site.write("src/secret.txt", "secret")
    site.write("secret.txt", "secret")
    return site


def ask_raw(site, path: str, **options):
    """Ask for a path as the server would hand it over: decoded, and not tidied up by a client."""
    return site.ask(
        "/", environ_overrides={"PATH_INFO": path.encode().decode("latin-1")}, **options
    )


def test_a_file_is_given_with_its_type_and_validators(public):
    answer = public.ask("/app.css")

    assert (answer.status_code, answer.text, answer.content_type) == (
        200,
        "body {}",
        "text/css; charset=utf-8",
    )
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["Content-Length"] == "7"
    assert {"ETag", "Last-Modified"} <= set(answer.headers.keys())


def test_a_name_with_blanks_and_accents_is_found(public):
    assert public.ask("/docs/" + quote("a b é.txt")).text == "named"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.html", "text/html; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.mjs", "text/javascript; charset=utf-8"),
        ("a.json", "application/json"),
        ("a.map", "application/json"),
        ("a.svg", "image/svg+xml; charset=utf-8"),
        ("a.png", "image/png"),
        ("a.webp", "image/webp"),
        ("a.avif", "image/avif"),
        ("a.ico", "image/vnd.microsoft.icon"),
        ("a.woff2", "font/woff2"),
        ("a.wasm", "application/wasm"),
        ("a.webmanifest", "application/manifest+json"),
        ("a.mp4", "video/mp4"),
        ("a.tar.gz", "application/gzip"),
        ("a.css.gz", "application/gzip"),
        ("a.br", "application/octet-stream"),
        ("a.unheard-of", "application/octet-stream"),
        ("LICENSE", "application/octet-stream"),
        ("data:a.js", "text/javascript; charset=utf-8"),
    ],
)
def test_the_type_goes_by_the_name(site, name, expected):
    site.write(f"src/public/{name}", "x")

    answer = ask_raw(site, f"/{name}")

    assert answer.content_type == expected
    assert "Content-Encoding" not in answer.headers


def test_an_unchanged_file_is_not_sent_again(public):
    first = public.ask("/app.css")

    by_etag = public.ask("/app.css", headers={"If-None-Match": first.headers["ETag"]})
    by_date = public.ask("/app.css", headers={"If-Modified-Since": first.headers["Last-Modified"]})

    assert (by_etag.status_code, by_etag.data) == (304, b"")
    assert (by_date.status_code, by_date.data) == (304, b"")


def test_a_part_of_a_file_may_be_asked_for(public):
    answer = public.ask("/app.css", headers={"Range": "bytes=5-6"})

    assert (answer.status_code, answer.text) == (206, "{}")


def test_a_range_behind_the_end_is_answered_416(public):
    answer = public.ask("/app.css", headers={"Range": "bytes=100-"})

    assert (answer.status_code, answer.headers["Content-Range"]) == (416, "bytes */7")


def test_head_has_no_body(public):
    answer = public.ask("/app.css", method="HEAD")

    assert (answer.status_code, answer.data, answer.headers["Content-Length"]) == (200, b"", "7")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_find_no_file(public, method):
    assert public.ask("/app.css", method=method).status_code == 404


def test_a_folder_shows_its_index(public):
    public.write("src/public/index.html", "<h1>Home</h1>")

    assert public.ask("/docs/").text == "<h1>Docs</h1>"
    assert public.ask("/").text == "<h1>Home</h1>"


def test_a_folder_without_final_slash_is_sent_to_the_address_with_it(public):
    public.write("src/public/ü b/index.html")

    plain = public.ask("/docs?x=1")
    named = ask_raw(public, "/ü b")
    mounted = public.ask("/docs", environ_overrides={"SCRIPT_NAME": "/app"})

    assert (plain.status_code, plain.headers["Location"]) == (307, "/docs/?x=1")
    assert named.headers["Location"] == "/%C3%BC%20b/"
    assert mounted.headers["Location"] == "/app/docs/"


@pytest.mark.parametrize(
    "path", ["/empty", "/empty/", "/", "/none.css", "/app.css/", "/app.css/x", "/docs/a.html/"]
)
def test_what_is_not_there_is_a_404(public, path):
    assert public.ask(path).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/../../secret.txt",
        "/docs/../../secret.txt",
        "/docs/../app.css",
        "/./app.css",
        "/docs/./",
        "/..\\secret.txt",
        "/docs\\..\\..\\secret.txt",
        "//app.css",
        "/docs//a b é.txt",
        "/docs//",
        "//etc/hostname",
        "/.env",
        "/.git/config",
        "/.git/",
        "/docs/.hidden.css",
        "/docs/..",
        "/...",
        "/..;/secret.txt",
        "/app.css\x00",
        "/app.css\x00.txt",
        "/app\n.css",
        "/\x7f",
        "/" + "a" * 5000,
        "/" + "a/" * 3000,
        "/%2e%2e/secret.txt",
        "/docs/%2e%2e/%2e%2e/secret.txt",
        "/~root",
        "/C:/secret.txt",
    ],
)
def test_no_spelling_leads_out_of_the_folder_or_to_a_hidden_file(public, path):
    answer = ask_raw(public, path)

    assert answer.status_code == 404
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/%2e%2e/secret.txt",
        "/docs/%2e%2e%2f%2e%2e%2fsecret.txt",
        "/%2eenv",
        "/..%5csecret.txt",
    ],
)
def test_encoding_makes_no_difference(public, path):
    assert public.ask(path).status_code == 404


def test_a_link_inside_the_folder_is_followed(public):
    (public.root / "src/public/latest.css").symlink_to("app.css")

    assert public.ask("/latest.css").text == "body {}"


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("out.txt", "../../secret.txt"),
        ("out", "../.."),
        ("hidden.txt", ".env"),
        ("passwd", "/etc/passwd"),
    ],
)
def test_a_link_that_leads_elsewhere_is_not_followed(public, link, target):
    (public.root / "src/public" / link).symlink_to(target)

    assert public.ask(f"/{link}").status_code == 404
    assert public.ask(f"/{link}/secret.txt").status_code == 404


def test_an_index_that_is_a_link_to_elsewhere_is_not_shown(public):
    (public.root / "src/public/empty/index.html").symlink_to("../../../secret.txt")

    assert public.ask("/empty/").status_code == 404
    assert public.ask("/empty").status_code == 404


def test_a_neighbour_whose_name_begins_alike_is_not_inside(public):
    public.write("src/public-drafts/a.txt", "secret")
    (public.root / "src/public/drafts").symlink_to("../public-drafts")

    assert public.ask("/drafts/a.txt").status_code == 404


def test_the_folder_itself_may_be_a_link(site):
    site.write("releases/1/app.css", "body {}")
    (site.root / "src").mkdir()
    (site.root / "src/public").symlink_to("../releases/1")

    assert site.ask("/app.css").text == "body {}"


def test_a_pipe_is_no_file(public):
    os.mkfifo(public.root / "src/public/pipe")

    assert public.ask("/pipe").status_code == 404


def test_a_file_that_may_not_be_read_is_a_404(public, monkeypatch):
    def refuse(*args, **options):
        raise PermissionError

    monkeypatch.setattr(
        "builtins.open", refuse
    )  # Root, as whom tests may run, may read everything.

    assert PublicFiles(public.root).find("/app.css", EnvironBuilder().get_environ()) is None


def test_a_site_without_a_public_folder_has_no_files(site):
    assert site.ask("/app.css").status_code == 404


def test_a_folder_made_later_is_seen(site):
    assert site.ask("/late.css").status_code == 404

    site.write("src/public/late.css", "late")

    assert site.ask("/late.css").text == "late"


def test_a_route_goes_before_a_file(public):
    public.router.get("/app.css", lambda request, response: "route")

    assert public.ask("/app.css").text == "route"
