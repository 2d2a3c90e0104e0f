"""Sandboxes as values, and the plan that is made of them."""

from __future__ import annotations

import pytest

from jsched.isolation import plan
from jsched.isolation.sandbox import HOST, NONE, ROOTFS, Bind, Sandbox
from tests.helpers.walled import make_sandbox


def test_a_sandbox_survives_the_wire() -> None:
    """What was encoded is decoded to an equal value, with tuples where tuples were."""
    sandbox = make_sandbox(binds=(Bind("/a", "/b", writable=True),), seccomp="/x", capabilities=1 << 40)
    assert Sandbox.decode(sandbox.encode()) == sandbox
    assert hash(Sandbox.decode(sandbox.encode())) == hash(sandbox)


@pytest.mark.parametrize("text", ["", "{}", "null", "[1]", '["host", "none", 1, 1, 5]'])
def test_nonsense_is_no_sandbox(text: str) -> None:
    """Anything else is a ValueError."""
    with pytest.raises(ValueError):
        Sandbox.decode(text)


def test_every_step_is_named_once_and_described() -> None:
    """A failure names one step, and the plan has a sentence for each."""
    steps = [
        step
        for mode in (HOST, ROOTFS)
        for step in plan.describe(make_sandbox(mode=mode, binds=(Bind("/a", "/b"),), seccomp="/x"))
    ]
    for name, description in steps:
        assert description.endswith("."), name
        assert " " not in name
    assert len(set(steps)) == len({name for name, _ in steps})


def test_the_order_of_the_walls() -> None:
    """What needs a privilege comes before privileges go, and the filter after all other walls."""
    names = [name for name, _ in plan.describe(make_sandbox(mode=ROOTFS, binds=(Bind("/a", "/b"),), seccomp="/x"))]
    order = ["devices", "mounts", "maps", "scratch", "root", "dev", "hide", "limits", "bounding-set"]
    order += ["no-new-privileges", "proc", "writable", "bind", "pivot"]
    order += ["user", "capabilities", "parent-death", "dumpable", "seccomp"]
    order += ["workdir", "stdio", "descriptors"]
    assert [name for name in names if name in order] == order


def test_only_the_walls_that_were_asked_for() -> None:
    """Steps that a sandbox does not need are not in its plan."""
    bare = Sandbox(mode=HOST, network="host", uid=1, gid=1)
    assert not {"root", "pivot", "bind", "loopback", "seccomp"} & {name for name, _ in plan.describe(bare)}
    assert "loopback" in {name for name, _ in plan.describe(bare._replace(network=NONE))}
