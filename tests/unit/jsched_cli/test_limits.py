"""Limits as flags, as JSON and as text."""

from __future__ import annotations

import argparse

import pytest

from jsched.commandline import Parser, UsageError
from jsched.job import Usage
from jsched.limits import NO_LIMITS, DiskLimit, Limits, Unenforced
from jsched_cli.limits import size, usage_rows
from jsched_cli.output import as_json, details
from jsched_cli.spec import add_spec, spec
from tests.unit.jsched_cli.jobs import NOW, make_job

MIB = 1024 * 1024


def parse(*flags: str) -> Limits:
    """Return the limits that the flags of `start` ask for."""
    parser = Parser("start")
    add_spec(parser)
    return spec(parser.parse((*flags, "true"), argparse.Namespace())).limits


def test_all_flags() -> None:
    """Every flag is a limit, and a disk that several flags name has them all."""
    limits = parse(
        *("--cpus=1.5", "--cpu-weight=50", "--memory=512MiB", "--swap=0", "--pids=20", "--disk-weight=200"),
        *("--disk-read-bps=8:0:10m", "--disk-read-iops=8:0:100", "--disk-write-bps=all:1g", "--disk-write-iops=/srv:7"),
    )
    assert limits == Limits(
        cpus=1.5,
        cpu_weight=50,
        memory=512 * MIB,
        swap=0,
        pids=20,
        disk_weight=200,
        disk=(
            DiskLimit("8:0", read_bps=10 * MIB, read_iops=100),
            DiskLimit("all", write_bps=1024 * MIB),
            DiskLimit("/srv", write_iops=7),
        ),
    )


def test_a_disk_that_has_two_limits_of_a_kind() -> None:
    """Which of two would count is not guessed."""
    with pytest.raises(UsageError, match="--disk-read-bps: /tmp has two"):
        parse("--disk-read-bps=/tmp:20m", "--disk-read-bps=/tmp:10m")


def test_the_least_is_in_the_help() -> None:
    """Whoever reads the help is told below what a limit is refused."""
    parser = Parser("start")
    add_spec(parser)
    text = " ".join(parser.format_help().split())
    for least in ("at least 8 MiB", "may read, at least 1 MiB", "operations a second that it may write, at least 50"):
        assert least in text


def test_no_flags() -> None:
    """Nothing that is not asked for is sent."""
    assert parse() == NO_LIMITS


def test_shares() -> None:
    """Shares are a weight in another unit."""
    assert parse("--cpu-shares=512") == parse("--cpu-weight=50")


@pytest.mark.parametrize(
    ("flag", "text"),
    [
        ("--cpus=0", "cpus is 0"),
        ("--cpus=nan", "cpus is nan"),
        ("--cpus=many", "--cpus"),
        ("--memory=5x", "'5x' is not a size such as"),
        ("--memory=1m", "memory is 1 MiB, less than 8 MiB"),
        ("--memory=1k", "memory is 1 KiB, less than 8 MiB"),
        ("--swap=-1", "--swap"),
        ("--pids=0", "pids is 0"),
        ("--cpu-shares=1", "cpu_shares is 1"),
        ("--cpu-weight=10001", "cpu_weight is 10001"),
        ("--disk-read-bps=10m", "'10m' is not DEV:SIZE"),
        ("--disk-read-bps=:10m", "':10m' is not DEV:SIZE"),
        ("--disk-read-bps=all:", "'' is not a size"),
        ("--disk-write-iops=all:10m", "'10m' is not a number"),
        ("--disk-write-iops=10", "'10' is not DEV:N"),
        ("--disk-write-iops=all:0", "write_iops is 0"),
    ],
)
def test_wrong_flags(flag: str, text: str) -> None:
    """What can't be meant is a usage error that shows what was given."""
    with pytest.raises(UsageError) as caught:
        parse(flag)
    assert text in str(caught.value)


def test_one_weight() -> None:
    """A weight and shares exclude each other."""
    with pytest.raises(UsageError):
        parse("--cpu-weight=1", "--cpu-shares=2")


def test_status_shows_both() -> None:
    """What was asked for and what is applied stand side by side, and so does what could not be."""
    limits = Limits(cpus=0.5, memory=64 * MIB, pids=20, disk=(DiskLimit("all", read_bps=10 * MIB, write_iops=100),))
    applied = Limits(memory=64 * MIB, swap=0, disk=(DiskLimit("8:0", read_bps=10 * MIB),))
    job = make_job(spec={"limits": limits}, applied=applied, unenforced=(Unenforced("cpus", "cpu", "not mounted"),))
    lines = details(job, NOW).splitlines()
    assert "asked for:   0.5 CPUs, 64 MiB memory, 20 processes, disk all read 10 MiB/s write 100 operations/s" in lines
    assert "limits:      64 MiB memory, 0 B swap, disk 8:0 read 10 MiB/s" in lines
    assert "not applied: cpus: cpu: not mounted" in lines


def test_json() -> None:
    """JSON has limits asked for, applied and not enforced, each with every field."""
    limits = Limits(cpus=0.5, disk=(DiskLimit("all", read_bps=5),))
    found = as_json(
        make_job(spec={"limits": limits}, applied=NO_LIMITS, unenforced=(Unenforced("cpus", "cpu", "gone"),))
    )
    assert found["limits"]["cpus"] == 0.5
    assert found["limits"]["disk"] == [
        {"device": "all", "read_bps": 5, "write_bps": None, "read_iops": None, "write_iops": None}
    ]
    assert found["applied_limits"]["memory"] is None
    assert found["unenforced_limits"] == [{"limit": "cpus", "controller": "cpu", "reason": "gone"}]


def test_usage() -> None:
    """Usage says what is known, and nothing of what is not."""
    running = dict(usage_rows(Usage(0.5, 0.25, memory_peak=3 * MIB, memory_current=MIB, throttled=2.0)))
    assert running["cpu"] == "0.50 s user, 0.25 s system, held back for 2.00 s"
    assert running["memory"] == "1.0 MiB; 3.0 MiB at most"
    ended = dict(
        usage_rows(
            Usage(
                0.5,
                0.25,
                2 * MIB,
                memory_peak=3 * MIB,
                memory_current=0,
                read_bytes=MIB,
                written_bytes=5,
                pids_peak=4,
                oom_kills=1,
            )
        )
    )
    assert ended["memory"] == "3.0 MiB at most"
    assert ended["disk"] == "1 MiB read, 5 B written"
    assert ended["processes"] == "4 at most"
    assert str(ended["oom kills"]).startswith("1 killed")
    assert usage_rows(None) == []


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (2**40, "1024 GiB")]
)
def test_size(value: int, text: str) -> None:
    """Sizes are shown in the largest unit that fits."""
    assert size(value) == text
