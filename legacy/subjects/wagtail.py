"""Wagtail: a Django project with an editor of pages; Django's sessions."""

from __future__ import annotations

import subprocess

from ..browser import Browser
from ..subject import ADA, BOB, PASSWORD, Site, Subject

LOCAL = """
DEBUG = False
ALLOWED_HOSTS = ["localhost"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
"""
"""Written over settings of a developer, so that errors are answered as on a real site."""

USERS = f"""
from django.contrib.auth import get_user_model
for name in {[ADA, BOB]!r}:
    get_user_model().objects.create_superuser(name, name + "@localhost.example", {PASSWORD!r})
"""

PAGES = ("/", "/?page=1", "/nothing/", "/nothing", "/search/?query=home", "/documents/1/x.pdf")
ADMIN = (
    "/admin/", "/admin/pages/", "/admin/pages/3/", "/admin/pages/3/edit/", "/admin/users/",
    "/admin/account/", "/admin/reports/site-history/", "/admin/nothing/", "/admin/images/",
    "/admin/jsi18n/", "/admin/api/main/pages/", "/django-admin/", "/ws/pages",
)  # fmt: skip


def _prepare(site: Site) -> None:
    def run(*command: str, text: str = "") -> None:
        subprocess.run(
            [str(site.python), "-W", "ignore", *command],
            cwd=site.folder, check=True, capture_output=True, text=True, input=text,
        )  # fmt: skip

    run("-m", "wagtail.bin.wagtail", "start", "shop", ".")
    (site.folder / "shop" / "settings" / "local.py").write_text(LOCAL)
    run("manage.py", "migrate", "--verbosity", "0")
    run("manage.py", "shell", "--verbosity", "0", text=USERS)


def _login(browser: Browser, user: str) -> None:
    token = browser.get("/admin/login/").must_be(200).field("csrfmiddlewaretoken")
    form = {"csrfmiddlewaretoken": token, "username": user, "password": PASSWORD, "next": ""}
    browser.post("/admin/login/", form).must_be(302)


def _dialogue(browser: Browser) -> None:
    for path in (*PAGES, *ADMIN):
        browser.get(path)
    browser.send("HEAD", "/")
    browser.send("OPTIONS", "/")
    browser.post("/admin/login/", {"username": ADA, "password": PASSWORD})
    token = browser.get("/admin/login/").field("csrfmiddlewaretoken")
    wrong = {"csrfmiddlewaretoken": token, "username": ADA, "password": "wrong"}
    browser.post("/admin/login/", wrong)

    _login(browser, ADA)
    for path in ADMIN:
        browser.get(path)
    _publish(browser, "first")
    for path in ("/first/", "/admin/pages/3/", "/admin/pages/4/edit/"):
        browser.get(path).must_be(200)
    _leave(browser)
    browser.get("/admin/")


def _publish(browser: Browser, slug: str) -> None:
    page = browser.get("/admin/pages/add/home/homepage/3/").must_be(200)
    form = {**page.inputs(), "title": f"Grüße, {slug}", "slug": slug, "action-publish": "1"}
    browser.post("/admin/pages/add/home/homepage/3/", form).must_be(302)


def _change(browser: Browser) -> None:
    _publish(browser, "pushed")


def _leave(browser: Browser, site: Site | None = None, user: str = ADA) -> None:
    token = browser.get("/admin/account/").must_be(200).field("csrfmiddlewaretoken")
    browser.post("/admin/logout/", {"csrfmiddlewaretoken": token}).must_be(302)


WAGTAIL = Subject(
    key="wagtail",
    label="Wagtail",
    distribution="wagtail",
    needs=("wagtail",),
    prepare=_prepare,
    dialogue=_dialogue,
    login=_login,
    change=_change,
    leave=_leave,
    path="/ws/pages",
    pushed="/pushed/",
    volatile={
        "token": rb"(?:csrfmiddlewaretoken\" value=\"|CSRF_TOKEN\": \"|csrftoken=)(\w{32,64})",
        "session": rb"Set-Cookie: sessionid=(\w+)",
        "time": rb"(?:datetime|revision_created_at\" value)=\"([^\"]*)",
        "minute": rb"(\w{3,9}\.? \d+, \d{4}, (?:\d+(?::\d\d)? [ap]\.m\.|midnight|noon))",
        "time of day": rb"(\d\d:\d\d) by ",
        "signature": rb"Set-Cookie: messages=[^:;]*(:[^;]*)",
        "end of a page": rb"\r\nExpires: ([^\r]*)",
        "end of a cookie": rb"Set-Cookie: [^\r]* expires=([^;\r]+)",
    },
)
