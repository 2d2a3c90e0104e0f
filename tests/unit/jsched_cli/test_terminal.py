"""What a terminal gets to see of a job's output."""

from __future__ import annotations

import random
import re

import pytest

from jsched_cli.terminal import RESET, TerminalFilter

# What a terminal can act on in what it is given: C0 (but tab and line feed), DEL, C1, and marks of direction.
ACTS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
COLOUR = re.compile("\x1b\\[[0-9;:]*m")
PIECES = (
    b"plain text\n",
    "Grüße, 価格, 😀\n".encode(),
    b"\x1b[1;31mred\x1b[0m",
    b"\x1b[38;5;200m",
    b"\x1b[38:2::1:2:3m",
    b"\x1b[",
    b"\x1b",
    b"\x1b[" + b"1;" * 40 + b"m",
    b"\x1b]0;title\x07",
    b"\x1b[2J",
    b"\r",
    b"\r\n",
    b"\n",
    b"\xe2\x82",
    b"\xac",
    b"\xff",
    b"\xc2\x9b31m",
    "\u202e\u2028\u200b\ufeff".encode(),
    b"m",
    b"0;",
)


def shown(*pieces: bytes, encoding: str = "utf-8") -> str:
    """Return what a terminal is shown of these pieces."""
    terminal = TerminalFilter(encoding)
    return (b"".join(terminal.feed(piece) for piece in pieces) + terminal.finish()).decode(encoding)


@pytest.mark.parametrize(
    ("output", "text"),
    [
        (b"a\tb\n", "a\tb\n"),
        ("Grüße, 価格 😀 👩\u200d💻 e\u0301 a\u00a0b\n".encode(), "Grüße, 価格 😀 👩\u200d💻 e\u0301 a\u00a0b\n"),
        (b"\x1b]0;title\x07", r"\x1b]0;title\x07"),
        (b"\x1b]52;c;bHM=\x1b\\", r"\x1b]52;c;bHM=\x1b" + "\\"),
        (b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", r"\x1b]8;;http://x\x1b\link\x1b]8;;\x1b" + "\\"),
        (b"\x1bP$qm\x1b\\", r"\x1bP$qm\x1b" + "\\"),
        (b"\x1b[2J\x1b[H\x1b[5n\x1bc\x05", r"\x1b[2J\x1b[H\x1b[5n\x1bc\x05"),
        (b"\x9b2J", r"\x9b2J"),
        ("\x9b2J\x85".encode(), r"\x9b2J\x85"),
        (b"a\x08\x7f\x00", r"a\x08\x7f\x00"),
        ("abc\u202edef\u2066\u200f\u061c".encode(), r"abc\u202edef\u2066\u200f\u061c"),
        ("a\u2028b\u2029\u200b\ufeff\U000e0041".encode(), r"a\u2028b\u2029\u200b\ufeff\U000e0041"),
        (b"\xff\xc3(\xed\xa0\x80\xc0\x80", r"\xff\xc3(\xed\xa0\x80\xc0\x80"),
        (b"a\xe2\x82", r"a\xe2\x82"),
        (b"10%\r20%\r\n", "10%\n20%\n"),
        (b"rm\rls\r\r\nx\r", "rm\nls\nx\n"),
        (b"\x1b[", r"\x1b["),
    ],
)
def test_what_a_terminal_would_act_on_is_text(output: bytes, text: str) -> None:
    """Text, in any script, stays as it is; controls, invisible marks and wrong bytes can be read."""
    assert shown(output) == text


@pytest.mark.parametrize(
    "colour",
    [
        "",
        "0",
        "1;31",
        "01;04;32",
        "97;107",
        "38;5;200",
        "48;2;1;20;255;1",
        "38:2::1:2:3",
        "58:5:7",
        "4:3",
        ";1",
        "39;49;59",
    ],
)
def test_colours_pass(colour: str) -> None:
    """Colours, bold, underlining and their ends are left in."""
    sequence = f"\x1b[{colour}m"
    assert shown(f"{sequence}x\x1b[0m".encode()) == f"{sequence}x\x1b[0m"


@pytest.mark.parametrize("parameters", ["5", "8", "31;8", "38;5", "38;2;1;2", "11", "57", "?1", "1 ", ">4;1", "1" * 61])
def test_what_only_looks_like_a_colour(parameters: str) -> None:
    """Blinking and concealed text, fonts, and what is no colour at all are shown as text."""
    assert shown(f"\x1b[{parameters}m".encode()) == f"\\x1b[{parameters}m"


@pytest.mark.parametrize("output", ["\x1b[31mx", "\x1b[38;5;0mx", "\x1b[0;1mx", "\x1b[31mx\x1b[39m"])
def test_the_end_is_without_colours(output: str) -> None:
    """What the output leaves set is ended after it; where all is ended nothing is added."""
    assert shown(output.encode()) == output + RESET.decode()
    assert shown(f"{output}\x1b[1;0m".encode()) == f"{output}\x1b[1;0m"


def test_colours_that_are_set_are_known() -> None:
    """Between two pieces it is known which colours are set, and never more than can be said in a few bytes."""
    terminal = TerminalFilter()
    assert terminal.feed(b"\x1b[31ma\x1b[1") == b"\x1b[31ma"
    assert terminal.colours == b"\x1b[31m"
    assert terminal.feed(b"mb") == b"\x1b[1mb"
    assert terminal.colours == b"\x1b[31m\x1b[1m"
    terminal.feed(b"\x1b[m")
    assert terminal.colours == b""
    terminal.feed(b"\x1b[38;2;100;100;100m" * 10_000)
    assert len(terminal.colours) < 1000


def test_nothing_is_held_back_that_can_be_shown() -> None:
    """A line without its end and a progress report are shown at once; half a character or colour is not."""
    terminal = TerminalFilter()
    assert terminal.feed(b"password: ") == b"password: "
    assert terminal.feed(b"10%\r") == b"10%\n"
    assert terminal.feed(b"\n") == b""
    assert terminal.feed(b"\n\xc3") == b"\n"
    assert terminal.feed(b"\xbc\x1b[3") == "ü".encode()
    assert terminal.feed(b"A") == b"\\x1b[3A"


def test_a_terminal_of_another_encoding() -> None:
    """What the terminal has no character for is shown as in a string literal; Latin-1's controls are none of them."""
    assert shown("aü€\x9b".encode(), encoding="iso-8859-1") == r"aü\u20ac\x9b"
    assert shown("aü".encode(), encoding="ascii") == r"a\xfc"


def samples(seed: int) -> bytes:
    """Return output of random bytes and of pieces that need a second look."""
    chance = random.Random(seed)
    parts = [chance.choice((*PIECES, chance.randbytes(chance.randrange(8)))) for _ in range(chance.randrange(60))]
    return b"".join(parts)


@pytest.mark.parametrize("seed", range(150))
def test_however_it_is_cut(seed: int) -> None:
    """Whatever comes and however it is cut, the same is shown, and nothing that a terminal acts on but colours."""
    output = samples(seed)
    chance = random.Random(-seed)
    whole = shown(output)
    for longest in (1, 3, 40):
        pieces, position = [], 0
        while position < len(output):
            size = chance.randint(0, longest)
            pieces.append(output[position : position + size])
            position += size
        assert shown(*pieces) == whole
    assert not ACTS.search(COLOUR.sub("", whole))


def test_every_character_alone() -> None:
    """Of all characters there are, those that a terminal acts on are shown as ASCII."""
    for code in (*range(0xD800), *range(0xE000, 0x110000, 29)):
        text = shown(chr(code).encode())
        if text != chr(code):
            assert text == "\n" if code == 0x0D else text.isascii()
            assert text == "\n" or text.startswith("\\")
        else:
            assert not ACTS.match(text), hex(code)
