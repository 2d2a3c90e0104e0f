from __future__ import annotations

import pytest

from jsched.errors import InvalidArgument
from jsched.rootfs import Archive, check_name

DIGEST = "0123456789abcdef" * 4


@pytest.mark.parametrize("name", ["a", "0", "alpine-3.19_x", "a" * 63])
def test_good_names(name: str) -> None:
    """Lower-case letters, digits, dots, underscores and dashes make a name, 63 of them at most."""
    check_name(name)


@pytest.mark.parametrize("name", ["", "A", ".a", "-a", "_a", "a/b", "a b", "a" * 64, "a\n", "ä", "..", "a\0"])
def test_bad_names(name: str) -> None:
    """What could be taken for a path, a flag or something else is no name."""
    with pytest.raises(InvalidArgument, match="name"):
        check_name(name)


@pytest.mark.parametrize(
    ("digest", "size"),
    [
        ("", 1),
        (DIGEST[:-1], 1),
        (DIGEST + "0", 1),
        (DIGEST.upper(), 1),
        ("../" + DIGEST[3:], 1),
        (DIGEST, 0),
        (DIGEST, -1),
    ],
)
def test_an_archive_checks_itself(digest: str, size: int) -> None:
    """A digest that is none and a size that can't be are refused, naming the field."""
    with pytest.raises(InvalidArgument, match=r"digest|size"):
        Archive("a", digest, size)
