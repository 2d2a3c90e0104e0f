"""A job's walls as flags, as JSON and as text."""

from __future__ import annotations

import argparse

import pytest

from jsched.commandline import Parser, UsageError
from jsched.confinement import NOTHING_ASKED, Bind, Confinement, Mode, Network, Walls
from jsched_cli.confinement import walls_json, walls_row
from jsched_cli.output import as_json, details
from jsched_cli.spec import add_spec, spec
from tests.unit.jsched_cli.jobs import NOW, make_job

DIGEST = "0123456789abcdef" * 4


def parse(*flags: str) -> Confinement:
    """Return what the flags of `start` ask of a job's walls."""
    parser = Parser("start")
    add_spec(parser)
    return spec(parser.parse((*flags, "true"), argparse.Namespace())).confinement


def test_no_flags() -> None:
    """Nothing that is not asked for is sent."""
    assert parse() == NOTHING_ASKED


def test_all_flags() -> None:
    """Every flag is a field, and a bind is read-only if it is not told otherwise."""
    asked = parse(
        *("--isolation=rootfs", "--rootfs=alpine", "--network=host", "--user=root", "--group=5"),
        *("--bind=/a:/b", "--bind=/c:/d:ro", "--bind=/e:/f:rw"),
    )
    assert asked == Confinement(
        mode=Mode.ROOTFS,
        network=Network.HOST,
        rootfs="alpine",
        binds=(Bind("/a", "/b"), Bind("/c", "/d"), Bind("/e", "/f", writable=True)),
        user="root",
        group="5",
    )


@pytest.mark.parametrize("mode", Mode)
def test_modes(mode: Mode) -> None:
    """Each mode is a word of --isolation."""
    words = [f"--isolation={mode.value}", *(["--rootfs=x"] if mode is Mode.ROOTFS else [])]
    assert parse(*words).mode is mode


@pytest.mark.parametrize("text", ["", "/a", "/a:", ":/b", ":", "/a:/b:", "/a:/b:x", "/a:/b:RW", "/a:/b:rw:ro"])
def test_a_bind_that_is_none(text: str) -> None:
    """A bind without both ends, or with another word than ro and rw, is shown to whoever has typed it."""
    with pytest.raises(UsageError) as caught:
        parse(f"--bind={text}")
    assert str(caught.value) == f"--bind: {text!r} is not SRC:DST, SRC:DST:ro or SRC:DST:rw"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--isolation=full"], "full"),
        (["--network=bridge"], "bridge"),
        (["--isolation=rootfs"], "isolation rootfs needs the name of a root file system"),
        (["--isolation=host", "--rootfs=x"], "isolation host has no root file system"),
        (["--rootfs=A"], "rootfs 'A' is not a name of a root file system"),
        (["--isolation=none", "--network=none"], "isolation none has no network of its own"),
        (["--bind=a:/b"], "bind source 'a' is not an absolute path without '..'"),
        (["--bind=/a:/b/.."], "bind target '/b/..' is not an absolute path without '..'"),
        (["--bind=/a:/"], "a bind's target is the root directory"),
        (["--bind=/\udcff:/a"], "is not an absolute path"),
        (["--user="], "user '' is not a name or number"),
    ],
)
def test_wrong_flags(flags: list[str], message: str) -> None:
    """What no server could accept is refused as usage, before there is a connection."""
    with pytest.raises(UsageError) as caught:
        parse(*flags)
    assert message in str(caught.value)


def test_walls_in_a_few_words() -> None:
    """The details of a job say what it sees, and what it does not have."""
    for walls, text in (
        (None, ""),
        (Walls(Mode.NONE, Network.HOST), "none: all that the server's user may do"),
        (Walls(Mode.HOST, Network.NONE, steps=("a", "b", "c")), "host, network none, 3 walls"),
    ):
        assert walls_row(make_job(walls=walls)) == ("isolation", text)
    job = make_job(
        spec={"confinement": Confinement(rootfs="alpine")}, walls=Walls(Mode.ROOTFS, Network.HOST, DIGEST, ("a",))
    )
    assert walls_row(job) == ("isolation", "rootfs alpine (0123456789ab), network host, 1 walls")
    assert "isolation:   rootfs alpine (0123456789ab), network host, 1 walls" in details(job, NOW)


def test_json() -> None:
    """JSON has each wall by its name, and null where a job has none yet."""
    assert walls_json(None) is None
    assert as_json(make_job())["isolation"] is None
    assert walls_json(Walls(Mode.HOST, Network.NONE, steps=("clone", "proc"))) == {
        "isolation": "host",
        "network": "none",
        "rootfs": None,
        "walls": ["clone", "proc"],
    }
    assert walls_json(Walls(Mode.ROOTFS, Network.HOST, DIGEST)) == {
        "isolation": "rootfs",
        "network": "host",
        "rootfs": DIGEST,
        "walls": [],
    }
