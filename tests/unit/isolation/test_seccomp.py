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
# Calls that are allowed or refused by their arguments.
JUDGED = {"socketpair", "clone", "personality", "socket", "unshare"}
# What is left of other systems and of Linux before 2.6: no program misses it.
FORGOTTEN = {
    *("_sysctl", "afs_syscall", "create_module", "epoll_ctl_old", "epoll_wait_old", "get_kernel_syms", "getpmsg"),
    *("nfsservctl", "putpmsg", "query_module", "security", "sysfs", "tuxcall", "uselib", "ustat", "vserver"),
}


def test_no_call_is_allowed_and_refused() -> None:
    """Each call is in one list, once."""
    names = [*profile.ALLOWED, *profile.REFUSED, *profile.HIDDEN, *JUDGED]
    assert len(names) == len(set(names))


def test_every_call_of_this_kernel_is_judged() -> None:
    """No call that the kernel's headers name was overlooked."""
    if not HEADER.exists():
        pytest.skip(f"no {HEADER}")
    known = set(re.findall(r"^#define __NR_(\w+)\s", HEADER.read_text(), re.MULTILINE))
    assert known - {*profile.ALLOWED, *profile.REFUSED, *profile.HIDDEN, *JUDGED, *FORGOTTEN} == set()


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


def judged(lines: str) -> list[str]:
    """Return what lines of code print that are executed behind the profile, with a limit of 1 on core dumps."""
    code = f"""
import ctypes, errno, mmap, os, resource, socket
from jsched.isolation import seccomp
from jsched.linux import privileges
from jsched.linux.seccomp import load_filter
libc = ctypes.CDLL(None, use_errno=True)

def call(name, *arguments):
    ctypes.set_errno(0)
    wide = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    return errno.errorcode[ctypes.get_errno()] if getattr(libc, name)(*wide) == -1 else "done"

def connect(*arguments):
    try:
        socket.socket(*arguments).close()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"

resource.setrlimit(resource.RLIMIT_CORE, (1, 1))
privileges.set_no_new_privileges()
load_filter(seccomp.compile_profile())
{lines}
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert not done.stderr
    return done.stdout.splitlines()


def test_the_limit_on_core_dumps_stays() -> None:
    """Who lowers it to 0, at which the kernel starts the host's program for core dumps, seems to, and has not."""
    assert judged(
        "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
        "print(call('setrlimit', 4, bytes(16)), call('setrlimit', 4 | 1 << 32, bytes(16)))\n"
        "print(call('prlimit', 0, 4, bytes(16), None), call('prlimit', 0, 4 | 1 << 32, bytes(16), None))\n"
        "print(call('prlimit', 0, 4, bytes(16), ctypes.create_string_buffer(16)))\n"
        "print(resource.getrlimit(resource.RLIMIT_CORE), resource.prlimit(0, resource.RLIMIT_CORE))\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (99, 100))\n"
        "print(resource.prlimit(0, resource.RLIMIT_NOFILE, (98, 99)), resource.getrlimit(resource.RLIMIT_NOFILE))\n"
    ) == ["done done", "done done", "EPERM", "(1, 1) (1, 1)", "(99, 100) (98, 99)"]


def test_protocols_that_load_modules_are_refused() -> None:
    """Of the internet's protocols the usual ones are there; another is refused before the kernel looks for it."""
    assert judged(
        "for family in (socket.AF_INET, socket.AF_INET6):\n"
        "    print(*(connect(family, socket.SOCK_STREAM, one) for one in (0, 6)),\n"
        "        connect(family, socket.SOCK_DGRAM, 17))\n"
        "    print(*(connect(family, kind, one) for kind in (1, 2, 3, 5, 6) for one in (33, 115, 132)))\n"
        "print(call('socket', 2, 1, 132 | 1 << 32), call('socket', 2, 1, 6 | 1 << 32))\n"
        "print(connect(socket.AF_UNIX), call('socket', 2 | 1 << 32, 1, 132))\n"
    ) == ["done done done", " ".join(["EPERM"] * 15)] * 2 + ["EPERM done", "done EPERM"]


def test_a_terminal_stays_one() -> None:
    """Neither is put into its input, nor does it become something else, with any bits above those that count."""
    assert judged(
        "_, terminal = os.openpty()\n"
        "for request in (0x5412, 0x541C, 0x5423):\n"
        "    print(call('ioctl', terminal, request, bytes(8)), call('ioctl', terminal, request | 1 << 32, bytes(8)))\n"
        "print(call('ioctl', terminal, 0x5413, ctypes.create_string_buffer(8)))\n"
    ) == ["EPERM EPERM"] * 3 + ["done"]


def test_huge_pages_are_the_hosts() -> None:
    """Memory is had in ordinary pages alone: no limit counts the others. Native AIO is not there."""
    assert judged(
        "libc.mmap.restype = ctypes.c_long\n"
        "print(call('mmap', 0, 4096, 3, 0x22, -1, 0), call('mmap', 0, 1 << 21, 3, 0x40022, -1, 0))\n"
        "print(*(call('memfd_create', b'x', flags) for flags in (1, 4, 4 | 21 << 26)))\n"
        "print(call('shmget', 0, 1 << 21, 0o5600), libc.shmctl(libc.shmget(0, 4096, 0o1600), 0, None))\n"
        "print(call('syscall', 206 if os.uname().machine == 'x86_64' else 0, 1, ctypes.create_string_buffer(8)))\n"
    ) == ["done ENOMEM", "done EPERM EPERM", "EPERM 0", "ENOSYS"]


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
