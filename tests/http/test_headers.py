"""What may stand in the head of an answer."""

from __future__ import annotations

import pytest

from tina4_wsgi.errors import UsageError
from tina4_wsgi.http import headers


@pytest.mark.parametrize(
    "value", ["a\r\nSet-Cookie: x=1", "a\nb", "a\rb", "a\x00b", "\x7f", "a\x0bb"]
)
def test_a_value_with_a_control_character_is_refused(value):
    with pytest.raises(UsageError, match="control character"):
        headers.field("X-Name", value)


@pytest.mark.parametrize("name", ["", "X Name", "X:Name", "X\r\n", "Ünder", "X-Name\n", None, 3])
def test_a_name_that_is_no_token_is_refused(name):
    with pytest.raises(UsageError, match="header name"):
        headers.field(name, "value")


@pytest.mark.parametrize("name", ["Connection", "transfer-encoding", "Upgrade", "Keep-Alive"])
def test_what_belongs_to_the_server_is_refused(name):
    with pytest.raises(UsageError, match="belongs to the server"):
        headers.field(name, "x")


def test_a_value_outside_of_latin_1_is_refused():
    with pytest.raises(UsageError, match="expected characters of latin-1"):
        headers.field("X-Name", "日本")


@pytest.mark.parametrize(("value", "text"), [("é\tè", "é\tè"), (5, "5"), ("", "")])
def test_a_proper_value_passes_as_text(value, text):
    assert headers.field("X-Name", value) == ("X-Name", text)


def test_a_status_has_its_words():
    assert headers.status_line(404) == "404 Not Found"
    assert headers.status_line(299) == "299 Unknown"
    assert headers.phrase(426) == "Upgrade Required"


@pytest.mark.parametrize("code", [100, 199, 600, -1, "200", None, [200]])
def test_what_is_no_final_status_is_refused(code):
    with pytest.raises(UsageError, match="expected a number from 200 to 599"):
        headers.status_line(code)
