from __future__ import annotations

import pytest

from jsched.policy.env_names import HARMLESS, EnvNames


def test_names_and_beginnings() -> None:
    """A name is itself, one with a star all that begin so; the first that is neither is named."""
    names = EnvNames(("MY_*", "CI"))
    assert names.refused(["CI", "MY_", "MY_THING"]) is None
    assert names.refused(["CI", "CI2", "LD_PRELOAD"]) == "CI2"
    assert names.refused(["MY"]) == "MY"
    assert EnvNames(()).refused(["A"]) == "A"
    assert EnvNames(("*",)).refused(["A", "LD_PRELOAD"]) is None


@pytest.mark.parametrize("name", ["", "A-B", "*A", "A*B", "1A", "A B", "A**", "LD_?", "Ä"])
def test_what_is_no_name(name: str) -> None:
    """What no variable can be called is refused when it is read."""
    with pytest.raises(ValueError, match="not the name of a variable"):
        EnvNames((name,))


@pytest.mark.parametrize(
    "name", ["*", "L*", "LD_*", "LD_P*", "LD_AUDIT", "PATH", "P*", "E*", "ENV", "BASH_ENV", "GCONV_*"]
)
def test_names_that_choose_what_is_executed(name: str) -> None:
    """A pattern of which any name is one that the loader, the C library or a shell follows is found."""
    assert EnvNames(("LANG", name)).choosing == name


@pytest.mark.parametrize("name", ["LANG", "MY_*", "LDX", "PATHS", "PATH_*", "EN", "ENVIRONMENT"])
def test_names_that_choose_nothing(name: str) -> None:
    """Other names are fine, however alike."""
    assert EnvNames((name,)).choosing is None


def test_the_harmless_ones_are() -> None:
    """What may be set if a policy does not say chooses nothing."""
    assert HARMLESS.choosing is None
    assert HARMLESS.refused(["LANG", "LC_ALL", "TZ", "TERM"]) is None
    assert HARMLESS.refused(["LANGUAGE"]) == "LANGUAGE"
