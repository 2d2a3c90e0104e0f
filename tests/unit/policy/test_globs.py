from __future__ import annotations

import time

import pytest

from jsched.policy.globs import LONGEST, check, is_pattern, matches


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("/usr/bin/make", "/usr/bin/make"),
        ("/usr/bin/*", "/usr/bin/make"),
        ("/usr/*/make", "/usr/bin/make"),
        ("/usr/**", "/usr/bin/make"),
        ("/**/make", "/usr/bin/make"),
        ("**", ""),
        ("*", ""),
        ("a*", "a"),
        ("a?c", "abc"),
        ("[a-c]x", "bx"),
        ("[!a-c]x", "dx"),
        ("[]]", "]"),
        ("[*]", "*"),
        ("[a-]", "-"),
        ("[.]+$^(|", ".+$^(|"),
        ("**a*b", "a/ab"),
        ("*a*b*c*", "xaxbxcx"),
        ("line\nbreak*", "line\nbreak\n"),
        ("ä*", "äöü"),
    ],
)
def test_what_a_pattern_is_of(pattern: str, text: str) -> None:
    """A pattern matches the whole of a text that it describes."""
    assert matches(pattern, text)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("/usr/bin/make", "/usr/bin/make2"),
        ("/usr/bin/make", "/usr/bin/mak"),
        ("/usr/bin/*", "/usr/bin/a/b"),
        ("/usr/bin/?", "/usr/bin//"),
        ("/usr[/]bin", "/usr/bin"),
        ("/usr[!a]bin", "/usr/bin"),
        ("/usr[.-0]bin", "/usr/bin"),
        ("a*b", "ab\n"),
        ("[!a-c]x", "bx"),
        ("A*", "abc"),
        ("", "a"),
        ("a.c", "abc"),
        ("pull", "pull "),
    ],
)
def test_what_a_pattern_is_not_of(pattern: str, text: str) -> None:
    """`*`, `?` and sets never take a slash, and what comes before or after counts."""
    assert not matches(pattern, text)


@pytest.mark.parametrize("pattern", ["[", "a[b", "[]", "[!]", "[z-a]"])
def test_what_is_no_pattern(pattern: str) -> None:
    """A set that is not closed, or a range that runs backwards, is refused when it is read."""
    with pytest.raises(ValueError, match=r"closed|no range"):
        check(pattern)


def test_a_plain_text_is_no_pattern() -> None:
    """Only the three signs make a pattern."""
    assert not is_pattern("/usr/bin/make-4.3{a,b}")
    assert all(map(is_pattern, ("*", "a?", "[a]")))


def test_a_text_that_is_meant_to_take_long() -> None:
    """Many stars and the longest text take some milliseconds; a longer text is no pattern's but its own and `**`'s."""
    text = "a" * LONGEST
    started = time.process_time()
    assert not matches("*a*a*a*a*a*a*a*a*b", text)
    assert time.process_time() - started < 2
    assert matches("*a*", text)
    assert not matches("*a*", text + "a")
    assert matches("**", text + "a")
    assert matches(text + "a", text + "a")
