"""What an `auth` may give, and what that means: it fails closed."""

from __future__ import annotations

import asyncio
import functools
import logging
import re
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntFlag
from typing import Any, NamedTuple
from unittest.mock import Mock

import bottle
import falcon
import flask
import gevent
import pytest
import webob
from flask_login import AnonymousUserMixin, UserMixin
from pyramid import httpexceptions
from werkzeug.exceptions import Forbidden, HTTPException, ImATeapot, Unauthorized
from werkzeug.local import LocalProxy
from werkzeug.utils import redirect
from werkzeug.wrappers import Response as WerkzeugResponse

import tina4_wsgi
from tina4_wsgi import ANONYMOUS, App, RouteError, Router, UsageError
from tina4_wsgi.errors import Refused
from tina4_wsgi.testing import HandshakeRefused, TestClient
from tina4_wsgi.websocket.verdict import judge, refusal_of

SECRET = "s3cret-token"


class Row(NamedTuple):
    id: int


@dataclass
class Person:
    name: str


class Model:
    """As an ORM's: no truth test of its own."""

    status = "active"
    code = 7


class Rights(IntFlag):
    NONE = 0
    READ = 1


class Sized(Model):
    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size


class Unsure(Model):
    def __bool__(self) -> bool:
        raise ValueError("the truth of this is ambiguous")


class Member(Model):
    def __init__(self, is_authenticated: Any) -> None:
        self.is_authenticated = is_authenticated


class OldMember(Model):
    """As users were in the days of Django 1.9: a method, which as such is always true."""

    def __init__(self, answer: bool) -> None:
        self._answer = answer

    def is_authenticated(self) -> bool:
        return self._answer


def status_of(gives: Any, caplog: pytest.LogCaptureFixture | None = None) -> int:
    """The answer to a handshake for whom `auth` gives this."""
    router = Router()
    router.websocket("/ws", lambda connection, event, data: None, auth=lambda request: gives)
    client = TestClient(App(router=router), raise_errors=False)
    try:
        with client.websocket("/ws"):
            return 101
    except HandshakeRefused as refusal:
        return refusal.status
    finally:
        client.close()


def name_of(value: Any) -> str:
    """Name a case in the same way in each process that runs some of the tests: a repr may hold an
    address.
    """
    shown = repr(value)
    return type(value).__name__ if " at 0x" in shown or "id=" in shown else shown


@pytest.mark.parametrize(
    "user",
    [
        "ada",
        7,
        -1,
        True,
        1.5,
        b"ada",
        ["a"],
        {"id": 1},
        {"a"},
        Row(1),
        Row(0),
        Person("ada"),
        Model(),
        Rights.READ,
        Sized(1),
        Mock(),
        Member(True),
        OldMember(True),
        UserMixin(),
    ],
    ids=name_of,
)
def test_what_is_true_lets_in_and_is_the_connections_auth(user):
    assert judge(user) is user
    assert status_of(user) == 101


@pytest.mark.parametrize(
    "nobody",
    [
        None,
        False,
        0,
        0.0,
        0j,
        "",
        b"",
        [],
        (),
        {},
        set(),
        frozenset(),
        range(0),
        Sized(0),
        Rights.NONE,
        bytearray(),
        types.MappingProxyType({}),
    ],
    ids=name_of,
)
def test_what_is_not_true_is_refused(nobody):
    with pytest.raises(Refused, match="401 this WebSocket route asks for a login"):
        judge(nobody)
    assert status_of(nobody) == 401


@pytest.mark.parametrize(
    "nobody",
    [
        Member(False),
        Member(None),
        OldMember(False),
        AnonymousUserMixin(),
        Mock(is_authenticated=False),
        LocalProxy(AnonymousUserMixin),
        LocalProxy(lambda: None),
        LocalProxy(lambda: Member(False)),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_user_who_is_not_logged_in_is_refused(nobody):
    assert status_of(nobody) == 401


def test_a_lazy_proxy_is_whom_it_stands_for():
    ada = Member(True)

    assert judge(LocalProxy(lambda: ada)) is ada


def test_a_lazy_proxy_outside_of_its_context_is_nobody():
    assert status_of(flask.g) == 401


def test_users_of_django_are_looked_at_through_their_lazy_objects():
    from django.utils.functional import LazyObject, SimpleLazyObject

    class Late(LazyObject):  # type: ignore[misc]  # Django ships no types
        def _setup(self) -> None:
            self._wrapped = Member(False)

    ada = Member(True)
    assert judge(SimpleLazyObject(lambda: ada)) is ada
    for nobody in (SimpleLazyObject(lambda: Member(False)), Late(), SimpleLazyObject(lambda: None)):
        with pytest.raises(Refused, match="401"):
            judge(nobody)


def test_somebody_unknown_is_let_in_by_name():
    assert judge(ANONYMOUS) is None
    assert status_of(ANONYMOUS) == 101
    assert tina4_wsgi.ANONYMOUS is ANONYMOUS
    assert repr(ANONYMOUS) == "ANONYMOUS"


def a_generator() -> Iterator[str]:
    yield "ada"


async def a_coroutine() -> str:
    return "ada"


class Future:
    def __await__(self) -> Iterator[None]:
        yield


MISTAKES: list[tuple[Callable[[], Any], str]] = [
    (lambda: Forbidden, "the class Forbidden"),
    (lambda: HTTPException, "the class HTTPException"),
    (lambda: PermissionError, "the class PermissionError"),
    (lambda: Person, "the class Person"),
    (lambda: PermissionError(SECRET), "an exception, PermissionError, and didn't raise it"),
    (lambda: httpexceptions.HTTPForbidden(), "an exception, HTTPForbidden"),
    (lambda: falcon.HTTPUnauthorized(), "an exception, HTTPUnauthorized"),
    (lambda: bottle.HTTPError(403), "an exception, HTTPError"),
    (lambda: KeyboardInterrupt(), "an exception, KeyboardInterrupt"),
    (lambda: redirect("/login"), "a response, werkzeug.wrappers.response.Response"),
    (lambda: flask.Response(SECRET), "a response, flask.wrappers.Response"),
    (lambda: WerkzeugResponse(status=204), "a response, werkzeug"),
    (lambda: tina4_wsgi.Response().status(403), "a response, tina4_wsgi"),
    (lambda: webob.Response(), "a response, webob.response.Response"),
    (lambda: falcon.Response(), "a response, falcon.response.Response"),
    (lambda: bottle.Response(), "a response, bottle.BaseResponse"),
    (lambda: (None, 403), "a tuple of 2"),
    (lambda: ({"error": SECRET}, 401, {}), "a tuple of 3"),
    (lambda: ("",), "a tuple of 1"),
    (lambda: NotImplemented, "NotImplemented"),
    (lambda: ..., "Ellipsis"),
    (lambda: a_generator, "the function a_generator itself"),
    (lambda: a_generator(), "a generator, which nothing runs"),
    (lambda: map(str, []), "a map, which nothing runs"),
    (lambda: filter(None, []), "a filter, which nothing runs"),
    (lambda: a_coroutine(), "a coroutine, which nothing awaits"),
    (lambda: Future(), "a Future, which nothing awaits"),
    (lambda: Sized(1).__len__, "the method __len__ itself"),
    (lambda: "ada".upper, "the builtin_function_or_method upper itself"),
    (lambda: functools.partial(a_generator), "the partial partial itself"),
    (lambda: asyncio, "the module asyncio itself"),
]


@pytest.mark.parametrize(("make", "told"), MISTAKES, ids=[told for _, told in MISTAKES])
def test_what_nobody_gives_on_purpose_is_told_as_a_mistake_and_answered_500(make, told, caplog):
    assert status_of(make()) == 500

    (line,) = [one for one in caplog.records if one.levelno == logging.ERROR]
    text = line.getMessage()
    assert re.fullmatch(
        r"auth of /ws gave .*, expected the user, ANONYMOUS .*, or None to refuse; raise .*", text
    )
    assert told in text
    assert "\n" not in text
    assert SECRET not in text


def test_a_response_of_django_is_one_too():
    from django.conf import settings

    if not settings.configured:
        settings.configure()
    from django.http import HttpResponse, HttpResponseForbidden, JsonResponse

    for response in (
        HttpResponse(),
        HttpResponseForbidden(),
        JsonResponse({"error": "no"}, status=401),
    ):
        with pytest.raises(UsageError, match=r"gave a response, django\.http\.response\."):
            judge(response)


def test_a_mistake_is_raised_in_the_test_that_makes_it():
    router = Router()
    router.websocket("/ws", lambda connection, event, data: None, auth=lambda request: Forbidden)
    client = TestClient(App(router=router))

    with pytest.raises(UsageError, match="gave the class Forbidden"):
        client.websocket("/ws").__enter__()
    client.close()


@pytest.mark.parametrize(
    "user", [Unsure(), Member(Unsure()), type("Lazy", (), {"__len__": lambda self: 1 // 0})()]
)
def test_whose_truth_cannot_be_told_is_not_let_in(user, caplog):
    assert status_of(user) == 500
    assert "auth of /ws gave what can't be judged" in caplog.text


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Forbidden("no"), 403),
        (Unauthorized(), 401),
        (ImATeapot(), 418),
        (HTTPException(), 403),
        (redirect, 500),
    ],
)
def test_an_http_exception_that_is_given_refuses_with_its_status(error, expected):
    assert status_of(error) == expected


@pytest.mark.parametrize(
    ("code", "status"),
    [(399, 403), (400, 400), (404, 404), (599, 599), (600, 403), (302, 403), (None, 403)],
)
def test_a_status_that_refuses_nobody_becomes_403(code, status):
    error = HTTPException("why")
    error.code = code

    refusal = refusal_of(error)

    assert (refusal.status, refusal.message) == (status, "why")


def test_a_refusal_without_a_reason_says_what_its_status_means():
    error = HTTPException()
    error.code = 404

    assert refusal_of(error).message == "404 Not Found"


@pytest.mark.parametrize(
    "error",
    [
        SystemExit(3),
        LookupError("x"),
        RecursionError(),
        BaseException("b"),
        gevent.Timeout(1),
        GeneratorExit(),
    ],
)
def test_whatever_auth_raises_is_a_500(error):
    def auth(request: Any) -> Any:
        raise error

    router = Router()
    router.websocket("/ws", lambda connection, event, data: None, auth=auth)
    client = TestClient(App(router=router), raise_errors=False)
    with pytest.raises(HandshakeRefused, match="500"):
        client.websocket("/ws").__enter__()
    client.close()


class Asker:
    async def __call__(self, request: Any) -> str:
        return "ada"


async def asks_later(request: Any) -> str:
    return "ada"


async def asks_in_parts(request: Any) -> Any:
    yield "ada"


def gives_parts(request: Any) -> Any:
    yield "ada"


@pytest.mark.parametrize(
    "auth", [asks_later, asks_in_parts, gives_parts, Asker(), functools.partial(asks_later)]
)
def test_an_auth_that_a_call_would_not_run_is_refused_when_it_is_registered(auth):
    with pytest.raises(RouteError, match=r"auth (is an `async def`|has a `yield`)"):
        Router().websocket("/ws", lambda connection, event, data: None, auth=auth)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("app.models", "LocalProxy"),
        ("werkzeug.local", "Account"),
        ("app.models", "LazyObject"),
        ("django.utils.functional", "Account"),
    ],
)
def test_what_only_half_looks_like_a_proxy_is_the_user_itself(module: str, name: str) -> None:
    user = type(name, (), {"__module__": module})()

    assert judge(user) is user
