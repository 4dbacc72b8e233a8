"""A route as an app serves it: what a framework is asked, and what `auth` and callbacks are given."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import Any

import gevent
import pytest
from greenlet import GreenletExit
from werkzeug.exceptions import Forbidden, Gone

from tests.support.engine_house import House, wait_until
from tina4_wsgi import Bridge
from tina4_wsgi.config import Config
from tina4_wsgi.errors import Refused
from tina4_wsgi.protocol.handshake import Handshake
from tina4_wsgi.routing.matching import Match, Route
from tina4_wsgi.routing.params import Params
from tina4_wsgi.websocket.served_route import ServedRoute

ENVIRON = {
    "PATH_INFO": "/ws/a//",
    "QUERY_STRING": "",
    "HTTP_HOST": "shop.example",
    "wsgi.url_scheme": "ws",
}
PARAMS = Params({"name": "a"})


class Framework(Bridge):
    """A framework that writes down what it is asked."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def check_origin(self, environ: Any, host: str, limits: Config) -> None:
        self.told.append(("origin", environ["wsgi.url_scheme"], host))

    def admit(self, environ: Any, match: Match) -> Any:
        self.told.append(("admit", environ["wsgi.url_scheme"], environ["PATH_INFO"]))
        self.body = environ["wsgi.input"].read()

    @contextmanager
    def context(self, environ: Any, event: str) -> Any:
        match = environ["tina4_wsgi.match"]
        self.told.append((event, environ["wsgi.url_scheme"], environ["PATH_INFO"]))
        self.last = (match.route, match.params, environ.get("tina4_wsgi.connection"))
        yield


def quiet(connection: Any, event: str, data: Any) -> None:
    """A callback that does nothing."""


def serve(
    auth: Any = None,
    bridge: Bridge | None = None,
    callback: Any = quiet,
    path: str = "/ws/{name}",
    **settings: Any,
) -> ServedRoute:
    route = Route(path, path, "websocket", frozenset({"GET"}), callback, auth=auth)
    return ServedRoute(route, Config(**settings), bridge)


def admit(served: ServedRoute, **environ: Any) -> object:
    return served.admit({**ENVIRON, **environ}, Match(served.route, PARAMS))


def refusal(served: ServedRoute) -> Refused:
    with pytest.raises(Refused) as caught:
        admit(served)
    return caught.value


def raiser(error: BaseException) -> Any:
    def auth(request: Any) -> None:
        raise error

    return auth


# Who is asked


@pytest.mark.parametrize(
    ("auth", "bridge", "asks"),
    [
        (None, None, False),
        (lambda request: "ada", None, True),
        (None, Bridge(), True),
        (lambda request: "ada", Bridge(), True),
    ],
)
def test_a_route_asks_where_it_has_an_auth_or_a_framework(
    auth: Any, bridge: Bridge | None, asks: bool
) -> None:
    served = serve(auth, bridge)

    assert (served.asks, served.has_auth) == (asks, auth is not None)


def test_without_either_everybody_is_let_in_unknown() -> None:
    assert admit(serve()) is None


def test_auth_gets_the_request_with_its_parameters_and_gives_the_user() -> None:
    asked: list[Any] = []

    def auth(request: Any) -> str:
        asked.append((request.path, request.params.name, request.headers["Host"]))
        return "ada"

    assert admit(serve(auth)) == "ada"
    assert asked == [("/ws/a", "a", "shop.example")]


def test_a_framework_is_asked_before_auth_without_the_body_and_in_its_context() -> None:
    bridge = Framework()
    served = serve(lambda request: f"ada at {request.path}", bridge)
    body = memoryview(b"first frames")

    assert admit(served, **{"wsgi.input": body}) == "ada at /ws/a"

    assert bridge.told == [("admit", "http", "/ws/a"), ("auth", "http", "/ws/a")]
    assert (bridge.body, bridge.last) == (b"", (served.route, PARAMS, None))


@pytest.mark.parametrize(
    ("route", "came", "joined"),
    [
        ("/ws/{name}", "/ws/a", "/ws/a"),
        ("/ws/{name}", "/ws/a/", "/ws/a"),
        ("/ws/{name}", "/ws/a//", "/ws/a"),
        ("/ws/{name}/", "/ws/a", "/ws/a/"),
        ("/ws/{name}/", "/ws/a///", "/ws/a/"),
        ("/", "/", "/"),
        ("/", "//", "/"),
        ("/ws", "", ""),
    ],
)
def test_all_spellings_are_judged_as_the_path_of_the_group(
    route: str, came: str, joined: str
) -> None:
    served = serve(lambda request: request.environ["PATH_INFO"] or "nothing", path=route)

    assert admit(served, PATH_INFO=came) == (joined or "nothing")


def test_an_environ_that_is_as_it_should_be_is_not_copied() -> None:
    served = serve()
    environ = {**ENVIRON, "PATH_INFO": "/ws/a"}

    assert served._as_joined(environ) is environ


# What refuses


@pytest.mark.parametrize("is_given", [True, False])
def test_an_http_exception_of_auth_refuses_by_its_status(is_given: bool) -> None:
    auth = (lambda request: Gone("moved out")) if is_given else raiser(Gone("moved out"))

    assert (refusal(serve(auth)).status, refusal(serve(auth)).message) == (410, "moved out")


@pytest.mark.parametrize("error", [Refused(418, "tea"), Forbidden("no")])
def test_a_framework_refuses_by_its_own_status(error: Any) -> None:
    class Closed(Bridge):
        def admit(self, environ: Any, match: Match) -> None:
            raise error

    status = 418 if isinstance(error, Refused) else 403
    assert refusal(serve(lambda request: "ada", Closed())).status == status


def test_a_framework_may_give_its_refusal() -> None:
    class Closed(Bridge):
        def admit(self, environ: Any, match: Match) -> Any:
            return Gone("moved out")

    assert refusal(serve(bridge=Closed())).status == 410


@pytest.mark.parametrize("error", [LookupError("no table"), SystemExit(3), gevent.Timeout(1)])
def test_another_error_is_logged_and_answered_500(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    refused = refusal(serve(raiser(error)))

    assert (refused.status, refused.message) == (
        500,
        "the server could not find out who you are",
    )
    (record,) = caplog.records
    assert (record.getMessage(), record.levelname) == ("auth of /ws/{name} raised", "ERROR")
    assert record.exc_info is not None
    assert record.exc_info[1] is error


@pytest.mark.parametrize("error", [GreenletExit(), KeyboardInterrupt()])
def test_what_ends_the_request_or_the_server_passes(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(type(error)):
        admit(serve(raiser(error)))
    assert caplog.records == []


class Unsure:
    def __bool__(self) -> bool:
        raise ValueError("the truth of this is ambiguous")


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (Unsure(), "auth of /ws/{name} gave what can't be judged"),
        (Unsure, "auth of /ws/{name} gave the class Unsure, expected the user"),
    ],
)
def test_an_answer_that_can_not_be_meant_is_logged_and_answered_500(
    answer: Any, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert refusal(serve(lambda request: answer)).status == 500

    (record,) = caplog.records
    assert record.getMessage().startswith(line)
    assert record.levelno == logging.ERROR


# Origins


def test_a_framework_applies_its_own_origin_policy() -> None:
    bridge = Framework()

    serve(bridge=bridge).check_origin(asked("http://evil.test"), dict(ENVIRON), "shop.example")

    assert bridge.told == [("origin", "http", "shop.example")]


def test_a_route_refuses_other_origins_and_lets_in_who_sends_none() -> None:
    served = serve()
    environ = {**ENVIRON, "wsgi.url_scheme": "http"}

    served.check_origin(asked(None), environ, "shop.example")
    served.check_origin(asked("http://shop.example"), environ, "shop.example")
    with pytest.raises(Refused, match="403"):
        served.check_origin(asked("http://evil.test"), environ, "shop.example")
    serve(allowed_origins=("http://evil.test",)).check_origin(
        asked("http://evil.test"), environ, "shop.example"
    )


class Asked:
    """The one field that is looked at."""

    def __init__(self, origin: str | None) -> None:
        self.origin = origin


def asked(origin: str | None) -> Handshake:
    return Asked(origin)  # type: ignore[return-value]


# Callbacks


def test_a_callback_of_a_framework_runs_in_its_context_and_its_result_comes_back(
    house: House,
) -> None:
    bridge, called = Framework(), []

    def callback(connection: Any, event: str, data: Any) -> str:
        called.append((connection, event, data))
        return "result"

    served = serve(bridge=bridge, callback=callback)
    _, connection = house.connect(quiet, "/ws/a")

    assert served.callback(connection, "message", "hi") == "result"

    assert called == [(connection, "message", "hi")]
    assert bridge.told == [("message", "http", "/ws/a")]
    assert bridge.last == (served.route, connection.params, connection)


def test_a_framework_that_makes_no_call_has_no_result(house: House) -> None:
    class Silent(Bridge):
        def run(self, environ: Any, event: str, call: Any) -> None:
            """As a before-request function that answers itself."""

    served = serve(bridge=Silent(), callback=lambda *_: "result")
    _, connection = house.connect(quiet, "/ws/a")

    assert served.callback(connection, "message", "hi") is None


@pytest.mark.parametrize("metrics", ["", "/metrics"])
def test_times_are_measured_with_metrics_alone(metrics: str) -> None:
    served = serve(metrics=metrics)

    served.callback(None, "open", "")  # type: ignore[arg-type]

    times = served.tally.callback_times
    assert {event: sum(one.counts) for event, one in times.items()} == (
        {"open": 1, "message": 0, "close": 0} if metrics else {}
    )
    assert (served.callback is quiet) == (not metrics)


def test_that_a_result_goes_nowhere_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    served = serve()

    served.told_result("message", {"a": 1})
    served.told_result("open", "text")

    (record,) = caplog.records
    assert record.getMessage().startswith(
        "callback of /ws/{name} returned dict at 'message', which goes nowhere"
    )


def test_results_are_looked_at_in_every_event(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    for event in ("open", "message", "close"):
        caplog.clear()

        def give(connection: Any, now: str, data: Any, event: str = event) -> Any:
            return 7 if now == event else None

        client, _ = house.connect(give)
        client.send_text("hi")
        client.send_close()
        wait_until(lambda: not house.process.connection_count)

        assert [f"at '{event}', which" in one.getMessage() for one in caplog.records] == [True]
