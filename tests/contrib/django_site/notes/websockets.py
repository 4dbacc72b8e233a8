"""The WebSocket routes of this app, found by their file's name."""

import os

import gevent
from django.contrib.auth.decorators import login_required as login_required_of_views
from django.core.exceptions import PermissionDenied
from django.db import connection as database
from django.db import connections, transaction
from django.http import HttpResponse
from django.utils.translation import activate, get_language

from notes.models import Note
from tina4_wsgi import Router
from tina4_wsgi.contrib.django import login_required, permission_required, request, user_passes_test


def name_of(user):
    return user.get_username() or "nobody"


@Router.websocket("/ws/probe/{name}")
def probe(connection, event, data):
    """Does what a message asks for, and says what it sees."""
    if event == "open":
        connection.send_json(
            {"user": name_of(request().user), "visits": request().session.get("visits")}
        )
    if event == "message":
        connection.send_json(COMMANDS[data](connection))
    if event == "close":
        Note.objects.create(text=f"closed {connection.params.name}")


def see(connection):
    seen = request()
    return {
        "event": seen.websocket_event,
        "is_same_connection": seen.connection is connection,
        "user": name_of(seen.user),
        "language": get_language(),
        "path": seen.path,
        "host": seen.get_host(),
        "method": seen.method,
        "route": seen.resolver_match.route,
        "kwargs": seen.resolver_match.kwargs,
        "queries": len(connections["default"].queries_log),
    }


def visit(connection):
    request().session["visits"] = request().session.get("visits", 0) + 1
    return {"visits": request().session["visits"]}


def visit_and_fail(connection):
    visit(connection)
    activate("de")
    Note.objects.create(text="written before the error")
    raise ValueError("after a visit")


def leave_transaction(connection):
    transaction.atomic().__enter__()
    Note.objects.create(text="in a transaction that nobody ends")
    raise ValueError("within a transaction")


def fail_in_transaction(connection):
    with transaction.atomic():
        Note.objects.create(text="to be rolled back")
        raise ValueError("within a transaction")


def speak_german(connection):
    activate("de")
    return {"language": get_language()}


def wait_in_transaction(connection):
    with transaction.atomic():
        Note.objects.create(text="after waiting")
        gevent.sleep(0.05)
    return {"in_atomic_block": database.in_atomic_block}


COMMANDS = {
    "see": see,
    "visit": visit,
    "visit and fail": visit_and_fail,
    "leave transaction": leave_transaction,
    "fail in transaction": fail_in_transaction,
    "speak german": speak_german,
    "wait in transaction": wait_in_transaction,
    "atomic": lambda connection: {"in_atomic_block": database.in_atomic_block},
    "count": lambda connection: {"notes": Note.objects.count()},
    "refresh": lambda connection: {"may_stay": connection.refresh_auth()},
}


@Router.websocket("/ws/private", auth=login_required, reauth_every=0.2)
def private(connection, event, data):
    if event == "open":
        connection.send_json(
            {"user": name_of(connection.auth), "type": type(connection.auth).__name__}
        )


@Router.websocket("/ws/editors", auth=permission_required("notes.change_note"))
def editors(connection, event, data):
    if event == "open":
        connection.send_json({"user": name_of(connection.auth)})


@Router.websocket("/ws/staff", auth=user_passes_test(lambda user: user.is_staff))
def staff(connection, event, data):
    if event == "open":
        connection.send_json({"user": name_of(connection.auth)})


def deny(_):
    raise PermissionDenied("not for you")


@Router.websocket("/ws/denied", auth=deny)
@Router.websocket("/ws/answered", auth=lambda _: HttpResponse("pay first", status=402))
@Router.websocket("/ws/mistaken", auth=login_required_of_views)
@Router.websocket("/ws/friends", allowed_origins=["https://partner.example"])
def quiet(connection, event, data):
    """Says nothing."""


@Router.websocket("/ws/notes")
def notes(connection, event, data):
    if event in ("open", "message"):
        connection.send_json({"notes": Note.objects.count()})


@Router.websocket("/ws/quiet")
def in_process(connection, event, data):
    """Says in which process it is, and when asked who is there; nobody is asked again."""
    if event == "open":
        connection.send_json({"process": os.getpid()})
    if event == "message":
        connection.send_json({"name": name_of(request().user)})


@Router.websocket("/ws/reader", auth=login_required)
def reader(connection, event, data):
    """Asks again who is there while it reads from the database."""
    if event == "message":
        Note.objects.bulk_create(Note(text=f"page {number}") for number in range(5))
        outer = request()
        pages = [
            note.text
            for note in Note.objects.filter(text__startswith="page").iterator(chunk_size=1)
            if connection.refresh_auth()
        ]
        connection.send_json({"pages": len(pages), "is_same_request": request() is outer})


@Router.websocket("/ws/apart")
@transaction.non_atomic_requests
def apart(connection, event, data):
    """Stays out of the transaction that ATOMIC_REQUESTS puts around others."""
    connection.send_json({"in_atomic_block": database.in_atomic_block})
