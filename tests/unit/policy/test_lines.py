from __future__ import annotations

import random
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest

from jsched.policy.document import PRESETS, read_document
from jsched.policy.lines import Path, key_lines

# @ stands for three double quotes, & for three single ones.
NASTY = r"""# [a.comment]
title = "a # b"   # [no.header] = 1
plain = 1
[first.table]
dotted.key . third = true
"quoted key" = 'it'
"\u0061\"]" = @
[not.a.header]
x = 1
@
literal = &
[[nor.this]]&
[ first . "sp aced" ]
list = [ # a comment ]
  "one", # two
  "]",
  { path = "/x", args = ["a",
    "b}"] },
  [1,
   2], '#'
]
empty = []
none = {}
inline = { a.b = 1, "c d" = [{ e = 2 }] }
when = 1979-05-27 07:32:00Z
quotes = @a"" \" ""@
[late.inner]
[late]
[[many]]
x = 1
[many.below]
y = 1
[[many]]
x = 2
[[many.deep]]
z = 3
""".replace("@", '"' * 3).replace("&", "'" * 3)


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """All ways through a value as tomllib gives it."""
    if path:
        yield path
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from paths(inner, (*path, name))
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from paths(inner, (*path, position))


def line_of(text: str, mark: str) -> int:
    """The line that a mark stands on, from 1."""
    return text[: text.index(mark)].count("\n") + 1


@pytest.mark.parametrize("text", [NASTY, NASTY.replace("\n", "\r\n"), "", "\n\n", "a=1", "[t]", "a=[[[]]]"])
def test_every_key_has_a_line(text: str) -> None:
    """Tables, dotted keys, inline tables, quoted keys, and strings that look like headers: all keys, and no other."""
    assert set(key_lines(text)) == set(paths(tomllib.loads(text)))


@pytest.mark.parametrize("name", PRESETS)
def test_every_key_of_a_preset_has_a_line(name: str) -> None:
    """In the presets too, each key and each element stands on a line."""
    document = read_document(name)
    assert set(document.lines) == set(paths(document.tables))


@pytest.mark.parametrize(
    ("path", "mark"),
    [
        (("title",), "title"),
        (("plain",), "plain"),
        (("first",), "[first.table]"),
        (("first", "table"), "[first.table]"),
        (("late",), "[late]"),
        (("first", "table", "dotted"), "dotted.key"),
        (("first", "table", "dotted", "key", "third"), "dotted.key"),
        (("first", "table", "quoted key"), '"quoted key"'),
        (("first", "table", 'a"]'), '"\\u0061'),
        (("first", "table", "literal"), "literal ="),
        (("first", "sp aced"), "[ first ."),
        (("first", "sp aced", "list", 0), '"one"'),
        (("first", "sp aced", "list", 1), '"]",'),
        (("first", "sp aced", "list", 2, "path"), "{ path"),
        (("first", "sp aced", "list", 2, "args", 1), '"b}"'),
        (("first", "sp aced", "list", 3, 1), "2], '#'"),
        (("first", "sp aced", "list", 4), "2], '#'"),
        (("first", "sp aced", "inline", "c d", 0, "e"), "inline ="),
        (("first", "sp aced", "quotes"), "quotes ="),
        (("many", 0, "x"), "x = 1\n[many.below]"),
        (("many", 0, "below", "y"), "y = 1"),
        (("many", 1, "x"), "x = 2"),
        (("many", 1, "deep", 0, "z"), "z = 3"),
    ],
)
def test_where_a_key_stands(path: Path, mark: str) -> None:
    """Each key is on the line that a reader would point at."""
    assert key_lines(NASTY)[path] == line_of(NASTY, mark)


def test_made_up_texts() -> None:
    """However tables are nested and values are written, the keys that have a line are those that tomllib reads."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for _ in range(200):
        text = made_up(chance)
        assert set(key_lines(text)) == set(paths(tomllib.loads(text))), text


def made_up(chance: random.Random) -> str:
    """A text of some tables, each with some keys, written in one of the many ways."""
    lines = []
    for table in range(chance.randrange(4)):
        lines.append(chance.choice(("[t{0}]", "[ 't{0}' . a ]", "[[t{0}]]", '[t{0}."x]y"]')).format(table))
        for key in range(chance.randrange(4)):
            name = chance.choice(("k{0}", '"k {0}"', "'k#{0}'", "k{0}.sub", "k{0} . 'a.b'")).format(key)
            lines.append(f"{name} = {value(chance, 3)} # = [x]")
    return "\n".join(lines)


def value(chance: random.Random, depth: int) -> str:
    """A value as TOML has it."""
    simple = ['"]"', "'}'", '"""\n[h]\n"""', "'''a\nb=1'''", "1", "-1.5e3", "true", "1979-05-27T07:32:00"]
    simple += ['"\\""', "''", '""']
    kind = chance.randrange(3) if depth else 0
    if kind == 1:
        gap = chance.choice(("", " ", "\n", " # ]\n"))
        return "[" + gap + f",{gap}".join(value(chance, depth - 1) for _ in range(chance.randrange(4))) + gap + "]"
    if kind == 2:
        # An inline table has to be on one line, but for the strings in it.
        pairs = (f"k{at} = {chance.choice(simple)}" for at in range(chance.randrange(3)))
        return "{ " + ", ".join(pairs) + " }"
    return chance.choice(simple)
