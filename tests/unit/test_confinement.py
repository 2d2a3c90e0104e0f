"""What may be asked of a job's walls, and that it is kept as it was asked."""

from __future__ import annotations

from typing import Any

import pytest

from jsched.confinement import (
    NOTHING_ASKED,
    Bind,
    Confinement,
    Mode,
    Network,
    Walls,
    from_json,
    to_json,
    walls_from_json,
    walls_to_json,
)
from jsched.errors import InvalidArgument

EVERYTHING = Confinement(
    network=Network.HOST,
    rootfs="alpine-3.20",
    binds=(Bind("/srv/a", "/mnt/a"), Bind("/srv/ä", "/mnt/b", writable=True)),
    user="root",
    group="100",
)


@pytest.mark.parametrize(
    "asked",
    [
        NOTHING_ASKED,
        EVERYTHING,
        Confinement(mode=Mode.NONE),
        Confinement(mode=Mode.NONE, network=Network.HOST),
        Confinement(mode=Mode.HOST, network=Network.NONE, user="0"),
        Confinement(mode=Mode.ROOTFS, rootfs="x"),
    ],
)
def test_what_was_asked_is_kept(asked: Confinement) -> None:
    """JSON has all that was asked, and gives the same value back."""
    assert from_json(to_json(asked)) == asked


def test_nothing_is_kept_of_what_was_not_asked() -> None:
    """A job that asks for nothing has an empty object in the database."""
    assert to_json(NOTHING_ASKED) == {}


@pytest.mark.parametrize(
    "walls",
    [
        Walls(Mode.NONE, Network.HOST),
        Walls(Mode.HOST, Network.NONE, steps=("clone", "proc")),
        Walls(Mode.ROOTFS, Network.HOST, "0f" * 32, ("pivot",)),
    ],
)
def test_walls_are_kept(walls: Walls) -> None:
    """What a job really has comes back from JSON as it was."""
    assert walls_from_json(walls_to_json(walls)) == walls


@pytest.mark.parametrize(
    ("fields", "obj", "message"),
    [
        ({"rootfs": "Alpine"}, "rootfs", "rootfs 'Alpine' is not a name of a root file system"),
        ({"rootfs": "../etc"}, "rootfs", "rootfs '../etc' is not a name of a root file system"),
        ({"rootfs": "x\n"}, "rootfs", r"rootfs 'x\n' is not a name of a root file system"),
        ({"rootfs": ""}, "rootfs", "rootfs '' is not a name of a root file system"),
        ({"rootfs": "x" * 64}, "rootfs", f"rootfs '{'x' * 64}' is not a name of a root file system"),
        ({"rootfs": "x", "mode": Mode.HOST}, "rootfs", "isolation host has no root file system"),
        ({"rootfs": "x", "mode": Mode.NONE}, "rootfs", "isolation none has no root file system"),
        ({"mode": Mode.ROOTFS}, "rootfs", "isolation rootfs needs the name of a root file system"),
        ({"binds": tuple(Bind("/a", f"/{n}") for n in range(33))}, "binds", "33 binds are more than 32"),
        ({"binds": (Bind("/a", "/x"), Bind("/b", "//x/./"))}, "binds", "two binds have the same target"),
        ({"user": ""}, "user", "user '' is not a name or number"),
        ({"user": "-1"}, "user", "user '-1' is not a name or number"),
        ({"user": "root\n"}, "user", r"user 'root\n' is not a name or number"),
        ({"user": "²"}, "user", "user '²' is not a name or number"),
        ({"user": "x" * 33}, "user", f"user '{'x' * 33}' is not a name or number"),
        ({"group": "a:b"}, "group", "group 'a:b' is not a name or number"),
        ({"mode": Mode.NONE, "network": Network.NONE}, "network", "isolation none has no network of its own"),
        ({"mode": Mode.NONE, "user": "root"}, "user", "isolation none has no user of its own"),
        ({"mode": Mode.NONE, "group": "0"}, "group", "isolation none has no group of its own"),
        (
            {"mode": Mode.NONE, "binds": (Bind("/a", "/b"),)},
            "binds",
            "isolation none has no binds: it sees all files as they are",
        ),
    ],
)
def test_what_can_not_be_asked(fields: dict[str, Any], obj: str, message: str) -> None:
    """What contradicts itself, or names what can't be, is refused with the name of the field."""
    with pytest.raises(InvalidArgument) as caught:
        Confinement(**fields)
    assert (caught.value.obj, caught.value.message) == (obj, message)


@pytest.mark.parametrize("path", ["", "a", "./a", "~/a", "/a/../b", "/..", "/a\0b", "/\udcff"])
@pytest.mark.parametrize("end", ["source", "target"])
def test_a_bind_has_absolute_paths(path: str, end: str) -> None:
    """A path that is relative, climbs, or that no file can have is refused at either end of a bind."""
    with pytest.raises(InvalidArgument) as caught:
        Bind(path if end == "source" else "/a", path if end == "target" else "/a")
    assert caught.value.message == f"bind {end} {path!r} is not an absolute path without '..'"
    assert caught.value.obj == "binds"


@pytest.mark.parametrize("target", ["/", "//", "/.", "/./", "//.//"])
def test_nothing_is_bound_on_the_root_directory(target: str) -> None:
    """The root directory is no target, however it is written."""
    with pytest.raises(InvalidArgument, match=r"^a bind's target is the root directory$"):
        Bind("/a", target)


@pytest.mark.parametrize("target", ["/a/b", "//a/b", "/a//b/", "/./a/./b/."])
def test_a_place_has_one_name(target: str) -> None:
    """Targets that are the same place are known as the same."""
    assert Bind("/", target).place == "/a/b"


def test_names_with_two_dots_in_them_do_not_climb() -> None:
    """Only a part of a path that is '..' is refused."""
    assert Bind("/a..b/..c", "/...").place == "/..."
