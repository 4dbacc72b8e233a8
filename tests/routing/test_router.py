"""Registration: what is taken, what is refused, and how the refusal reads."""

from __future__ import annotations

import functools
import inspect
import threading
from pathlib import Path

import pytest

from tina4_wsgi.errors import ConfigError, RouteError
from tina4_wsgi.routing.router import Route, RouteGroup, Router

HERE = str(Path(__file__))


def handler(request, response):
    return "ok"


def callback(connection, event, data):
    return None


def line_of(function) -> int:
    return inspect.getsourcelines(function)[1]


@pytest.fixture
def router() -> Router:
    return Router()


# Both ways to register


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_a_verb_registers_its_method_by_call_and_by_decorator(router, method):
    register = getattr(router, method.lower())

    assert register("/called", handler) is handler
    assert register("/decorated")(handler) is handler

    assert router.match_http("/called", method).route.callback is handler
    assert router.match_http("/decorated", method).route.callback is handler


def test_websocket_registers_by_call_and_by_decorator(router):
    assert router.websocket("/called", callback) is callback
    assert router.websocket("/decorated")(callback) is callback

    assert [route.kind for route in router.routes] == ["websocket", "websocket"]
    assert router.match_websocket("/decorated").route.callback is callback


def test_a_route_remembers_what_it_was_registered_with(router):
    def auth(request):
        return request

    router.websocket(
        "/ws/{room:int}", callback, auth=auth, subprotocols=["chat.v2", "chat"], on_error="close"
    )

    (route,) = router.routes
    assert route == route
    assert (route.path, route.rule, route.kind) == ("/ws/{room:int}", "/ws/<int:room>", "websocket")
    assert (route.auth, route.subprotocols, route.options) == (
        auth,
        ("chat.v2", "chat"),
        {"on_error": "close"},
    )
    assert route.location == f"{HERE}:{line_of(callback)}"


def test_the_class_itself_works_on_the_default_router(monkeypatch):
    monkeypatch.setattr(Router, "default", Router())

    Router.get("/page", handler)
    Router.websocket("/ws", callback)
    with Router.group("/api") as api:
        api.post("/users", handler)

    assert [route.path for route in Router.routes] == ["/page", "/ws", "/api/users"]
    assert Router.match_http("/page", "GET").route is Router.default.routes[0]
    match = Router.match_websocket("/ws")
    assert match is not None
    assert match.route is Router.default.routes[1]


def test_a_router_of_its_own_shares_nothing_with_the_default(monkeypatch, router):
    monkeypatch.setattr(Router, "default", Router())

    router.get("/mine", handler)

    assert Router.routes == ()


def test_routes_compare_by_identity_and_can_be_keys(router):
    router.get("/a", handler)
    router.get("/b", handler)

    first, second = router.routes
    assert first != second
    assert {first: 1, second: 2}[second] == 2


# Groups and inclusion


def test_a_group_puts_its_prefix_before_each_path(router):
    api = router.group("/api/{version:int}/")
    api.get("/users", handler)
    api.group("/admin").delete("/{name}", handler)
    api.websocket("/ws", callback)

    assert [route.path for route in router.routes] == [
        "/api/{version:int}/users",
        "/api/{version:int}/admin/{name}",
        "/api/{version:int}/ws",
    ]


def test_an_empty_path_in_a_group_is_the_prefix_itself(router):
    router.group("/api").get("", handler)

    assert router.match_http("/api", "GET").route.path == "/api"


def test_a_group_of_the_root_adds_nothing(router):
    router.group("/").get("/x", handler)

    assert router.routes[0].path == "/x"


def test_a_prefix_without_a_slash_is_refused(router):
    with pytest.raises(RouteError, match="path 'api' doesn't begin with a slash, write '/api'"):
        router.group("api")


def test_a_path_that_runs_into_its_prefix_is_refused(router):
    with pytest.raises(RouteError, match="path 'users' doesn't begin with a slash, write '/users'"):
        router.group("/api").get("users", handler)


def test_a_group_can_be_had_of_the_class_only_by_a_router():
    with pytest.raises(AttributeError):
        RouteGroup.get  # noqa: B018


def test_include_takes_all_routes_under_a_prefix(router):
    other = Router()
    other.get("/a", handler)
    other.websocket("/b/{x}", callback, max_message_bytes=1000)

    router.include(other, "/sub/{y}")

    assert [(route.path, route.rule) for route in router.routes] == [
        ("/sub/{y}/a", "/sub/<y>/a"),
        ("/sub/{y}/b/{x}", "/sub/<y>/b/<x>"),
    ]
    assert router.match_websocket("/sub/1/b/2").route.options == {"max_message_bytes": 1000}
    assert other.match_http("/a", "GET").route.path == "/a"


def test_include_takes_everything_or_nothing(router):
    router.get("/sub/b", handler)
    other = Router()
    other.get("/a", handler)
    other.get("/b", handler)

    with pytest.raises(RouteError, match="registered already"):
        router.include(other, "/sub")

    assert [route.path for route in router.routes] == ["/sub/b"]
    router.get("/sub/a", handler)


def test_include_refuses_a_prefix_that_names_a_parameter_twice(router):
    other = Router()
    other.get("/{id}", handler)

    with pytest.raises(RouteError, match="two parameters are named 'id'"):
        router.include(other, "/x/{id}")


# Paths that are refused


@pytest.mark.parametrize(
    ("path", "wrong", "right"),
    [
        ("/ws/:room", "':room' in '/ws/:room' is no parameter", "write '/ws/{room}'"),
        ("/:a/:b/c", "':a'", "write '/{a}/{b}/c'"),
        ("users", "doesn't begin with a slash", "write '/users'"),
        ("", "doesn't begin with a slash", "write '/'"),
        ("/{room", "brackets in '/{room' don't pair up", "write {name} or {name:int}"),
        ("/room}", "don't pair up at '}'", "write {name}"),
        ("/<room", "don't pair up", "write {name}"),
        ("/room>", "don't pair up", "write {name}"),
        ("/{a{b}}", "don't pair up", "write {name}"),
        ("/{room>", "don't pair up", "write {name}"),
        ("/{id:integer}", "unknown converter 'integer'", "write {id:int}"),
        ("/{id:str}", "expected one of: any, float, int, path, string, uuid", "write {id:string}"),
        ("/{int:id}", "unknown converter 'id'", "write {id:int}"),
        ("/<id:int>", "unknown converter 'id'", "write <int:id>"),
        ("/{rest:.*}", "unknown converter '.*'", "write {rest}"),
        ("/{id:int(}", "unknown converter 'int('", "write {id:int}"),
        ("/{id}/<id>", "two parameters are named 'id'", "expected one name for each"),
        ("/{}", "parameter {} in '/{}' has no proper name", "as in {user_id}"),
        ("/{user-id}", "has no proper name", "as in {user_id}"),
        ("/{id:}", "parameter {id:} in '/{id:}' has no converter", "write {id}"),
        ("/{id:int(foo=1)}", "arguments of {id:int(foo=1)}", "don't fit 'int'"),
        ("/{id:int(min=x)}", "arguments of {id:int(min=x)}", "don't fit 'int'"),
        ("/{id:string(length='x')}", "don't fit 'string'", ""),
        (
            "/{id:string(minlength=3,maxlength=2)}",
            "don't fit 'string'",
            "min repeat greater than max repeat",
        ),
        ("/{id:any}", "names nothing that may stand there", "write {id:any(red, blue)}"),
        ("/{id:any()}", "names nothing that may stand there", "write {id:any(red, blue)}"),
        ("/a?b=1", "holds a query", "expected the path alone"),
        ("/a#b", "holds a query or fragment", "expected the path alone"),
        ("//a///b", "has an empty segment", "write '/a/b'"),
        (b"/a", "path b'/a'", "expected text"),
        (None, "path None", "expected text"),
    ],
)
def test_a_bad_path_is_refused_with_the_right_spelling_and_the_place_of_the_callback(
    router, path, wrong, right
):
    for register, function in ((router.get, handler), (router.websocket, callback)):
        with pytest.raises(RouteError) as caught:
            register(path)(function)

        message = str(caught.value)
        assert message.startswith(f"{HERE}:{line_of(function)}: ")
        assert wrong in message
        assert right in message
        assert "\n" not in message

    assert router.routes == ()


def test_a_colon_inside_a_segment_is_only_text(router):
    router.post("/v1/photos:archive", handler)

    assert router.match_http("/v1/photos:archive", "POST").params == {}


# Callbacks that are refused


async def async_handler(request, response): ...


async def async_generator_callback(connection, event, data):
    yield 1


def generator_callback(connection, event, data):
    yield 1


class AsyncCallable:
    async def __call__(self, request, response): ...


class Callable:
    def __call__(self, request, response): ...

    def method(self, request, response): ...

    @classmethod
    def of_class(cls, request, response): ...

    @staticmethod
    def static(request, response): ...


@pytest.mark.parametrize(
    "bad",
    [
        async_handler,
        AsyncCallable(),
        AsyncCallable().__call__,
        functools.partial(async_handler),
        functools.partial(AsyncCallable()),
    ],
)
def test_an_async_handler_is_refused_with_the_reason(router, bad):
    with pytest.raises(RouteError, match="`async def` and nothing would await it, write `def`"):
        router.get("/x", bad)

    assert router.routes == ()


def test_an_async_generator_is_refused_as_websocket_callback(router):
    with pytest.raises(RouteError, match="async def"):
        router.websocket("/x", async_generator_callback)


def test_a_generator_is_refused_as_websocket_callback_because_nothing_would_run_it(router):
    with pytest.raises(RouteError, match="has a `yield` and nothing would run it"):
        router.websocket("/x", generator_callback)


def test_an_async_auth_is_refused(router):
    async def auth(request): ...

    with pytest.raises(RouteError, match="auth is an `async def`"):
        router.websocket("/x", callback, auth=auth)


@pytest.mark.parametrize(
    "bad",
    [
        lambda: None,
        lambda one: None,
        lambda one, two, three: None,
        lambda one, *, two: None,
        lambda one, two, *, needed: None,
        callback,
    ],
)
def test_a_handler_that_takes_other_than_two_arguments_is_refused(router, bad):
    with pytest.raises(RouteError, match=r"handler takes \(.*\), expected \(request, response\)"):
        router.get("/x", bad)


def test_a_websocket_callback_that_takes_other_than_three_arguments_is_refused(router):
    with pytest.raises(
        RouteError,
        match=r"callback takes \(request, response\), expected \(connection, event, data\)",
    ):
        router.websocket("/x", handler)


def test_an_auth_that_takes_other_than_one_argument_is_refused(router):
    with pytest.raises(RouteError, match=r"auth takes \(request, response\), expected \(request\)"):
        router.websocket("/x", callback, auth=handler)


@pytest.mark.parametrize(
    "good",
    [
        handler,
        lambda *args: None,
        lambda a, b, c=1: None,
        lambda a, b, *, c=1: None,
        functools.partial(callback, None),
        Callable(),
        Callable().method,
        Callable.of_class,
        Callable.static,
        functools.partial(Callable()),
    ],
)
def test_whatever_can_be_called_with_two_arguments_is_a_handler(router, good):
    router.get("/x", good)

    assert router.match_http("/x", "GET").route.callback is good


def test_a_callable_without_a_readable_signature_passes(router):
    class Unreadable:
        __signature__ = "none"

        def __call__(self, request, response): ...

    router.get("/x", Unreadable())

    assert len(router.routes) == 1


@pytest.mark.parametrize("bad", [5, "handler", object()])
def test_what_cannot_be_called_is_no_handler(router, bad):
    with pytest.raises(RouteError, match="expected a function of"):
        router.get("/x", bad)


def test_the_location_is_the_function_behind_decorators_partials_and_methods(router):
    @functools.wraps(handler)
    def wrapped(*args): ...

    for number, function in enumerate(
        (wrapped, functools.partial(wrapped), functools.partial(handler))
    ):
        router.get(f"/{number}", function)
    router.get("/method", Callable().method)
    router.get("/object", Callable())

    places = [f"{HERE}:{line_of(handler)}"] * 3
    places += [f"{HERE}:{line_of(Callable.method)}", f"{HERE}:{line_of(Callable.__call__)}"]
    assert [route.location for route in router.routes] == places


def test_a_callback_written_in_c_is_named_by_its_repr(router):
    router.get("/x", print)

    assert router.routes[0].location == repr(print)


# Routes that are there already


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("/a", "/a"),
        ("/a", "/a/"),
        ("/a/", "/a"),
        ("/{x}", "/{y}"),
        ("/{x}", "/<string:y>"),
        ("/<int:x>", "/{y:int}"),
        ("/{x:int(min=1)}", "/<int(min=1):y>"),
        ("/", "/"),
    ],
)
def test_the_same_path_twice_is_refused_and_both_places_are_named(router, first, second):
    def other(request, response): ...

    router.get(first, handler)

    with pytest.raises(RouteError) as caught:
        router.get(second, other)

    assert str(caught.value).startswith(
        f"{HERE}:{line_of(other)}: GET/HEAD {second!r} is registered already"
    )
    assert f"as GET/HEAD {first!r} at {HERE}:{line_of(handler)}" in str(caught.value)
    assert len(router.routes) == 1
    assert (
        router.match_http(
            first.replace("{x}", "1").replace("<int:x>", "1").replace("{x:int(min=1)}", "1"), "GET"
        ).route.callback
        is handler
    )


def test_the_same_websocket_twice_is_refused(router):
    router.websocket("/ws", callback)

    with pytest.raises(
        RouteError, match="websocket '/ws/' is registered already, as websocket '/ws'"
    ):
        router.websocket("/ws/", callback)


def test_any_method_overlaps_with_each(router):
    router.any("/a", handler)
    router.post("/b", handler)

    with pytest.raises(RouteError, match="as any method '/a'"):
        router.put("/a", handler)
    with pytest.raises(RouteError, match="any method '/b' is registered already"):
        router.any("/b", handler)


@pytest.mark.parametrize("path", ["/a", "/{y}"])
def test_other_methods_and_other_kinds_may_share_a_path(router, path):
    router.get(path, handler)
    router.post(path, handler)
    router.websocket(path, callback)

    assert len(router.routes) == 3


def test_converters_that_differ_make_paths_that_differ(router):
    router.get("/{x}", handler)
    router.get("/{x:int}", handler)
    router.get("/{x:int(min=5)}", handler)

    assert len(router.routes) == 3


# Options


def test_an_unknown_option_is_refused_with_those_that_exist(router):
    with pytest.raises(
        RouteError, match=r"unknown route setting 'max_size', expected .*max_message_bytes"
    ) as caught:
        router.websocket("/x", callback, max_size=3)

    assert isinstance(caught.value.__cause__, ConfigError)
    assert str(caught.value).startswith(f"{HERE}:{line_of(callback)}: ")


def test_an_option_out_of_range_is_refused(router):
    with pytest.raises(RouteError, match="max_message_bytes=1, expected at least 125 bytes"):
        router.websocket("/x", callback, max_message_bytes=1)

    assert router.routes == ()
    assert router.match_websocket("/x") is None


@pytest.mark.parametrize("bad", ["chat", ["a b"], [""], [1], ["a", "a"]])
def test_subprotocols_are_a_list_of_different_tokens(router, bad):
    with pytest.raises(RouteError, match="subprotocol"):
        router.websocket("/x", callback, subprotocols=bad)


# While serving


def test_a_route_added_after_the_first_match_is_found(router):
    router.get("/a", handler)
    router.match_http("/a", "GET")

    router.get("/b/{x:path}", handler)
    router.websocket("/c", callback)

    assert router.match_http("/b/1/2", "GET").params == {"x": "1/2"}
    assert router.match_websocket("/c")


def test_threads_may_register_while_others_match(router):
    router.get("/first/{x}", handler)
    router.get("/slow/{x:path}", handler)
    failures = []
    is_over = threading.Event()

    def register(thread: int) -> None:
        for number in range(25):
            router.get(f"/{thread}/{number}/{{x:int}}", handler)
            router.get(f"/slow/{thread}-{{x}}/{number}", handler)

    def match() -> None:
        while not is_over.is_set():
            try:
                assert router.match_http("/first/1", "GET").params == {"x": "1"}
                assert router.match_http("/slow/a/b", "GET").params == {"x": "a/b"}
            except Exception as exc:  # noqa: BLE001  # Whatever it is, the test shows it.
                failures.append(exc)
                return

    readers = [threading.Thread(target=match) for _ in range(2)]
    writers = [threading.Thread(target=register, args=(number,)) for number in range(4)]
    for thread in readers + writers:
        thread.start()
    for thread in writers:
        thread.join()
    is_over.set()
    for thread in readers:
        thread.join()

    assert failures == []
    assert len(router.routes) == 202
    for writer in range(4):
        assert router.match_http(f"/{writer}/24/7", "GET").params == {"x": 7}


def test_only_one_of_many_threads_gets_a_path(router):
    barrier = threading.Barrier(8)
    refused = []

    def register() -> None:
        barrier.wait()
        try:
            router.get("/same", handler)
        except RouteError as exc:
            refused.append(exc)

    threads = [threading.Thread(target=register) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(refused) == 7
    assert len(router.routes) == 1


def test_a_route_is_frozen(router):
    router.get("/x", handler)

    with pytest.raises(AttributeError):
        router.routes[0].path = "/y"
    assert isinstance(router.routes[0], Route)


# Decorators without their parentheses


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "any", "websocket"])
def test_a_decorator_without_parentheses_is_refused_with_the_line_and_the_right_spelling(
    router, method
):
    with pytest.raises(RouteError) as caught:
        getattr(router, method)(handler)

    assert str(caught.value) == (
        f"{HERE}:{line_of(handler)}: @{method} has no path, expected parentheses with one, "
        f'write @Router.{method}("/path")'
    )


def test_a_decorator_of_a_group_without_parentheses_is_refused(router):
    with pytest.raises(RouteError, match="@websocket has no path"):
        router.group("/api").websocket(callback)


def test_the_shared_router_s_decorator_without_parentheses_is_refused():
    with pytest.raises(RouteError, match="@get has no path"):
        Router.get(handler)


def test_a_class_under_a_decorator_without_parentheses_is_refused(router):
    with pytest.raises(RouteError, match="@websocket has no path"):

        @router.websocket
        class Chat:
            pass

    assert router.routes == ()


def test_an_unknown_option_names_the_one_that_was_probably_meant(router):
    with pytest.raises(RouteError, match=r"'max_mesage_bytes'; did you mean 'max_message_bytes'\?"):
        router.websocket("/ws", callback, max_mesage_bytes=10)


# Events that never come


def misspelt(connection, event, data):
    if event == "mesage":
        connection.send(data)


def capital(connection, event, data):
    if event != "Open":
        return


def of_another_library(connection, kind, data):
    if kind in ("connect", "disconnect"):
        connection.send(data)


def in_a_case(connection, event, data):
    match event:
        case "open" | "messages":
            connection.send(data)


class Endpoint:
    def callback(self, connection, event, data):
        if event == "closed":
            connection.send(data)


@pytest.mark.parametrize(
    ("callback", "told"),
    [
        (misspelt, ["'mesage', which never comes; did you mean 'message'?"]),
        (capital, ["'Open', which never comes; did you mean 'open'?"]),
        (
            of_another_library,
            [
                "'connect', which never comes; did you mean 'open'?",
                "'disconnect', which never comes; did you mean 'close'?",
            ],
        ),
        (in_a_case, ["'messages', which never comes; did you mean 'message'?"]),
        (Endpoint().callback, ["'closed', which never comes; did you mean 'close'?"]),
    ],
    ids=["misspelt", "capital", "of another library", "in a case", "method"],
)
def test_an_event_that_never_comes_is_told_with_the_one_that_was_meant(
    router, callback, told, caplog
):
    router.websocket("/ws", callback)

    assert [record.getMessage() for record in caplog.records] == [
        f"{HERE}:{line_of(callback)}: route '/ws' compares its event with {one}" for one in told
    ]


def other_texts(connection, event, data):
    if data == "mesage" or connection.state.get("event") == "opened":
        connection.send("closed")
    if event == "error":  # somebody else may call it, too
        return


@pytest.mark.parametrize("callback", [callback, other_texts, functools.partial(misspelt)])
def test_texts_that_are_compared_with_something_else_are_left_alone(router, callback, caplog):
    router.websocket("/ws", callback)

    assert caplog.records == []
