"""An application that keeps notes, with sessions that it forgets at a log-out."""

import secrets
from http.cookies import SimpleCookie
from pathlib import Path

SESSIONS = Path("sessions")
NOTES = Path("notes")


def application(environ, start_response):
    session = SimpleCookie(environ.get("HTTP_COOKIE", "")).get("session")
    file = SESSIONS / session.value if session else None
    user = file.read_text() if file and file.exists() else None
    path = environ["PATH_INFO"]

    if path.startswith("/login/"):
        value = secrets.token_hex(16)
        (SESSIONS / value).write_text(path[7:])
        start_response("303 See Other", [("Location", "/"), ("Set-Cookie", f"session={value}")])
        return []
    if user is None:
        start_response("401 Unauthorized", [("Content-Type", "text/plain")])
        return [b"a stranger\n"]
    if path == "/logout":
        file.unlink()
        start_response("303 See Other", [("Location", "/"), ("Set-Cookie", "session=; Max-Age=0")])
        return []
    if environ["REQUEST_METHOD"] == "POST":
        NOTES.touch()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [user.encode()]
