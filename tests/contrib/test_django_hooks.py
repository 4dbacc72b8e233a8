"""Django's own hooks are called for WebSocket events as Django calls them, also when somebody has
patched them.
"""

from __future__ import annotations

import pytest

from tests.contrib.django_house import VERSIONS
from tests.contrib.django_program import printed_by

pytestmark = [pytest.mark.deadline(90), pytest.mark.usefixtures("django_programs")]

PATCHES = {
    "make_view_atomic gives a view": """
        def patch(handler):
            ordinary = handler.make_view_atomic
            def make_view_atomic(self, view):
                wrapped = ordinary(self, view)
                def call(request, *, number):
                    return wrapped(request, number=number)
                return call
            handler.make_view_atomic = make_view_atomic
    """,
    "get_response takes a request": """
        def patch(handler):
            ordinary = handler.get_response
            def get_response(self, request, /):
                assert request.method == "GET" and request.path_info == "/ws/news/7"
                return ordinary(self, request)
            handler.get_response = get_response
    """,
    "_get_response gives the answer of the view": """
        def patch(handler):
            ordinary = handler._get_response
            def _get_response(self, request):
                response = ordinary(self, request)
                assert response.status_code == 204, response
                return response
            handler._get_response = _get_response
    """,
    "resolve_request leaves a match": """
        def patch(handler):
            ordinary = handler._get_response
            def _get_response(self, request):
                response = ordinary(self, request)
                callback, args, kwargs = request.resolver_match
                assert (callback.__name__, args, kwargs) == ("news", (), {"number": 7}), request.resolver_match
                assert request.resolver_match.view_name == "__main__.news"
                return response
            handler._get_response = _get_response
    """,
    "check_response is shown the view": """
        def patch(handler):
            ordinary = handler.check_response
            def check_response(self, response, callback, name=None):
                assert callback.__name__ == "news" and name is None
                return ordinary(self, response, callback, name)
            handler.check_response = check_response
    """,
    "load_middleware takes is_async": """
        def patch(handler):
            ordinary = handler.load_middleware
            def load_middleware(self, is_async=False):
                assert is_async is False
                return ordinary(self, is_async=is_async)
            handler.load_middleware = load_middleware
    """,
    "a WSGI handler is called by its class": """
        def patch(handler):
            from django.core.handlers.wsgi import WSGIHandler
            ordinary = WSGIHandler.__call__
            def call(self, environ, start_response):
                assert environ["PATH_INFO"] == "/ws/news/7"
                def start(status, headers):
                    return start_response(status, headers)
                return ordinary(self, environ, start)
            WSGIHandler.__call__ = call
    """,
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("patch", PATCHES)
def test_a_patched_handler_serves_websockets(patch, version):
    lines = printed_by(
        PATCHES[patch]
        + """
        def make(wsgi_app, **options):
            from django.core.handlers.base import BaseHandler
            from tina4_wsgi.contrib.django import wrap
            patch(BaseHandler)
            return wrap(wsgi_app, router=router, **options)

        def main():
            print(ask(), [line for line in log if line.startswith("ERROR")])
        """,
        version,
    )

    assert lines == ["open []"]


def test_process_view_is_given_view_arguments_and_parameters():
    lines = printed_by("""
        class Views:
            def __init__(self, get_response):
                self.get_response = get_response

            def __call__(self, request):
                return self.get_response(request)

            def process_view(self, request, view_func, view_args, view_kwargs, /):
                seen.append((request.websocket_event, view_func.__name__, view_args, view_kwargs))

        MIDDLEWARE = ["project.Views"]

        def main():
            ask()
            print(*seen[:2])
    """)

    assert lines == ["('auth', 'news', (), {'number': 7}) ('open', 'news', (), {'number': 7})"]


@pytest.mark.parametrize(
    ("mark", "expected"),
    [("login_required", "False"), ("csrf_exempt", "True"), ("a_mark_of_ones_own", "[1]")],
)
def test_marks_of_a_callback_are_on_the_view(mark, expected):
    lines = printed_by(f"""
        news.{mark} = {expected}

        def marked(get_response):
            def call(request):
                response = get_response(request)
                seen.append(getattr(request.resolver_match.func, "{mark}"))
                return response
            return call

        MIDDLEWARE = ["project.marked"]

        def main():
            ask()
            print(seen[0])
    """)

    assert lines == [expected]


def test_signals_around_an_event_are_those_around_a_request():
    lines = printed_by("""
        from django.core.signals import request_finished, request_started

        def main():
            request_started.connect(lambda environ, **_: seen.append(environ["PATH_INFO"]), weak=False)
            request_finished.connect(lambda sender, **_: seen.append("finished"), weak=False)
            ask()
            print(*seen[:4])
    """)

    assert lines == ["/ws/news/7 finished /ws/news/7 finished"]
