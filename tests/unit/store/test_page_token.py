from __future__ import annotations

import base64

import pytest

from jsched.errors import InvalidArgument
from jsched.store.page_token import PageTokens

SECRET = bytes(range(16))


def test_a_token_tells_nothing_of_its_position() -> None:
    """The number of a row, which counts everybody's jobs, is not in a token, nor are two tokens as near as theirs."""
    tokens = PageTokens(SECRET)
    contents = [base64.urlsafe_b64decode(tokens.token(number, b"")) for number in (1000, 1001)]
    for number, content in zip((1000, 1001), contents, strict=True):
        assert number.to_bytes(2, "big") not in content
    assert sum(one != other for one, other in zip(*contents, strict=True)) > len(contents[0]) // 2


def test_a_token_is_of_one_list_and_one_database() -> None:
    """A token is read with the filter and the secret that it was made with, and with no other."""
    token = PageTokens(SECRET).token(1000, b"alice")
    assert PageTokens(SECRET).position(token, b"alice") == 1000
    for secret, scope in ((SECRET, b"bob"), (b"\1" * 16, b"alice")):
        with pytest.raises(InvalidArgument, match="page_token"):
            PageTokens(secret).position(token, scope)


@pytest.mark.parametrize("made_up", ["", "AAAA", "ä", "=", base64.urlsafe_b64encode(bytes(24)).decode()])
def test_what_is_made_up_is_no_token(made_up: str) -> None:
    """Whatever a caller sends as a token is read as one that was given, or is refused."""
    with pytest.raises(InvalidArgument, match="page_token"):
        PageTokens(SECRET).position(made_up, b"")
