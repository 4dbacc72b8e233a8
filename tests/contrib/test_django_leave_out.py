"""Middleware that records can be left out of WebSocket events; handshakes and pages pass it all the
same.
"""

from __future__ import annotations

import pytest

from tests.contrib.django_program import printed_by

pytestmark = [pytest.mark.deadline(90), pytest.mark.usefixtures("django_programs")]

RECORDING = """
class Recorder:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        seen.append(getattr(request, "websocket_event", "page"))
        return self.get_response(request)

    def process_view(self, request, view, args, kwargs):
        seen.append("view")

def counter(get_response):
    def call(request):
        seen.append("counted " + getattr(request, "websocket_event", "page"))
        return get_response(request)
    return call

MIDDLEWARE = ["project.Recorder", "project.counter"]
ordinary = make

def make(wsgi_app):
    return ordinary(wsgi_app, leave_out=LEAVE_OUT)

def auth(request):
    return "ada"

router.websocket("/ws/auth", news, auth=auth)

def main():
    client.get("/page")
    print(*seen)
    seen.clear()
    with client.websocket("/ws/auth") as ws:
        ws.receive()
        ws.send("go")
        ws.receive()
    print(*seen)
"""

ALL = (
    "auth view counted auth open view counted open message view counted message close view counted "
    "close"
)


@pytest.mark.parametrize(
    ("leave_out", "told"),
    [
        (
            '["project.Recorder"]',
            "auth counted auth view counted open counted message counted close",
        ),
        ("[Recorder]", "auth counted auth view counted open counted message counted close"),
        ('"project.Recorder"', "auth counted auth view counted open counted message counted close"),
        ("counter", "auth counted auth view open view message view close view"),
        ('("project.Recorder", counter)', "auth counted auth view"),
    ],
)
def test_what_is_left_out_sees_handshakes_and_pages_alone(leave_out, told):
    lines = printed_by(RECORDING.replace("LEAVE_OUT", leave_out))

    assert lines == ["page counted page", told]


def test_a_question_that_is_asked_again_passes_it_by():
    lines = printed_by(
        RECORDING.replace("LEAVE_OUT", "[Recorder, counter]")
        + """
connections = []
@router.websocket("/ws/kept", auth=auth)
def kept(connection, event, data):
    if event == "open":
        connection.send(str(connection.refresh_auth()))

def main():
    print(ask("/ws/kept"), *seen)
"""
    )

    assert lines == ["True auth counted auth view"]


@pytest.mark.parametrize(
    "wrong", ['["project.recorder"]', '"silk.middleware.SilkyMiddleware"', "[len]"]
)
def test_what_is_not_there_is_refused_with_what_is(wrong):
    lines = printed_by(
        RECORDING.replace("leave_out=LEAVE_OUT", "")
        + f"""
def main():
    from tina4_wsgi.errors import ConfigError
    try:
        ordinary(get_wsgi_application(), leave_out={wrong})
    except ConfigError as exc:
        print(exc)
"""
    )

    assert len(lines) == 1
    assert lines[0].endswith("expected middleware of MIDDLEWARE: project.Recorder, project.counter")
