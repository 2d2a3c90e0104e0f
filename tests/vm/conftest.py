"""The guest's run of tests goes on beside the others, on a core of its own, and is waited for at the end."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from typing import IO

import pytest

from tests.vm import suite

GUEST_LINES = pytest.StashKey[list[str]]()
GUEST_RUN = pytest.StashKey[tuple[subprocess.Popen[bytes], IO[bytes]]]()
_TEST = "test_the_suite_passes_in_the_guest"


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the guest if its tests are among those that are to run."""
    if session.config.option.collectonly or not any(item.name == _TEST for item in session.items):
        return
    output = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the session is over
    command = [sys.executable, "-m", "tests.vm", "--suite", "--", *suite.BRIEF]
    run = subprocess.Popen(command, cwd=suite.ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    session.config.stash[GUEST_RUN] = (run, output)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End a guest that nobody has waited for."""
    run, output = config.stash.get(GUEST_RUN, (None, None))
    if run is not None and output is not None:
        run.terminate()
        run.wait(60)
        output.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show how many tests the guest ran, and what could not be tested there."""
    lines = terminalreporter.config.stash.get(GUEST_LINES, [])
    if lines:
        terminalreporter.section("in the guest with cgroup v2")
        for line in lines:
            terminalreporter.line(line)
