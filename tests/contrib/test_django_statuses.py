"""What `auth` and callbacks raise becomes a status, or a close code, by the way that Django has for
it.
"""

from __future__ import annotations

import pytest

from tests.contrib.django_house import VERSIONS
from tests.contrib.django_program import printed_by

pytestmark = [pytest.mark.deadline(90), pytest.mark.usefixtures("django_programs")]

RAISING = """
class Odd(Exception):
    pass

def raised():
    ...

def auth(request):
    raised()

router.websocket("/ws/auth", news, auth=auth)

def act(data):
    if data != "after":
        raised()
    return data

def closed():
    "Send messages whose callbacks raise, and one more: gives the close code, or what comes next."
    with client.websocket("/ws/news/7") as ws:
        ws.receive()
        ws.send("go")
        try:
            ws.send("on")
            ws.send("after")
            return ws.receive()
        except Exception:
            return ws.closed_with and ws.closed_with[0]
"""


def answers(raising: str, more: str = "", version: str = "newest") -> list[str]:
    """Give the status of a handshake whose `auth` raises, and how often the log tells of an
    exception.
    """
    import textwrap

    code = textwrap.dedent(RAISING).replace("    ...", f"    {raising}") + textwrap.dedent(more)
    code += """
def main():
    print(ask("/ws/auth"), len([line for line in log if "raised" in line]))
"""
    return printed_by(code, version)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("raising", "expected"),
    [
        ("raise Http404", "404 0"),
        ("raise PermissionDenied", "403 0"),
        ("raise SuspiciousOperation", "400 0"),
        ("raise BadRequest", "400 0"),
        ("raise Odd", "500 1"),
        ("raise LookupError", "500 1"),
    ],
)
def test_an_exception_of_auth_has_the_status_that_a_view_would_give_it(raising, expected, version):
    assert answers(raising, version=version) == [expected]


def test_a_handler_of_the_project_decides():
    assert answers(
        "raise PermissionDenied",
        """
handler403 = lambda request, exception: HttpResponse(status=451)
""",
    ) == ["451 0"]


def test_a_handler_that_redirects_is_a_403():
    assert answers(
        "raise Http404",
        """
handler404 = lambda request, exception: HttpResponseRedirect("/")
""",
    ) == ["403 0"]


def test_a_handler_that_fails_is_a_500_that_is_logged():
    assert answers(
        "raise Http404",
        """
handler404 = lambda request, exception: 1 / 0
""",
    ) == ["500 1"]


@pytest.mark.parametrize(
    ("answer", "expected"), [("429", "429 0"), ("402", "402 0"), ("200", "403 0")]
)
def test_a_middleware_may_answer_an_exception(answer, expected):
    assert answers(
        "raise Odd",
        f"""
class Answering:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return self.get_response(request)

    def process_exception(self, request, exception):
        if isinstance(exception, Odd):
            return HttpResponse(status={answer})

MIDDLEWARE = ["project.Answering"]
""",
    ) == [expected]


REST = """
SETTINGS = {"INSTALLED_APPS": ["django.contrib.contenttypes", "django.contrib.auth", "rest_framework"]}
def exceptions():
    from rest_framework import exceptions
    return exceptions
"""


@pytest.mark.parametrize(
    ("raising", "expected"),
    [
        ("raise exceptions().NotAuthenticated", "401 0"),
        ("raise exceptions().AuthenticationFailed", "401 0"),
        ("raise exceptions().PermissionDenied", "403 0"),
        ("raise exceptions().Throttled(wait=9)", "429 0"),
        ("raise exceptions().ValidationError", "400 0"),
        ("raise type('Teapot', (exceptions().APIException,), {'status_code': 418})", "418 0"),
    ],
)
def test_an_exception_of_rest_framework_has_its_own_status(raising, expected):
    assert answers(raising, REST) == [expected]


def test_the_exception_handler_of_rest_framework_is_asked():
    assert answers(
        "raise exceptions().NotAuthenticated",
        """
from types import SimpleNamespace
SETTINGS = {"REST_FRAMEWORK": {"EXCEPTION_HANDLER": "project.handle"}}
def handle(error, context):
    from rest_framework.response import Response
    assert context["request"].path == "/ws/auth"
    return Response(status=404)
def exceptions():
    from rest_framework import exceptions
    return exceptions
""",
    ) == ["404 0"]


def test_what_the_client_should_do_is_passed_on():
    lines = printed_by("""
        SETTINGS = {"INSTALLED_APPS": ["django.contrib.contenttypes", "django.contrib.auth", "rest_framework"]}

        def auth(request):
            from rest_framework.exceptions import NotAuthenticated
            error = NotAuthenticated()
            error.auth_header = 'Token realm="api"'
            raise error

        router.websocket("/ws/auth", news, auth=auth)

        def main():
            try:
                client.websocket("/ws/auth")
            except HandshakeRefused as refusal:
                print(refusal.status, refusal.headers["WWW-Authenticate"])
    """)

    assert lines == ['401 Token realm="api"']


@pytest.mark.parametrize(
    ("raising", "expected"),
    [
        ("raise PermissionDenied", "4403 0"),
        ("raise exceptions().NotAuthenticated", "4401 0"),
        ("raise exceptions().PermissionDenied", "4403 0"),
        ("raise Http404", "after 2"),
        ("raise exceptions().ValidationError", "after 2"),
        ("raise Odd", "after 2"),
    ],
)
def test_a_callback_that_may_not_go_on_closes_and_what_else_it_raises_is_an_error(
    raising, expected
):
    code = RAISING.replace("    ...", f"    {raising}") + REST
    code += """
def main():
    print(closed(), len([line for line in log if "raised" in line]))
"""

    assert printed_by(code) == [expected]
