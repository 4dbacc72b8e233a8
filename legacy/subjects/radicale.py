"""Radicale: calendars, with HTTP's basic authentication. Nobody logs out; an account can end."""

from __future__ import annotations

import base64

from ..browser import Browser
from ..subject import ADA, BOB, PASSWORD, Site, Subject

CONFIG = """
[auth]
type = htpasswd
htpasswd_filename = users
htpasswd_encryption = plain
delay = 0
[storage]
filesystem_folder = collections
[web]
type = internal
[logging]
level = warning
"""

CALENDAR = b"""<?xml version="1.0" encoding="utf-8"?>
<C:mkcalendar xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:set><D:prop>
<D:displayname>Work</D:displayname></D:prop></D:set></C:mkcalendar>"""

PROPERTIES = b"""<?xml version="1.0" encoding="utf-8"?>
<D:propfind xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:prop><D:displayname/>
<D:current-user-principal/><C:calendar-home-set/><D:resourcetype/></D:prop></D:propfind>"""

EVENT = """BEGIN:VCALENDAR\r
VERSION:2.0\r
PRODID:-//legacy//EN\r
BEGIN:VEVENT\r
UID:{name}\r
DTSTAMP:20260101T000000Z\r
DTSTART:20260102T090000Z\r
DTEND:20260102T100000Z\r
SUMMARY:Grüße, {name}\r
END:VEVENT\r
END:VCALENDAR\r
"""

XML = {"Content-Type": "application/xml; charset=utf-8"}
ICS = {"Content-Type": "text/calendar; charset=utf-8"}


def _prepare(site: Site) -> None:
    (site.folder / "config").write_text(CONFIG)
    (site.folder / "users").write_text("".join(f"{name}:{PASSWORD}\n" for name in (ADA, BOB)))


def _login(browser: Browser, user: str) -> None:
    secret = base64.b64encode(f"{user}:{PASSWORD}".encode()).decode()
    browser.fields["Authorization"] = f"Basic {secret}"


def _dialogue(browser: Browser) -> None:
    send = browser.send
    for path in ("/", "/.web/", "/.web/css/main.css", "/.web/nothing", "/ada/", "/ws/ada", "/%ff"):
        send("GET", path)
    send("HEAD", "/.web/")
    send("OPTIONS", "/")
    send("PROPFIND", "/ada/", PROPERTIES, XML)

    browser.fields["Authorization"] = "Basic bm9ib2R5OndpdGhvdXQ="
    send("PROPFIND", "/ada/", PROPERTIES, XML)
    _login(browser, ADA)
    send("PROPFIND", "/", PROPERTIES, {**XML, "Depth": "1"})
    send("MKCALENDAR", "/ada/work/", CALENDAR, XML)
    for name in ("one", "two"):
        send("PUT", f"/ada/work/{name}.ics", EVENT.format(name=name).encode(), ICS)
    send("PUT", "/ada/work/bad.ics", b"no calendar", ICS)
    etag = send("GET", "/ada/work/one.ics").headers["etag"]
    send("GET", "/ada/work/")
    send("PROPFIND", "/ada/work/", PROPERTIES, {**XML, "Depth": "1"})
    send(
        "PUT", "/ada/work/one.ics", EVENT.format(name="one").encode(), {**ICS, "If-None-Match": "*"}
    )
    send("DELETE", "/ada/work/one.ics", fields={"If-Match": '"another"'})
    send("DELETE", "/ada/work/one.ics", fields={"If-Match": etag})
    send("GET", "/ada/work/one.ics")
    send("GET", "/bob/")


def _change(browser: Browser) -> None:
    event = EVENT.format(name="pushed").encode()
    browser.send("PUT", "/ada/work/pushed.ics", event, ICS).must_be(201)


def _leave(browser: Browser, site: Site, user: str) -> None:
    (site.folder / "users").write_text(f"{BOB}:{PASSWORD}\n")


RADICALE = Subject(
    key="radicale",
    label="Radicale",
    distribution="radicale",
    needs=("radicale",),
    prepare=_prepare,
    dialogue=_dialogue,
    login=_login,
    change=_change,
    leave=_leave,
    path="/ws/{user}",
    pushed="/ada/work/pushed.ics",
    volatile={"time of change": rb"\r\nLast-Modified: ([^\r]*)"},
    environ={"RADICALE_CONFIG": "config"},
)
