"""A step that fails is named, with the errno that says why."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from jsched.supervisor.steps import StepFailed, step


def test_a_step_that_succeeds() -> None:
    """What the action returns is returned, and it gets its arguments."""
    assert step("sum", lambda one, two: one + two, 1, 2) == 3


def test_what_the_kernel_refuses(tmp_path: Path) -> None:
    """The errno of the system call is that of the step."""
    with pytest.raises(StepFailed) as caught:
        step("workdir", os.chdir, tmp_path / "missing")
    assert (caught.value.step, caught.value.number) == ("workdir", errno.ENOENT)


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (OSError("without a number"), errno.EIO),
        (ValueError("embedded null byte"), errno.EINVAL),
        (UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogate"), errno.EINVAL),
        (MemoryError(), errno.ENOMEM),
    ],
)
def test_what_has_no_errno(error: Exception, number: int) -> None:
    """A failure that is no system call's has the errno that says the same."""

    def fail() -> None:
        raise error

    with pytest.raises(StepFailed) as caught:
        step("log", fail)
    assert (caught.value.step, caught.value.number, caught.value.__cause__) == ("log", number, error)


def test_a_defect_is_no_failed_step() -> None:
    """What no kernel and no caller is to blame for is not hidden as a failed launch."""

    def fail() -> None:
        raise RuntimeError("defect")

    with pytest.raises(RuntimeError):
        step("log", fail)
