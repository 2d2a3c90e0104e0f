"""The profile of system calls: complete, without contradictions, and compiled as it is meant."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from jsched.errors import FailedPrecondition
from jsched.isolation import seccomp
from jsched.isolation import seccomp_profile as profile
from tests.helpers.walled import needs_root

HEADER = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
# Calls that have rules about their arguments, or are hidden because they can't have any.
JUDGED = {"socketpair", "clone", "clone3", "personality", "socket", "unshare"}
# What is left of other systems and of Linux before 2.6: no program misses it.
FORGOTTEN = {
    *("_sysctl", "afs_syscall", "create_module", "epoll_ctl_old", "epoll_wait_old", "get_kernel_syms", "getpmsg"),
    *("nfsservctl", "putpmsg", "query_module", "security", "sysfs", "tuxcall", "uselib", "ustat", "vserver"),
}


def test_no_call_is_allowed_and_refused() -> None:
    """Each call is in one list, once."""
    names = [*profile.ALLOWED, *profile.REFUSED, *JUDGED]
    assert len(names) == len(set(names))


def test_every_call_of_this_kernel_is_judged() -> None:
    """No call that the kernel's headers name was overlooked."""
    if not HEADER.exists():
        pytest.skip(f"no {HEADER}")
    known = set(re.findall(r"^#define __NR_(\w+)\s", HEADER.read_text(), re.MULTILINE))
    assert known - {*profile.ALLOWED, *profile.REFUSED, *JUDGED, *FORGOTTEN} == set()


def test_the_program_is_accepted_by_the_kernel() -> None:
    """The kernel loads the program; a call that is refused then fails with EPERM, an unknown one with ENOSYS."""
    code = (
        "import ctypes, errno, os\n"
        "from jsched.isolation import seccomp\n"
        "from jsched.linux import privileges\n"
        "from jsched.linux.seccomp import load_filter\n"
        "program = seccomp.compile_profile()\n"
        "privileges.set_no_new_privileges()\n"
        "load_filter(program)\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "for number in (425, 999):\n"
        "    print(libc.syscall(number, 0, 0, 0), errno.errorcode[ctypes.get_errno()])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "-1 EPERM\n-1 ENOSYS\n", done.stderr


@needs_root
def test_a_cgroup_namespace_is_left_until_the_last_filter() -> None:
    """Of new namespaces the profile leaves but one to who may make it, and with the last filter there is none."""
    code = (
        "import ctypes, errno\n"
        "from jsched.isolation import seccomp, seccomp_last\n"
        "from jsched.linux import privileges\n"
        "from jsched.linux.seccomp import load_filter\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "def made():\n"
        "    flags = [1 << bit for bit in (7, 17, 25, 26, 27, 28, 29, 30)]\n"
        "    flags += [1 << 25 | 1 << 17, 1 << 25 | 1 << 9, 1 << 9]\n"
        "    return [hex(each) for each in flags if libc.unshare(each) == 0 or ctypes.get_errno() != errno.EPERM]\n"
        "privileges.set_no_new_privileges()\n"
        "load_filter(seccomp.compile_profile())\n"
        "print(made())\n"
        "load_filter(seccomp_last.PROGRAM)\n"
        "print(made())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "['0x2000000', '0x2000200', '0x200']\n['0x200']\n", done.stderr


def test_the_program_is_stored_by_its_digest(tmp_path: Path) -> None:
    """The same program has the same file, which is written once and whole; another has another."""
    program = seccomp.compile_profile()
    path = seccomp.store_program(tmp_path, program)
    before = path.stat()
    assert path.read_bytes() == program == seccomp.compile_profile()
    assert seccomp.store_program(tmp_path, program) == path
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert seccomp.store_program(tmp_path, program + bytes(8)) != path
    assert len(list(tmp_path.iterdir())) == 2


def test_without_libseccomp_it_is_said_what_is_missing() -> None:
    """A machine without the library is told its name, and how to get it."""
    code = (
        "import ctypes.util\n"
        "find = ctypes.util.find_library\n"
        "ctypes.util.find_library = lambda name: None if name == 'seccomp' else find(name)\n"
        "from jsched.errors import FailedPrecondition\n"
        "from jsched.isolation import seccomp\n"
        "try:\n"
        "    seccomp.compile_profile()\n"
        "except FailedPrecondition as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "libseccomp" in done.stdout, done.stderr


def test_a_machine_without_a_profile_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """An architecture whose numbers are not known gets no filter, and no half of one."""
    monkeypatch.setattr("os.uname", lambda: type("Uname", (), {"machine": "vax"}))
    with pytest.raises(FailedPrecondition, match="vax"):
        seccomp.compile_profile()
