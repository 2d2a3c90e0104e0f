"""The table [limits] of the configuration."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from jsched import config_sources
from jsched.errors import InvalidArgument
from jsched.limits import DiskLimit, Limits
from jsched.profile import Profile, fit, parse_profile

MIB = 1024 * 1024


def test_defaults() -> None:
    """Who configures nothing gives jobs two CPUs, 1000 MiB, 512 processes, and disks at 1 GB/s and 100 MB/s."""
    assert parse_profile({}) == Profile()
    assert Profile().default == Limits(
        cpus=2,
        memory=1000 * MIB,
        pids=512,
        disk=(DiskLimit("all", read_bps=1_000_000_000, write_bps=100_000_000),),
    )
    assert Profile().unenforceable == "refuse"


def test_from_a_file(tmp_path: Path) -> None:
    """The file says it as TOML does, sizes as people write them; what it does not name stays."""
    file = tmp_path / "jsched.toml"
    file.write_text(
        'data_dir = "/d"\nlog_dir = "/l"\n[limits]\nmemory = "64m"\nswap = 0\nunenforceable = "report"\n'
        'parent = "/work"\n[[limits.disk]]\ndevice = "8:0"\nread_bps = "10m"\nwrite_iops = 100\n'
    )
    limits = config_sources.load({}, config_file=str(file), environ={"HOME": "/", "JSCHED_LIMITS": "nothing"}).limits
    assert limits.default == Limits(
        cpus=2, memory=64 * MIB, swap=0, pids=512, disk=(DiskLimit("8:0", read_bps=10 * MIB, write_iops=100),)
    )
    assert (limits.unenforceable, limits.parent) == ("report", "/work")


def test_the_manual() -> None:
    """What the manual shows of the table is accepted, and what it says of the defaults is so."""
    manual = (Path(__file__).parents[2] / "docs/operations.md").read_text("utf-8")
    shown = re.search(r"```toml\n(\[limits\].*?)```", manual, re.DOTALL)
    assert shown is not None
    profile = parse_profile(tomllib.loads(shown[1])["limits"])
    told, default = profile.default, Profile().default
    assert (told.cpus, told.memory, told.pids) == (default.cpus, default.memory, default.pids)
    assert (told.disk[0].read_bps, told.disk[0].write_bps) == (default.disk[0].read_bps, default.disk[0].write_bps)
    assert profile.enabled
    assert profile.unenforceable == Profile().unenforceable


def test_no_limits() -> None:
    """0 takes a default away."""
    table = {"cpus": 0, "memory": 0, "pids": 0, "disk": []}
    assert parse_profile(table).default == Limits()


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ({"cpu": 1}, "unknown key 'cpu'"),
        ({"cpus": "two"}, "cpus is 'two'"),
        ({"cpus": True}, "cpus is True"),
        ({"pids": 1.5}, "pids is 1.5"),
        ({"memory": "much"}, "memory 'much' is not a size"),
        ({"memory": 5}, "memory is 5"),
        ({"disk": {}}, "disk is not a list"),
        ({"disk": [{"device": "all", "read_bps": 5}] * 2}, "read_bps of disk all is given twice"),
        ({"disk": [{}]}, "not a table with a device"),
        ({"disk": [{"device": "all", "speed": 1}]}, "unknown key 'speed'"),
        ({"unenforceable": "ignore"}, "unenforceable is 'ignore'"),
        ({"unenforceable": 1}, "unenforceable is 1"),
        ({"enabled": "no"}, "enabled is 'no'"),
        ({"parent": "/a/../b"}, "parent is '/a/../b'"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, table: dict[str, Any], named: str) -> None:
    """What can't be meant is refused, and the key is named."""
    with pytest.raises(InvalidArgument, match=named):
        parse_profile(table)


def test_a_wrong_file_is_named(tmp_path: Path) -> None:
    """So is the file that it is in."""
    file = tmp_path / "jsched.toml"
    file.write_text("[limits]\ncpus = -1\n")
    with pytest.raises(InvalidArgument, match=r"jsched\.toml: limits: cpus is -1"):
        config_sources.load({}, config_file=str(file), environ={"HOME": "/"})
    file.write_text("limits = 5\n")
    with pytest.raises(InvalidArgument, match="limits is not a table"):
        config_sources.load({}, config_file=str(file), environ={"HOME": "/"})


def test_fit() -> None:
    """A machine that has less gives less, in words; one that has enough changes nothing."""
    limits, changes = fit(Limits(cpus=4, memory=1000 * MIB), cpus=1, memory=512 * MIB)
    assert limits == Limits(cpus=1, memory=512 * MIB)
    assert [change.split()[0] for change in changes] == ["cpus", "memory"]
    assert fit(Limits(cpus=4, memory=1000 * MIB), cpus=4, memory=2000 * MIB)[1] == ()
    assert fit(Limits(), cpus=1, memory=1) == (Limits(), ())
