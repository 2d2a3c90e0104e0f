"""Some tests of limits, walls and root file systems once more, on a machine with cgroup v2."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.helpers.wait import wait_until
from tests.vm.beside import DIRECTORY

_SECONDS = 1200.0
# The exit status of `python -m tests.vm` where there is no guest.
_CANNOT = 77

pytestmark = [pytest.mark.slow, pytest.mark.timeout(_SECONDS + 60)]


def test_the_suite_passes_in_the_guest() -> None:
    """All tests of suite.BRIEF pass in the guest; those that fail there are shown as pytest shows them."""
    if DIRECTORY not in os.environ:
        pytest.skip("the guest: it is started where tests are not chosen by -k or -m")
    directory = Path(os.environ[DIRECTORY])
    wait_until((directory / "status").exists, _SECONDS, "the end of the guest")
    status = int((directory / "status").read_text())
    printed = (directory / "output").read_text(errors="replace").replace("\r\n", "\n")
    if status == _CANNOT:
        pytest.skip(printed.strip().splitlines()[-1])
    if status:
        pytest.fail(f"the guest's status is {status}:\n{printed}", pytrace=False)
