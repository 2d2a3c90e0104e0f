"""The order: a command laid out for the address where it will lie, as execve(2) wants it."""

from __future__ import annotations

import errno

import pytest

from jsched.isolation import order
from jsched.isolation.site import Command

ADDRESS = 0x7F00_0000_0000


def strings(content: bytes, table: int) -> list[bytes]:
    """Return what the addresses of a table point to, up to the zero that ends it."""
    found = []
    while address := order.ADDRESS.unpack_from(content, table - ADDRESS)[0]:
        start = address - ADDRESS
        found.append(content[start : content.index(b"\0", start)])
        table += order.ADDRESS.size
    return found


def test_every_address_is_that_of_its_string() -> None:
    """Directory, files to look for, arguments and environment are where the tables say, in their order."""
    command = Command(("prog", "", "ü", "a b"), {"PATH": "/bin:/opt/x", "E": ""}, "/tmp")
    content = order.encode(command, ADDRESS)
    size, workdir, argv, env = order.HEADER.unpack_from(content)
    assert size == len(content)
    assert content[workdir - ADDRESS :].startswith(b"/tmp\0")
    assert strings(content, ADDRESS + order.HEADER.size) == [b"/bin/prog", b"/opt/x/prog"]
    assert strings(content, argv) == [b"prog", b"", "ü".encode(), b"a b"]
    assert strings(content, env) == [b"PATH=/bin:/opt/x", b"E="]


def test_a_path_is_looked_for_nowhere_else() -> None:
    """A command with a slash is one file, and without an environment there is an empty one."""
    content = order.encode(Command(("./prog",), {}), ADDRESS)
    assert strings(content, ADDRESS + order.HEADER.size) == [b"./prog"]
    assert strings(content, order.HEADER.unpack_from(content)[3]) == []


@pytest.mark.parametrize(
    ("command", "number"),
    [
        (Command(("true", "a\0b"), {}), errno.EINVAL),
        (Command(("true",), {"A": "\0"}), errno.EINVAL),
        (Command(("true", "x" * order.MAX_SIZE), {}), errno.E2BIG),
    ],
    ids=["NUL in an argument", "NUL in the environment", "too large"],
)
def test_what_can_not_be_executed(command: Command, number: int) -> None:
    """What execve(2) could not take is refused before it is sent."""
    with pytest.raises(OSError) as failure:
        order.encode(command, ADDRESS)
    assert failure.value.errno == number
