"""Running a command behind walls: a process in the monitor's place, as root or as an ordinary user."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest

from jsched.isolation.reports import Reports
from jsched.isolation.sandbox import HOST, NONE, IdRange, Sandbox
from jsched.isolation.view import DEFAULT_LIMITS, masked_entries

REPOSITORY = Path(__file__).parents[2]
USER = 10_000
ORDINARY_USER = os.geteuid() or 54_321
RANGE = (IdRange(0, 300_000, 65_536),)
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8"}

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


class Outcome(NamedTuple):
    """What init reported, what the command printed, and the wait status of init."""

    reports: Reports
    output: str
    init_status: int

    @property
    def exit_code(self) -> int:
        """The command's exit code, minus the signal that killed it; raises AssertionError if it has not run."""
        assert self.reports.status is not None, self
        return os.waitstatus_to_exitcode(self.reports.status)


def make_sandbox(**fields: Any) -> Sandbox:
    """Return the walls that a server run by root builds by default, with other values for some fields."""
    defaults: dict[str, Any] = {
        "mode": HOST,
        "network": NONE,
        "uid": USER,
        "gid": USER,
        "uid_map": RANGE,
        "gid_map": RANGE,
        "hidden": ("/home", "/root"),
        "masked": masked_entries(),
        "limits": DEFAULT_LIMITS,
    }
    return Sandbox(**(defaults | fields))


def for_ordinary_user(sandbox: Sandbox) -> Sandbox:
    """Return the same walls as they are built by a server that an ordinary user runs."""
    group = os.getegid() or ORDINARY_USER
    return sandbox._replace(
        uid=ORDINARY_USER,
        gid=group,
        uid_map=(IdRange(ORDINARY_USER, ORDINARY_USER, 1),),
        gid_map=(IdRange(group, group, 1),),
    )


def run(
    sandbox: Sandbox,
    argv: Sequence[str],
    *,
    log: Path,
    workdir: str = "/",
    env: dict[str, str] = ENVIRONMENT,
    user: int | None = None,
    spare: bool = False,
) -> Outcome:
    """Start the command behind the walls of `sandbox` from a process that plays the monitor, and wait for it."""
    log.unlink(missing_ok=True)
    monitor = start_monitor(sandbox, argv, log=log, workdir=workdir, env=env, user=user, spare=spare)
    printed, errors = monitor.communicate(timeout=300)
    assert monitor.returncode == 0, errors
    reports, init_status = json.loads(printed)
    return Outcome(Reports(*reports), log.read_text("utf-8", "replace"), init_status)


def start_monitor(
    sandbox: Sandbox,
    argv: Sequence[str],
    *,
    log: Path,
    workdir: str = "/",
    env: dict[str, str] = ENVIRONMENT,
    user: int | None = None,
    spare: bool = False,
) -> subprocess.Popen[str]:
    """Start that process; it prints init's pid to stderr at once, and the outcome to stdout at the end."""
    request = json.dumps([sandbox, [argv, env, workdir], spare])
    becomes = user if os.geteuid() == 0 else None
    log.touch(mode=0o640)
    with log.open("ab") as output:
        monitor = subprocess.Popen(
            [
                _python_for_everybody() if user else sys.executable,
                "-m",
                "tests.helpers.walled_monitor",
                str(output.fileno()),
            ],
            cwd=REPOSITORY,
            env={"PATH": ENVIRONMENT["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=(output.fileno(),),
            user=becomes,
            group=becomes,
            extra_groups=None if becomes is None else [],
        )
    assert monitor.stdin is not None
    monitor.stdin.write(request + "\n")
    monitor.stdin.flush()
    return monitor


@contextlib.contextmanager
def open_directory() -> Iterator[Path]:
    """A directory that every user may enter, unlike pytest's, and that is gone afterwards."""
    with TemporaryDirectory(prefix="jsched-", dir="/var/tmp") as directory:
        os.chmod(directory, 0o755)
        yield Path(directory)


@functools.cache
def probe_python() -> str:
    """Return a Python that is in sight and may be executed behind the walls; skips the test if there is none."""
    for candidate in ("/usr/bin/python3", shutil.which("python3", path="/usr/local/bin:/bin"), sys.executable):
        if candidate and _is_for_everybody(os.path.realpath(candidate)):
            return candidate
    pytest.skip("no Python outside of home directories")


def _python_for_everybody() -> str:
    python = probe_python()
    version = subprocess.check_output([python, "-c", "import sys; print(sys.version_info >= (3, 11))"], text=True)
    if version != "True\n" or not _is_for_everybody(str(REPOSITORY)):
        pytest.skip("no Python 3.11 and repository that an ordinary user may read")
    return python


def _is_for_everybody(path: str) -> bool:
    ways = (path, *map(str, Path(path).parents))
    return all(os.path.exists(way) and os.stat(way).st_mode & 0o001 for way in ways)
