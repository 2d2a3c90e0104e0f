"""What every test can ask for, and the list of what could not be tested here."""

from __future__ import annotations

import contextlib
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.helpers.feed import Feed
    from tests.helpers.server import Server


pytest_plugins = ["tests.vm.beside"]


@pytest.fixture(scope="session")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with development certificates, made by the command."""
    from tests.helpers.server import BIN

    directory = tmp_path_factory.mktemp("certs") / "certs"
    subprocess.run([BIN / "jsched", "certs", "dev", directory], check=True, stdout=subprocess.DEVNULL, timeout=60)
    return directory


@pytest.fixture
def server(tmp_path: Path, certs: Path) -> Iterator[Server]:
    """A server of the test's own, that it may kill."""
    yield from _serving(tmp_path / "server", certs)


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory, certs: Path) -> Iterator[Server]:
    """A server for all tests that only run jobs on it."""
    yield from _serving(tmp_path_factory.mktemp("shared") / "server", certs)


@pytest.fixture
def feed(tmp_path: Path) -> Iterator[Feed]:
    """A FIFO through which the test decides what a job prints and when it ends."""
    from tests.helpers.feed import Feed

    with Feed(tmp_path / "feed") as feed:
        yield feed


def _serving(root: Path, certs: Path) -> Iterator[Server]:
    from tests.helpers.server import Server

    with Server(root, certs) as server:
        yield server


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Free the logs of jobs whose monitors a test has killed, so that pytest can remove them later."""
    directory = getattr(item, "funcargs", {}).get("tmp_path")
    if directory is not None:
        from jsched.linux import file_attributes

        for log in directory.glob("**/*.log"):
            with contextlib.suppress(OSError):
                file_attributes.release(log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what is missing on this machine, and how many tests could not run for it."""
    reasons = Counter(_reason(report) for report in terminalreporter.stats.get("skipped", ()))
    if reasons:
        terminalreporter.section("not tested here")
        for reason, count in sorted(reasons.items()):
            terminalreporter.line(f"not tested here: {reason} ({count} test{'s' if count > 1 else ''})")


def _reason(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return str(report.longrepr)
