"""Tokens and lists of header fields (RFC 9110 §5.6)."""

from __future__ import annotations

import re

import pytest

from tina4_wsgi.protocol.grammar import (
    TOKEN_BYTE,
    TOKEN_CHARACTER,
    has_token,
    is_token,
    split_tokens,
)


@pytest.mark.parametrize("text", ["a", "Upgrade", "v1.chat", "!#$%&'*+-.^_`|~09azAZ"])
def test_a_token_is_one(text):
    assert is_token(text)


@pytest.mark.parametrize(
    "text", ["", " ", "a b", "a,b", 'a"', "a/b", "a:b", "a=b", "(a)", "[a]", "a@b", "é", "a\n"]
)
def test_what_is_no_token_is_none(text):
    assert not is_token(text)


@pytest.mark.parametrize(
    ("value", "tokens"),
    [
        ("", []),
        (",", []),
        (" , ,\t", []),
        ("a", ["a"]),
        ("a,b", ["a", "b"]),
        (" a ,\tb\t, ,c", ["a", "b", "c"]),
        ("A,a", ["A", "a"]),
    ],
)
def test_a_list_is_split_and_empty_elements_are_dropped(value, tokens):
    assert split_tokens(value) == tokens


def test_letter_case_of_a_token_does_not_count_but_its_ends_do():
    assert has_token("Keep-Alive, UPGRADE", "upgrade")
    assert not has_token("keep-alive upgrade", "upgrade")
    assert not has_token("upgraded", "upgrade")


def test_text_and_bytes_know_the_same_characters():
    of_text = {one for one in map(chr, range(256)) if re.fullmatch(TOKEN_CHARACTER, one)}
    of_bytes = {chr(one) for one in range(256) if re.fullmatch(TOKEN_BYTE, bytes([one]))}

    assert of_text == of_bytes
    assert len(of_text) == 10 + 2 * 26 + 15  # RFC 9110 §5.6.2
