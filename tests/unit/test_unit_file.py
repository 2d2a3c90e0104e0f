from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "docs" / "operations" / "jsched.service"
DROP_IN = UNIT.with_name("before-systemd-254.conf")
# What systemd says of it before 254, and does without.
UNKNOWN_BEFORE = "Unknown key 'DelegateSubgroup' in section [Service], ignoring."


def _service(file: Path = UNIT) -> configparser.SectionProxy:
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(file, "utf-8")
    return unit["Service"]


def test_jobs_outlive_the_unit_s_stop_and_their_own_lack_of_memory() -> None:
    """A stop signals the server alone, and an out-of-memory kill of a job does not stop the unit."""
    service = _service()
    assert service["KillMode"] == "process"
    assert service["Delegate"] == "yes"
    assert service["OOMPolicy"] == "continue"
    assert service["TasksMax"] == "infinity"


def test_nothing_in_the_unit_is_inherited_by_jobs() -> None:
    """No directive that systemd applies to the process, and so to every job, is set."""
    inherited = (
        "Protect",
        "Private",
        "Restrict",
        "NoNewPrivileges",
        "SystemCall",
        "Capability",
        "Memory",
        "UMask",
        "CPU",
    )
    assert [name for name in _service() if name.startswith(inherited)] == []


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not there")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    """systemd finds nothing wrong with the unit where its program and user exist."""
    text = UNIT.read_text("utf-8").replace("/opt/jsched/bin/jsched", f'"{sys.executable}"')
    unit = tmp_path / "jsched.service"
    unit.write_text(text.replace("User=jsched", "User=root").replace("Group=jsched", "Group=root"), "utf-8")
    found = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False, timeout=60)
    wrong = [line for line in found.stderr.splitlines() if not line.endswith(UNKNOWN_BEFORE)]
    assert (found.returncode, wrong) == (0, [])


def test_the_drop_in_starts_what_the_unit_starts() -> None:
    """For an older systemd the unit's own command is executed by `jsched delegate`, as the unit's user."""
    unit, older = _service(), _service(DROP_IN)
    assert older["ExecStart"] == f"+/opt/jsched/bin/jsched delegate --user {unit['User']} -- {unit['ExecStart']}"
    assert older["Delegate"] == "no"
