from __future__ import annotations

import os
from pathlib import Path

import pytest

from jsched.policy.commands import Command, find_program


def program(path: Path, mode: int = 0o755) -> Path:
    """An executable file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    return path


def link(path: Path, target: Path | str) -> Path:
    """A symbolic link."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)
    return path


def test_search_path(tmp_path: Path) -> None:
    """The first directory counts that has a regular file that can be executed; the others are passed over."""
    (tmp_path / "a" / "tool").mkdir(parents=True)
    program(tmp_path / "b" / "tool", 0o644)
    link(tmp_path / "c" / "tool", "nowhere")
    wanted = program(tmp_path / "d" / "tool")
    program(tmp_path / "e" / "tool")
    path = ":".join(str(tmp_path / name) for name in "xabcde")
    assert find_program("tool", path, "/") == str(wanted)
    assert find_program("other", path, "/") is None


def test_relative_names(tmp_path: Path) -> None:
    """A name with a slash, and a relative directory in the search path, are seen from the working directory."""
    wanted = program(tmp_path / "w" / "bin" / "tool")
    workdir = str(tmp_path / "w")
    assert find_program("bin/tool", "/usr/bin", workdir) == str(wanted)
    assert find_program("./bin/../bin/tool", "", workdir) == str(wanted)
    assert find_program("../w/bin/tool", "", workdir) == str(wanted)
    assert find_program("tool", "bin", workdir) == str(wanted)
    assert find_program("tool", "/nowhere:", f"{workdir}/bin") == str(wanted)
    assert find_program("tool", "/usr/bin", f"{workdir}/bin") is None


def test_links_are_followed(tmp_path: Path) -> None:
    """What is found is the file at the end of all links, of directories as of files."""
    wanted = program(tmp_path / "real" / "tool")
    link(tmp_path / "to-dir", "real")
    link(tmp_path / "chain", tmp_path / "to-dir" / "tool")
    link(tmp_path / "bin" / "ls", "../chain")
    assert find_program(str(tmp_path / "bin" / "ls"), "", "/") == str(wanted)
    assert find_program("ls", str(tmp_path / "bin"), "/") == str(wanted)
    assert find_program("./ls", "", str(link(tmp_path / "workdir", "bin"))) == str(wanted)


def test_links_without_end(tmp_path: Path) -> None:
    """A chain of more links than Linux would ever follow leads to no program, and does no harm."""
    program(tmp_path / "0")
    for number in range(1200):
        link(tmp_path / str(number + 1), str(number))
    assert find_program("./1200", "", str(tmp_path)) is None


def test_what_is_no_program(tmp_path: Path) -> None:
    """A directory, a FIFO, a device, a file without permission, a loop, a name with a NUL: nothing is found."""
    os.mkfifo(tmp_path / "fifo", 0o777)
    link(tmp_path / "loop", "loop")
    program(tmp_path / "data", 0o644)
    (tmp_path / "dir").mkdir()
    for name in ("fifo", "loop", "data", "dir", "missing", "dir/..", "data/x", "nul\0", "x" * 5000):
        assert find_program(str(tmp_path / name), "", "/") is None, name
    assert find_program("/dev/null", "", "/") is None


def test_a_path_that_is_no_text(tmp_path: Path) -> None:
    """A link to a file whose name is not UTF-8 leads to nothing that could be named in a list."""
    odd = os.fsencode(tmp_path) + b"/\xff"
    with open(odd, "wb"):
        os.chmod(odd, 0o755)
    os.symlink(b"\xff", os.fsencode(tmp_path / "link"))
    assert find_program(str(tmp_path / "link"), "", "/") is None
    assert find_program(str(program(tmp_path / "ä")), "", "/") == str(tmp_path / "ä")


def test_a_pattern_s_directories_are_real_and_its_last_part_is_not(tmp_path: Path) -> None:
    """/bin/ls is /usr/bin/ls where /bin is a link; where ls is a link to busybox, busybox is not allowed by it."""
    tool = program(tmp_path / "usr" / "bin" / "tool")
    many = program(tmp_path / "usr" / "bin" / "many")
    link(tmp_path / "usr" / "bin" / "ls", "many")
    link(tmp_path / "bin", "usr/bin")
    assert Command(f"{tmp_path}/bin/tool").allows(str(tool), ())
    assert Command(f"{tmp_path}/bin/*").allows(str(tool), ())
    assert Command(f"{tmp_path}/usr/*/tool").allows(str(tool), ())
    assert Command(f"{tmp_path}/**").allows(str(tool), ())
    assert not Command(f"{tmp_path}/bin/ls").allows(str(many), ())
    assert not Command(f"{tmp_path}/usr/bin/ls").allows(str(many), ())
    # A pattern before a link can't be resolved: it is of real paths.
    assert not Command(f"{tmp_path}/bi?/tool").allows(str(tool), ())


def test_a_directory_whose_name_is_a_pattern(tmp_path: Path) -> None:
    """What a link leads to is taken as it is, whatever its name would mean as a pattern."""
    strange = program(tmp_path / "[ab]*" / "tool")
    link(tmp_path / "bin", "[ab]*")
    assert Command(f"{tmp_path}/bin/tool").allows(str(strange), ())
    assert not Command(f"{tmp_path}/bin/tool").allows(str(program(tmp_path / "a" / "tool")), ())


@pytest.mark.parametrize(
    ("patterns", "args", "allowed"),
    [
        (None, ("anything", "--at=all"), True),
        ((), (), True),
        ((), ("x",), False),
        (("pull",), ("pull",), True),
        (("pull",), (), False),
        (("pull",), ("pull", "x"), False),
        (("pull", "**"), ("pull",), True),
        (("pull", "**"), ("pull", "a", "/b"), True),
        (("pull", "**"), ("push",), False),
        (("**",), (), True),
        (("**", "x"), ("a/b", "x"), True),
        (("**", "x"), ("x",), False),
        (("release-*",), ("release-1",), True),
        (("release-*",), ("release-../../x",), False),
        (("--dir=**",), ("--dir=/a/b",), True),
        (("*",), ("",), True),
    ],
)
def test_arguments(patterns: tuple[str, ...] | None, args: tuple[str, ...], allowed: bool) -> None:
    """Patterns match arguments one to one; `**` at the end is any rest, none included."""
    assert Command("/bin/true", patterns).allows(os.path.realpath("/bin") + "/true", args) is allowed


@pytest.mark.parametrize("path", ["", "ls", "./ls", "/bin/", "/", "/usr/../bin/ls", "/./ls", "/bin/[", "/a\0"])
def test_what_is_no_pattern_of_a_program(path: str) -> None:
    """A pattern is an absolute path without dots that names a file."""
    with pytest.raises(ValueError, match=r"not the absolute path|not closed"):
        Command(path)
