"""What the tests in the guest came to, in the summary of the run that started the guest."""

from __future__ import annotations

import pytest

GUEST_LINES = pytest.StashKey[list[str]]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show how many tests the guest ran, and what could not be tested there."""
    lines = terminalreporter.config.stash.get(GUEST_LINES, [])
    if lines:
        terminalreporter.section("in the guest with cgroup v2")
        for line in lines:
            terminalreporter.line(line)
