from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jsched.linux import trials
from tests.helpers.privileges import needs_capability

_CAP_SYS_ADMIN = 21
_ROOT = Path(__file__).parents[3]
# The options of unshare(1) for each kind.
_OPTIONS = {"mnt": "mount", "pid": "pid", "net": "net", "ipc": "ipc", "uts": "uts", "cgroup": "cgroup"}

needs_root = needs_capability(_CAP_SYS_ADMIN, "CAP_SYS_ADMIN")


def _trials(*wrapper: str) -> dict[str, str]:
    command = [*wrapper, sys.executable, "-m", "jsched.linux.trials"]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=True, timeout=60)
    results: dict[str, str] = json.loads(done.stdout)
    return results


def _unshare(*options: str) -> bool:
    return subprocess.run(["unshare", *options, "true"], capture_output=True, check=False, timeout=60).returncode == 0


def test_it_finds_what_unshare_finds() -> None:
    """Each kind of namespace succeeds if unshare(1) of util-linux makes one too, and nothing stays mounted."""
    before = Path("/proc/self/mountinfo").read_text()
    results = _trials()
    user = ["--user", "--map-root-user"] if _unshare("--user", "--map-root-user") else []
    assert (results[trials.USER] == "") == bool(user)
    for kind, option in _OPTIONS.items():
        assert (results[kind] == "") == _unshare(*user, f"--{option}"), kind
    if user:
        assert (results[trials.PROC] == "") == _unshare(*user, "--pid", "--fork", "--mount-proc")
    assert (results[trials.IDS] == "") == (os.geteuid() == 0 and bool(user))
    assert Path("/proc/self/mountinfo").read_text() == before


@needs_root
def test_without_user_namespaces_root_makes_the_others() -> None:
    """Where no user namespace may be made the reason is the kernel's, and root's other namespaces work without."""
    # A user namespace of its own, so that the switch is not the machine's.
    switch = 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"'
    results = _trials("unshare", "--user", "--map-root-user", "sh", "-c", switch, "sh")
    assert results[trials.USER] == "unshare: No space left on device"
    assert results[trials.IDS] == "unshare: No space left on device"
    assert {results[kind] for kind in trials.KINDS} == {""}


@needs_root
def test_where_parts_of_proc_are_covered_there_is_no_new_one() -> None:
    """A covered /proc, as containers have it, is told by the mount that the kernel refuses; all else works."""
    cover = 'mount -t tmpfs cover /proc/sys && exec "$@"'
    results = _trials("unshare", "--mount", "sh", "-c", cover, "sh")
    assert results.pop(trials.PROC) == "mount: Operation not permitted"
    results.pop(trials.OVERLAY)
    assert set(results.values()) == {""}


def test_an_ordinary_user_gets_no_range_of_ids() -> None:
    """Only root may map ids that are not its own; the reason names the file that refused."""
    if os.geteuid() == 0:
        code = (
            "import os, json\n"
            "os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)\n"
            "from ctypes import CDLL\n"
            # Its own files in /proc are root's after a change of user, prctl(2) PR_SET_DUMPABLE.
            "CDLL(None).prctl(4, 1, 0, 0, 0)\n"
            "print(json.dumps(trials.run()))"
        )
        command = [sys.executable, "-c", f"from jsched.linux import trials\n{code}"]
        done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=True, timeout=60)
        results = json.loads(done.stdout)
    else:
        results = _trials()
    if results[trials.USER]:
        pytest.skip("no user namespaces for ordinary users here")
    assert results[trials.IDS] == "uid_map: Operation not permitted"
