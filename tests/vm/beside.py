"""The guest's run of tests goes on beside the others and is waited for at the end.

Tests may be spread over several worker processes: it is the one that spreads them, or that runs
them all, which starts the guest, and the environment tells the others where its files are.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.vm import suite

# A directory with `output`, what the guest has printed, and once it has ended `status`, its exit status.
DIRECTORY = "JSCHED_TEST_GUEST"
_TEST = Path(__file__).with_name("test_guest.py")
_RUN = pytest.StashKey[subprocess.Popen[bytes]]()
_WRITE_STATUS = '"$@" >"$0/output" 2>&1; echo $? >"$0/.status"; mv "$0/.status" "$0/status"'


def pytest_configure(config: pytest.Config) -> None:
    """Start the guest if its tests are among those that are to run."""
    if hasattr(config, "workerinput") or not _is_wanted(config):
        return
    directory = tempfile.mkdtemp(prefix="jsched-guest-")
    os.environ[DIRECTORY] = directory
    command = [sys.executable, "-m", "tests.vm", "--suite", "--", *suite.BRIEF]
    config.stash[_RUN] = subprocess.Popen(
        ["/bin/sh", "-c", _WRITE_STATUS, directory, *command],
        cwd=suite.ROOT,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


def pytest_unconfigure(config: pytest.Config) -> None:
    """End a guest that nobody has waited for, and remove its files."""
    run = config.stash.get(_RUN, None)
    if run is not None:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGTERM)
        run.wait(60)
        shutil.rmtree(os.environ.pop(DIRECTORY))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show how many tests the guest ran, and what could not be tested there."""
    directory = os.environ.get(DIRECTORY)
    if directory is None or not (Path(directory) / "status").exists():
        return
    printed = (Path(directory) / "output").read_text(errors="replace")
    lines = re.findall(r"^(?:not tested here: .*|\d+ passed.*)$", printed.replace("\r\n", "\n"), re.MULTILINE)
    if lines:
        terminalreporter.section("in the guest with cgroup v2")
        for line in lines:
            terminalreporter.line(line)


def _is_wanted(config: pytest.Config) -> bool:
    if config.option.collectonly or config.option.keyword or config.option.markexpr:
        return False
    named = (Path(config.invocation_params.dir, argument.partition("::")[0]).resolve() for argument in config.args)
    return any(_TEST.is_relative_to(path) for path in named)
