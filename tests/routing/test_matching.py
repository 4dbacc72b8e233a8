"""Matching: what each converter takes, which route goes first, and that the tree says what the map
says.
"""

from __future__ import annotations

import copy
import uuid
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.routing import Map, MapAdapter, Rule, WebsocketMismatch

from tina4_wsgi.errors import RouteError
from tina4_wsgi.routing.matching import Match
from tina4_wsgi.routing.params import Params
from tina4_wsgi.routing.router import Router


def handler(request, response): ...


def callback(connection, event, data): ...


def router_of(*paths: str) -> Router:
    router = Router()
    for path in paths:
        router.get(path, handler)
    return router


def found(router: Router, path: str, method: str = "GET") -> Any:
    """The path of the matching route and its parameters, or the name of the refusal."""
    try:
        match = router.match_http(path, method)
    except HTTPException as exc:
        return type(exc).__name__
    return match.route.path, match.params


def websocket(router: Router, path: str) -> Match:
    """The match of a path that has one."""
    match = router.match_websocket(path)
    assert match is not None
    return match


@pytest.mark.parametrize(
    "path", ["/{x}", "/<x>", "/{x:string}", "/<string:x>", "/{ x }", "/{x : string}"]
)
def test_all_spellings_of_a_parameter_are_one(path):
    assert found(router_of(path), "/value") == (path, {"x": "value"})


@pytest.mark.parametrize(
    ("path", "asked", "value"),
    [
        ("/{x:int}", "/007", 7),
        ("/<int:x>", "/42", 42),
        ("/{x:int(min=1)}", "/1", 1),
        ("/<int(min=1, max=9):x>", "/9", 9),
        ("/{x:int(signed=True)}", "/-3", -3),
        ("/{x:int(fixed_digits=3)}", "/012", 12),
        ("/{x:float}", "/1.5", 1.5),
        ("/{x:float(signed=True)}", "/-1.5", -1.5),
        ("/{x:path}", "/a/b/c", "a/b/c"),
        ("/{x:any(red, blue)}", "/blue", "blue"),
        ("/{x:string(length=2)}", "/de", "de"),
        (
            "/{x:uuid}",
            "/c9bf9e57-1685-4c89-bafb-ff5af830be8a",
            uuid.UUID("c9bf9e57-1685-4c89-bafb-ff5af830be8a"),
        ),
        ("/v{x:int}.json", "/v2.json", 2),
        ("/{x}", "/zwölf und mehr", "zwölf und mehr"),
        ("/{x}", "/a%2Fb", "a%2Fb"),  # decoded by then: this percent sign was sent as %25
    ],
)
def test_a_converter_casts_its_value(path, asked, value):
    assert found(router_of(path), asked) == (path, {"x": value})
    assert type(found(router_of(path), asked)[1]["x"]) is type(value)


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/{x:int}", "/-1"),
        ("/{x:int}", "/1a"),
        ("/{x:int}", "/"),
        ("/{x:int(min=5)}", "/4"),
        ("/{x:int(fixed_digits=3)}", "/12"),
        ("/{x:int}", "/" + "9" * 5000),
        ("/{x:float}", "/1"),
        ("/{x:any(red, blue)}", "/green"),
        ("/{x:string(length=2)}", "/deu"),
        ("/{x:uuid}", "/c9bf9e57"),
        ("/{x}", "/"),
        ("/{x}", "/a/b"),
        ("/{x:path}", "/"),
        ("/a/{x}", "/a"),
        ("/a", "/A"),
        ("/a", "/a/b"),
        ("/a", "//a"),
        ("/a", "a"),
        ("/", "//"),
        ("/", ""),
        ("/", "*"),
        ("/a/b", "/a//b"),
        ("/{x:any(a,b)}", "/ab"),
    ],
)
def test_what_does_not_fit_is_not_found(path, asked):
    assert found(router_of(path), asked) == "NotFound"


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/a", "/a/"),
        ("/a/", "/a"),
        ("/{x}", "/1/"),
        ("/{x}/", "/1"),
        ("/a/{x:int}/", "/a/1"),
        ("/{x:path}/", "/a/b"),
    ],
)
def test_a_final_slash_makes_no_difference(path, asked):
    assert found(router_of(path), asked)[0] == path


def test_text_goes_before_parameters_and_narrow_converters_before_wide_ones():
    router = router_of("/{rest:path}", "/{name}", "/{id:int}", "/new", "/new/{id}", "/{name}/edit")

    assert found(router, "/new")[0] == "/new"
    assert found(router, "/7")[0] == "/{id:int}"
    assert found(router, "/seven")[0] == "/{name}"
    assert found(router, "/new/1")[0] == "/new/{id}"
    assert found(router, "/new/edit")[0] == "/new/{id}"
    assert found(router, "/old/edit")[0] == "/{name}/edit"
    assert found(router, "/old/show")[0] == "/{rest:path}"


def test_a_dead_end_is_left_for_another_branch():
    router = router_of("/a/b/c", "/{x}/b/d")
    router.post("/a", handler)
    router.get("/{x}", handler)

    assert found(router, "/a/b/d") == ("/{x}/b/d", {"x": "a"})
    assert found(router, "/a") == ("/{x}", {"x": "a"})
    assert found(router, "/a", "POST") == ("/a", {})


def test_routes_of_one_shape_may_name_their_parameters_differently():
    router = router_of("/{x}")
    router.post("/{y}", handler)

    assert found(router, "/1") == ("/{x}", {"x": "1"})
    assert found(router, "/1", "POST") == ("/{y}", {"y": "1"})


# Methods


def test_get_answers_head():
    assert found(router_of("/a"), "/a", "HEAD") == ("/a", {})


def test_a_wrong_method_names_those_that_would_do():
    router = router_of("/{x}")
    router.post("/a", handler)

    with pytest.raises(MethodNotAllowed) as caught:
        router.match_http("/a", "DELETE")

    assert set(caught.value.valid_methods or ()) == {"GET", "HEAD", "POST"}


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "PROPFIND"])
def test_any_takes_every_method(method):
    router = Router()
    router.any("/a/{x}", handler)

    assert found(router, "/a/1", method) == ("/a/{x}", {"x": "1"})


# WebSockets


def test_a_websocket_route_is_found_by_its_decoded_path():
    router = Router()
    router.websocket("/ws/chat/{room}", callback)

    assert websocket(router, "/ws/chat/Käse/").params == {"room": "Käse"}
    assert router.match_websocket("/ws/chat/a/b") is None
    assert router.match_websocket("/ws/chat") is None


def test_a_page_and_a_websocket_share_a_path():
    router = router_of("/room/{name}")
    router.websocket("/room/{name}", callback)

    assert router.match_http("/room/a", "GET").route.kind == "http"
    assert websocket(router, "/room/a").route.kind == "websocket"


def test_a_websocket_is_not_hidden_by_a_page_with_a_narrower_path():
    router = router_of("/ws/lobby")
    router.websocket("/ws/{room}", callback)

    assert websocket(router, "/ws/lobby").params == {"room": "lobby"}


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_websocket_asked_for_by_http_says_so(method):
    router = Router()
    router.websocket("/ws/{room}", callback)

    with pytest.raises(WebsocketMismatch):
        router.match_http("/ws/a", method)


def test_a_page_is_no_websocket():
    assert router_of("/a").match_websocket("/a") is None


# Params


def test_params_are_items_and_attributes():
    params = Params(room="general", id=7)

    assert (params.room, params["room"], params.id) == ("general", "general", 7)
    assert params == {"room": "general", "id": 7}
    assert copy.deepcopy(params) == params


def test_a_missing_param_names_those_that_exist():
    params = Params(room="general", id=7)

    with pytest.raises(AttributeError, match="no parameter 'roomName', this route has: room, id"):
        params.roomName  # noqa: B018
    with pytest.raises(KeyError, match="no parameter 'roomName', this route has: room, id"):
        params["roomName"]
    assert params.get("roomName") is None
    assert not hasattr(Params(), "x")


@pytest.mark.parametrize("path", ["/{items}/{get}", "/{items}/{get:path}"])
def test_a_param_named_like_a_method_of_dict_is_still_an_attribute(path):
    _, params = found(router_of(path), "/a/b")

    assert (params.items, params.get) == ("a", "b")
    assert dict(params) == {"items": "a", "get": "b"}


# The tree and the map

SEGMENTS = [
    "a",
    "b",
    "",
    "1",
    "ab",
    "{}",
    "{}",
    "{:int}",
    "{:int(min=2)}",
    "{:path}",
    "{:any(a, b)}",
    "a{}",
    "{}b",
]
PATHS = st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=3).map("/".join)
ASKED = st.lists(st.sampled_from(["a", "b", "", "1", "2", "ab", "c"]), min_size=1, max_size=4).map(
    lambda parts: "/" + "/".join(parts)
)
KINDS = st.sampled_from(["get", "post", "any", "websocket"])


def named(path: str) -> str:
    """Give each parameter a name: "/{}/{:int}" becomes "/{p0}/{p1:int}"."""
    start, *others = path.split("{")
    return start + "".join(f"{{p{number}{other}" for number, other in enumerate(others))


def expected(adapter: MapAdapter, path: str, method: str) -> Any:
    """What `found` should give."""
    if path.startswith("//"):
        return (
            NotFound.__name__
        )  # Werkzeug takes it for "/"; that is the one thing that we see otherwise.
    try:
        route, values = adapter.match(path, method, websocket=False)
    except HTTPException as exc:
        return type(exc).__name__
    return route.path, values


@settings(deadline=None, max_examples=60)  # Werkzeug takes 0.3 ms to compile a rule.
@given(st.lists(st.tuples(KINDS, PATHS), max_size=7), st.lists(ASKED, min_size=1, max_size=8))
@example([("get", "{}"), ("get", "{:int}")], ["/1"])
@example([("get", "a/{}"), ("post", "{}/b")], ["/a/b"])
@example([("get", "{}/a"), ("get", "{:int}/b")], ["/1/a", "/1/b", "/a/a"])
def test_the_tree_never_answers_otherwise_than_the_map(routes, asked):
    router = Router()
    werkzeug = Map(strict_slashes=False, merge_slashes=False, redirect_defaults=False)
    for kind, path in routes:
        try:
            getattr(router, kind)("/" + named(path), callback if kind == "websocket" else handler)
        except RouteError:
            continue  # there already, or an empty segment in the middle
        route = router.routes[-1]
        methods = None if kind in ("any", "websocket") else route.methods
        werkzeug.add(
            Rule(route.rule, endpoint=route, methods=methods, websocket=kind == "websocket")
        )
    adapter = werkzeug.bind("localhost")

    for path in asked:
        for method in ("GET", "HEAD", "POST", "PUT"):
            assert found(router, path, method) == expected(adapter, path, method)


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=12).map(lambda text: "/" + text))
def test_whatever_the_parser_takes_the_map_takes(path):
    router = Router()
    try:
        router.get(path, handler)
    except RouteError:
        assert router.routes == ()
        return

    if "{" not in path and "<" not in path:
        assert found(router, path)[0] == path
