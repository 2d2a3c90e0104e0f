"""The tests of limits, walls and root file systems once more, on a machine with cgroup v2."""

from __future__ import annotations

import re

import pytest

from tests.vm import suite
from tests.vm.conftest import GUEST_LINES
from tests.vm.guest import Guest, GuestTimeout
from tests.vm.image import CannotHaveGuest

_SECONDS = 1800.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(_SECONDS + 60)]


def test_the_suite_passes_in_the_guest(request: pytest.FixtureRequest) -> None:
    """All tests of suite.py pass in the guest; those that fail there are shown as pytest shows them."""
    printed = bytearray()
    guest = Guest(environment=suite.ENVIRONMENT, timeout=_SECONDS)
    try:
        status = guest.run(suite.command(), suite.ROOT, printed.extend)
    except CannotHaveGuest as error:
        pytest.skip(f"no guest with cgroup v2, for want of {error}")
    except GuestTimeout:
        pytest.fail(f"not done after {_SECONDS:g} s in the guest:\n{_text(printed)}", pytrace=False)
    if status:
        pytest.fail(f"pytest's status is {status} in the guest:\n{_text(printed)}", pytrace=False)
    request.config.stash[GUEST_LINES] = _summary(_text(printed))


def _text(printed: bytearray) -> str:
    return printed.decode(errors="replace").replace("\r\n", "\n")


def _summary(text: str) -> list[str]:
    return re.findall(r"^(?:not tested here: .*|\d+ passed.*)$", text, re.MULTILINE)
