"""An App with something around it: `?around=NAME` says what. Each does what middlewares in use
do.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import gevent
from webob.dec import wsgify
from werkzeug.middleware.profiler import ProfilerMiddleware
from werkzeug.wsgi import ClosingIterator

from tina4_wsgi import App, Router

router = Router()


@router.websocket("/ws/echo")
def echo(connection, event, data):
    if event == "open":
        connection.send("hello")
    if event == "message":
        connection.send(data)


@router.get("/page")
def page(request, response):
    return "page"


app = App(router=router, root=Path(__file__).parent)


# -- which let the answer through


def iterating(environ, start_response):
    """Be a generator: the app is called when the first piece is asked for."""
    yield from app(environ, start_response)


def joining(environ, start_response):
    return [b"".join(app(environ, start_response))]


def collecting(environ, start_response):
    """Keep the whole answer, and begin it when the app is done; `write` is a list's `append`."""
    pieces, begun = [], []

    def begin(status, headers, exc_info=None):
        begun[:] = [status, [*headers, ("X-Around", "was here")]]
        return pieces.append

    answer = app(environ, begin)
    pieces.extend(answer)
    getattr(answer, "close", list)()
    start_response(*begun)
    return pieces


def beginning_late(environ, start_response):
    """Begin the answer with its first piece."""
    begun = []

    def begin(status, headers, exc_info=None):
        begun[:] = [status, [*headers, ("X-Around", "was here")]]
        return lambda data: None

    answer = app(environ, begin)

    def pieces():
        start_response(*begun)
        yield from answer

    return pieces()


def without_write(environ, start_response):
    def begin(status, headers, exc_info=None):
        start_response(status, [*headers, ("X-Around", "was here")], exc_info)

    return app(environ, begin)


def with_write_of_text(environ, start_response):
    """Have a `write` that takes text only, as io.StringIO does."""

    def write(text):
        text.encode()

    def begin(status, headers, exc_info=None):
        start_response(status, [*headers, ("X-Around", "was here")])
        return write

    return app(environ, begin)


def closing_twice(environ, start_response):
    answer = app(environ, start_response)
    yield from answer
    for _ in range(2):
        getattr(answer, "close", list)()


def never_iterating(environ, start_response):
    """Take an empty body for granted where the status has none."""
    begun = []

    def begin(status, headers, exc_info=None):
        begun.append(status)
        return start_response(status, [*headers, ("X-Around", "was here")], exc_info)

    answer = app(environ, begin)
    return () if begun[0].startswith("1") else answer


def peeking(environ, start_response):
    """Ask for the first piece, so that a lazy app begins its answer."""
    pieces = iter(app(environ, start_response))
    first = next(pieces)
    yield first
    yield from pieces


def tracing(environ, start_response):
    """Do as agents that time requests: a generator that reports whatever is raised in it."""
    answer = ()
    try:
        answer = app(environ, lambda status, headers, *rest: start_response(status, headers, *rest))
        yield from answer
    except BaseException as error:
        print(f"an agent reports {error!r}", flush=True)
        raise
    finally:
        if hasattr(answer, "close"):
            answer.close()
        print("an agent has seen the end", flush=True)


def wrapping(environ, start_response):
    return ClosingIterator(
        app(environ, start_response), [lambda: print("the iterator is closed", flush=True)]
    )


def in_a_greenlet(environ, start_response):
    """Run the app in a greenlet of its own, as middlewares with a timeout do."""
    return gevent.spawn(app, environ, start_response).get(timeout=5)


def in_a_native_thread(environ, start_response):
    """Run the app in a thread of a pool, for its greenlets not to be held up by it."""
    return gevent.get_hub().threadpool.apply(lambda: [*app(environ, start_response)])


def compressing(environ, start_response):
    """Compress whatever comes; so nothing has twenty bytes."""
    begun = []
    body = b"".join(app(environ, lambda *what: begun.append(what)))
    squeezed = gzip.compress(body)
    status, headers = begun[0][:2]
    start_response(
        status, [*headers, ("Content-Encoding", "gzip"), ("Content-Length", str(len(squeezed)))]
    )
    return [squeezed]


def rewriting(environ, start_response):
    """Drop what it doesn't know, as a list of allowed fields does."""

    def begin(status, headers, exc_info=None):
        kept = [(name, value) for name, value in headers if name.lower() == "content-type"]
        return start_response(status, [*kept, ("X-Around", "was here")], exc_info)

    return app(environ, begin)


@wsgify.middleware
def by_webob(request, inner):
    return request.get_response(inner)


@wsgify.middleware
def by_webob_with_a_cookie(request, inner):
    response = request.get_response(inner)
    response.set_cookie("seen", "yes")
    return response


# -- which answer something else, or fail


def forbidding(environ, start_response):
    """Look at the answer, and refuse."""
    begun = []
    b"".join(app(environ, lambda *what: begun.append(what)))
    start_response("403 Forbidden", [("Content-Type", "text/plain"), ("Content-Length", "9")])
    return [b"forbidden"]


def changing_the_status(environ, start_response):
    def begin(status, headers, exc_info=None):
        return start_response(
            "200 OK", [("Content-Type", "text/plain"), ("Content-Length", "0")], exc_info
        )

    return app(environ, begin)


def redirecting(environ, start_response):
    """Send strangers to the login, whatever the app has answered."""

    def begin(status, headers, exc_info=None):
        return start_response("302 Found", [("location", "/login"), ("Content-Length", "0")])

    return app(environ, begin)


def failing_behind(environ, start_response):
    app(environ, lambda status, headers, exc_info=None: None)
    raise LookupError("on purpose, behind the app")


def failing_at_the_beginning(environ, start_response):
    def begin(status, headers, exc_info=None):
        raise LookupError("on purpose, at the beginning")

    return app(environ, begin)


def failing_in_the_body(environ, start_response):
    for _ in app(environ, lambda status, headers, exc_info=None: None):
        raise LookupError("on purpose, in the body")
    yield b""


def leaving(environ, start_response):
    app(environ, lambda status, headers, exc_info=None: None)
    raise OSError("on purpose: the server answers nothing")


# -- which ask twice


def trying_twice(environ, start_response):
    app(environ, start_response)
    return app(environ, lambda status, headers, exc_info=None: None)


def trying_twice_and_collecting(environ, start_response):
    begun = []
    for _ in range(2):
        body = b"".join(app(environ, lambda *what: begun.append(what)))
    start_response(*begun[-1][:2])
    return [body]


AROUND = {
    **{
        one.__name__: one
        for one in (
            iterating,
            joining,
            collecting,
            beginning_late,
            without_write,
            with_write_of_text,
            closing_twice,
            never_iterating,
            peeking,
            tracing,
            wrapping,
            in_a_greenlet,
            in_a_native_thread,
            compressing,
            rewriting,
            forbidding,
            changing_the_status,
            redirecting,
            failing_behind,
            failing_at_the_beginning,
            failing_in_the_body,
            leaving,
            trying_twice,
            trying_twice_and_collecting,
        )
    },
    "by_webob": by_webob(app),
    "by_webob_with_a_cookie": by_webob_with_a_cookie(app),
    "by_werkzeugs_profiler": ProfilerMiddleware(app, stream=None),
    "nothing": app,
}


def surrounded(environ, start_response):
    """Pass the request to what is around the app."""
    return AROUND[environ["QUERY_STRING"].partition("=")[2] or "nothing"](environ, start_response)


surrounded.claims_upgrade = lambda environ: True
