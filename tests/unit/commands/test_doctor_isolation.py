"""What the doctor makes of what the kernel allows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jsched.commands.doctor import isolation
from jsched.commands.doctor.finding import Level
from jsched.linux import libseccomp, trials

_ALL = dict.fromkeys((*trials.KINDS, trials.USER, trials.IDS, trials.PROC, trials.OVERLAY), "")
_REFUSED = "unshare: Operation not permitted"


def _as_user(monkeypatch: pytest.MonkeyPatch, uid: int) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)


def test_what_the_trials_found_is_what_is_said() -> None:
    """On this very machine the lines are fine where the trials succeed, and there is one for each wall."""
    found = {finding.subject: finding for finding in isolation.isolation()}
    assert {"namespaces", "user namespaces", "id ranges", "/proc of a job", "overlayfs", "seccomp"} == set(found)


def test_a_missing_namespace_fails_and_is_named() -> None:
    """A kind that can't be had is named with the kernel's reason; all of them are fine."""
    assert isolation.namespaces(_ALL).level is Level.OK
    finding = isolation.namespaces(_ALL | {"net": _REFUSED})
    assert finding.level is Level.FAIL
    assert f"no net ({_REFUSED})" in finding.text
    assert "pid" not in finding.text


@pytest.mark.parametrize(("uid", "level"), [(0, Level.WARN), (1000, Level.FAIL)])
def test_user_namespaces_that_are_switched_off(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, uid: int, level: Level
) -> None:
    """Root can do without, an ordinary user can't; the advice is the switch that is off, and not one that is on."""
    _as_user(monkeypatch, uid)
    (tmp_path / "off").write_text("0\n")
    (tmp_path / "on").write_text("1\n")
    switches = {
        tmp_path / "off": ("0", "kernel.off=1"),
        tmp_path / "on": ("0", "kernel.on=1"),
        tmp_path / "none": ("0", "kernel.none=1"),
    }
    finding = isolation.user_namespaces(_ALL | {trials.USER: _REFUSED}, switches)
    assert finding.level is level
    assert finding.advice.endswith("sysctl kernel.off=1")


def test_ids_that_are_given_to_somebody_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A range of jobs' ids in subuid(5) is a warning with the user's name; one below them is not, nor is nonsense."""
    _as_user(monkeypatch, 0)
    subuid = tmp_path / "subuid"
    subuid.write_text("below:1000:500\nalice:100000:65536\nnonsense\nworse:a:b\n")
    fine, warning = isolation.id_ranges(_ALL, (subuid, tmp_path / "none"))
    assert fine.level is Level.OK
    assert warning.level is Level.WARN
    assert "to alice:" in warning.text


def test_an_ordinary_user_has_one_id(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ordinary user needs no range: the line says which id jobs have outside."""
    _as_user(monkeypatch, 1000)
    (finding,) = isolation.id_ranges(_ALL | {trials.IDS: _REFUSED})
    assert finding.level is Level.OK
    assert "1000" in finding.text


def test_what_there_is_another_way_for_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without overlayfs or a range of ids jobs run, without a /proc of their own they don't."""
    _as_user(monkeypatch, 0)
    nothing = dict.fromkeys(_ALL, _REFUSED)
    assert isolation.overlayfs(nothing).level is Level.WARN
    assert [finding.level for finding in isolation.id_ranges(nothing)] == [Level.WARN]
    assert isolation.proc(nothing).level is Level.FAIL


def test_no_filters_and_no_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A kernel without filters fails, and so does a host without libseccomp, naming the package."""
    assert isolation.seccomp(tmp_path / "none").level is Level.FAIL
    monkeypatch.setattr(libseccomp, "_NAME", "libseccomp.so.999")
    actions = tmp_path / "actions"
    actions.write_text("kill_process errno allow\n")
    finding = isolation.seccomp(actions)
    assert finding.level is Level.FAIL
    assert "libseccomp2" in finding.advice
