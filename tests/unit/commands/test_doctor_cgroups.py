"""What the doctor makes of the cgroups that are mounted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jsched.commands.doctor.cgroups import cgroups
from jsched.commands.doctor.finding import Finding, Level


def _mountinfo(tmp_path: Path, *mounts: tuple[str, str, str]) -> Path:
    """A file such as /proc/self/mountinfo, with mounts of (directory, type, options); directories are made."""
    lines = []
    for directory, kind, options in mounts:
        (tmp_path / directory).mkdir(exist_ok=True)
        lines.append(f"30 1 0:30 / {tmp_path / directory} rw - {kind} none rw,{options}")
    path = tmp_path / "mountinfo"
    path.write_text("\n".join(lines) + "\n")
    return path


def _find(mountinfo: Path, own: str = "0::/\n") -> dict[str, Finding]:
    (mountinfo.parent / "own").write_text(own)
    return {finding.subject: finding for finding in cgroups(mountinfo, mountinfo.parent / "own")}


def test_it_finds_the_version_of_this_machine() -> None:
    """Version 1 is named where a controller of jobs is mounted in it, version 2 where that is all there is."""
    with open("/proc/self/mounts", encoding="utf-8") as lines:
        mounts = [line.split()[2:4] for line in lines if line.split()[2].startswith("cgroup")]
    if not mounts:
        pytest.skip("no cgroup is mounted")
    first = [1 for kind, options in mounts if kind == "cgroup" and {"cpu", "memory", "pids"} & set(options.split(","))]
    findings = {finding.subject: finding for finding in cgroups()}
    assert findings["cgroups"].text.startswith("version 1" if first else "version 2")
    assert set(findings) == {"cgroups", "cgroup delegation"}


def test_version_1_is_used_beside_an_empty_version_2(tmp_path: Path) -> None:
    """On a hybrid host the controllers are those of version 1, with that of disks by its new name."""
    mounts = [(name, "cgroup", name) for name in ("cpu", "memory", "pids", "blkio", "freezer")]
    found = _find(_mountinfo(tmp_path, ("unified", "cgroup2", "nsdelegate"), *mounts))
    assert found["cgroups"].level is Level.OK
    assert found["cgroups"].text.startswith(
        f"version 1, beside version 2 at {tmp_path}/unified, with cpu io memory pid"
    )
    assert found["cgroup delegation"].level is Level.OK


def test_named_hierarchies_are_no_version_1(tmp_path: Path) -> None:
    """A hierarchy of systemd's without a controller does not make a host with version 2 one with version 1."""
    mountinfo = _mountinfo(tmp_path, ("systemd", "cgroup", "name=systemd"), ("unified", "cgroup2", "nsdelegate"))
    (tmp_path / "unified" / "cgroup.controllers").write_text("cpu io memory pids\n")
    assert _find(mountinfo)["cgroups"].text == "version 2, with cpu io memory pids"


def test_a_missing_controller_is_a_warning_that_names_its_limits(tmp_path: Path) -> None:
    """A controller that is not enabled is named with the flags that can't be had without it."""
    mountinfo = _mountinfo(tmp_path, ("unified", "cgroup2", "nsdelegate"))
    (tmp_path / "unified" / "cgroup.controllers").write_text("memory pids\n")
    finding = _find(mountinfo)["cgroups"]
    assert finding.level is Level.WARN
    assert "without cpu (--cpus and --cpu-weight), io (--disk-...)" in finding.text


def test_an_ordinary_user_is_looked_at_in_its_own_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Delegated is what the group of this process has and may be written, not what the root has."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    mountinfo = _mountinfo(tmp_path, ("unified", "cgroup2", "nsdelegate"))
    (tmp_path / "unified" / "cgroup.controllers").write_text("cpu io memory pids\n")
    inside = tmp_path / "unified" / "user.slice"
    refused = _find(mountinfo, "0::/user.slice\n")
    assert refused["cgroup delegation"].level is Level.WARN
    assert "Delegate=yes" in refused["cgroup delegation"].advice
    inside.mkdir()
    (inside / "cgroup.controllers").write_text("memory pids\n")
    found = _find(mountinfo, "0::/user.slice\n")
    assert "with memory pids" in found["cgroups"].text
    assert found["cgroup delegation"].level is Level.OK


def test_no_hierarchy_at_all_is_a_warning(tmp_path: Path) -> None:
    """Where nothing is mounted the line says what jobs go without."""
    found = _find(_mountinfo(tmp_path, ("proc", "proc", "rw")))
    assert found["cgroups"].level is Level.WARN
    assert "no limits" in found["cgroups"].text
