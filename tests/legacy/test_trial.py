"""A trial of `make legacy`: a well wrapped application is OK, and each fault is a FAIL."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from legacy import running
from legacy.browser import Browser
from legacy.checks import COLUMNS
from legacy.subject import ADA, Site, Subject
from legacy.trial import FAIL, OK, try_subject

pytestmark = pytest.mark.deadline(120)


def prepare(site: Site) -> None:
    (site.folder / "sessions").mkdir(parents=True)


def login(browser: Browser, user: str) -> None:
    browser.get(f"/login/{user}").must_be(303)


def dialogue(browser: Browser) -> None:
    browser.get("/")
    login(browser, ADA)
    browser.get("/").must_be(200)


def change(browser: Browser) -> None:
    browser.send("POST", "/note").must_be(200)


def leave(browser: Browser, site: Site, user: str) -> None:
    browser.get("/logout").must_be(303)


def notes(**environ: str) -> Subject:
    return Subject(
        key="notes",
        label="Notes",
        distribution="notes",
        needs=(),
        prepare=prepare,
        dialogue=dialogue,
        login=login,
        change=change,
        leave=leave,
        path="/ws/notes",
        pushed="/note",
        volatile={"session": rb"Set-Cookie: session=(\w+)"},
        environ=environ,
        apps=Path(__file__).with_name("apps"),
    )


def cells(subject: Subject, folder: Path, worker: str) -> dict[str, str]:
    site = Site(Path(sys.executable), folder / "prepared")
    subject.prepare(site)
    return dict(zip(COLUMNS, try_subject(subject, site, worker, "1").cells, strict=True))


@pytest.mark.parametrize("worker", ["sync", "gevent"])
def test_a_well_wrapped_application_is_ok(tmp_path, worker):
    assert cells(notes(), tmp_path, worker) == dict.fromkeys(COLUMNS, OK)


def test_each_fault_of_a_wrapped_application_fails_its_column(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(running, "HEARS_S", 1.0)

    found = cells(notes(FAULTS="yes"), tmp_path, "sync")

    assert found == dict.fromkeys(COLUMNS, FAIL)
    told = capsys.readouterr().err
    assert "a stranger was answered 101" in told
    assert "a page from elsewhere was answered 101" in told
    assert "X-Wrapped" in told
