"""Values are what a frozen dataclass with slots is, without its generated code."""

from __future__ import annotations

import copy
import inspect
import pickle
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, replace
from typing import Any

import pytest

from jsched.frozen import frozen


@frozen
class Value:
    """A value of every sort of field."""

    name: str
    size: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name.strip())
        if self.size == 0:
            raise ValueError("nothing")


@frozen
class Other:
    """Has the fields of Value, and is none."""

    name: str
    size: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@frozen
class Pair:
    """Can be hashed."""

    left: int
    right: int = 2


@dataclass(frozen=True, slots=True)
class Generated:
    """What Pair would be otherwise."""

    left: int
    right: int = 2


def test_fields_are_given_by_place_or_by_name() -> None:
    """What is not given has its default, and one made by a factory is nobody else's."""
    one, two = Value(" a "), Value(name="a", size=3)
    assert (one.name, one.size, two.name, two.size) == ("a", None, "a", 3)
    assert one.labels == {}
    assert one.labels is not two.labels


@pytest.mark.parametrize(
    ("given", "named", "message"),
    [
        ((), {}, "Pair() lacks a value for 'left'"),
        ((1, 2, 3), {}, "Pair() takes 2 values, and got 3"),
        ((1,), {"left": 1}, "Pair() got two values for 'left'"),
        ((1,), {"middle": 1}, "Pair() has no field 'middle'"),
    ],
)
def test_what_does_not_fit_is_a_type_error(given: tuple[int, ...], named: dict[str, int], message: str) -> None:
    """A missing, a surplus, a double and an unknown value are each named."""
    make: Any = Pair
    with pytest.raises(TypeError) as caught:
        make(*given, **named)
    assert str(caught.value) == message


def test_it_is_checked_when_it_is_made() -> None:
    """What __post_init__ refuses never becomes a value, by `replace` neither."""
    with pytest.raises(ValueError, match="nothing"):
        Value("a", 0)
    with pytest.raises(ValueError, match="nothing"):
        replace(Value("a"), size=0)


def test_it_stays_as_it_is() -> None:
    """No field can be set or deleted, and there is no room for another."""
    pair: Any = Pair(1)
    with pytest.raises(FrozenInstanceError):
        pair.left = 2
    with pytest.raises(FrozenInstanceError):
        pair.middle = 2
    with pytest.raises(FrozenInstanceError):
        del pair.left
    assert not hasattr(pair, "__dict__")


def test_it_is_compared_by_its_fields() -> None:
    """Values of one class with equal fields are one to a set; another class with the same fields is not equal."""
    assert Pair(1) == Pair(1, 2) != Pair(1, 3)
    assert len({Pair(1), Pair(1, 2), Pair(2)}) == 2
    others: list[object] = [Other("a"), ("a", None, {})]
    assert Value("a") not in others


def test_it_is_a_dataclass() -> None:
    """The functions of `dataclasses`, patterns, copies and pickles take it as they take a generated one."""
    assert [one.name for one in fields(Value)] == ["name", "size", "labels"]
    assert asdict(Value("a", 1, {"k": "v"})) == {"name": "a", "size": 1, "labels": {"k": "v"}}
    assert replace(Pair(1), right=5) == Pair(1, 5)
    assert copy.copy(Pair(1)) == copy.deepcopy(Pair(1)) == pickle.loads(pickle.dumps(Pair(1))) == Pair(1)
    match Pair(3):
        case Pair(left, right):
            assert (left, right) == (3, 2)


def test_it_is_shown_as_a_dataclass() -> None:
    """repr() and help() tell the fields."""
    assert repr(Pair(1)) == repr(Generated(1)).replace("Generated", "Pair")
    assert str(inspect.signature(Pair)) == str(inspect.signature(Generated)).removesuffix(" -> None")


METHODS = """
import sys
import argparse, dataclasses, grpc, google.protobuf.descriptor_pool
found = []
def look(event, arguments):
    if event == "compile" and arguments[1] == "<string>" and "self" in str(arguments[0]):
        found.append(arguments[0])
sys.addaudithook(look)
import jsched.client.sync, jsched.stats, jsched.rootfs, jsched_cli.commands.status, jsched_cli.commands.start
print(*found)
"""


def test_what_a_client_imports_generates_no_methods() -> None:
    """No method of jsched's that a command of the client imports is made of source text at run time."""
    done = subprocess.run([sys.executable, "-c", METHODS], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("\n", "")
