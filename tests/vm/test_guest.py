"""Some tests of limits, walls and root file systems once more, on a machine with cgroup v2."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.vm.conftest import GUEST_LINES, GUEST_RUN

_SECONDS = 1200.0
# The exit status of `python -m tests.vm` where there is no guest.
_CANNOT = 77

pytestmark = [pytest.mark.slow, pytest.mark.timeout(_SECONDS + 60)]


def test_the_suite_passes_in_the_guest(request: pytest.FixtureRequest) -> None:
    """All tests of suite.BRIEF pass in the guest; those that fail there are shown as pytest shows them."""
    run, output = request.config.stash[GUEST_RUN]
    try:
        status = run.wait(_SECONDS)
    except subprocess.TimeoutExpired:
        status = -1
    output.seek(0)
    printed = output.read().decode(errors="replace").replace("\r\n", "\n")
    if status == _CANNOT:
        pytest.skip(printed.strip().splitlines()[-1])
    if status:
        pytest.fail(f"the guest's status is {status}:\n{printed}", pytrace=False)
    request.config.stash[GUEST_LINES] = re.findall(r"^(?:not tested here: .*|\d+ passed.*)$", printed, re.MULTILINE)
