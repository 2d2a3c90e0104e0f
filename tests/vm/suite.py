"""Which tests are run in the guest too, and how: those that depend on cgroups, namespaces and mounts."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATTERNS = (
    "tests/unit/isolation",
    "tests/unit/linux",
    "tests/unit/commands/test_doctor_*.py",
    "tests/unit/supervisor/test_cgroup_that_holds.py",
    "tests/unit/test_resources.py",
    "tests/security/test_probes.py",
    "tests/integration/test_limits*.py",
    "tests/integration/test_isolation*.py",
    "tests/integration/test_rootfs*.py",
    "tests/integration/test_systemd.py",
    "tests/security/test_walls*.py",
)
# Of these, what each run of all tests takes along: where version 2 differs, and a few of each kind of the rest.
BRIEF = (
    "tests/unit/isolation/test_cgroup.py",
    "tests/unit/isolation/test_delegation.py",
    "tests/unit/isolation/test_disk_limits.py",
    "tests/unit/isolation/test_joining.py",
    "tests/unit/linux/test_cgroups.py",
    "tests/unit/supervisor/test_cgroup_that_holds.py",
    "tests/unit/test_resources.py",
    "tests/integration/test_limits.py",
    "tests/integration/test_isolation.py::test_the_default",
    "tests/integration/test_isolation.py::test_stop",
    "tests/integration/test_isolation.py::test_rootfs",
    "tests/integration/test_systemd.py",
)
# The repository is read-only in effect: what Python writes beside it costs time and is lost.
ENVIRONMENT = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", "COLUMNS": "120"}
# System calls are about a hundred times slower there.
_TEST_SECONDS = 600


def paths() -> list[str]:
    """Return what there is of the tests for the guest, relative to the repository."""
    return sorted(str(path.relative_to(ROOT)) for pattern in PATTERNS for path in ROOT.glob(pattern))


def command(arguments: Sequence[str] = ()) -> list[str]:
    """Return the command that runs them, in the repository, with these arguments more for pytest.

    Arguments that name tests are run in place of those that are meant for the guest.
    """
    named = any((ROOT / argument.partition("::")[0]).exists() for argument in arguments)
    return [
        sys.executable,
        *("-m", "pytest", "-p", "no:cacheprovider", f"--timeout={_TEST_SECONDS}", "--color=no", "-q", "--tb=short"),
        *arguments,
        *(() if named else paths()),
    ]
