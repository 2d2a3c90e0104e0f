"""Ways out that are shut: each is tried behind the walls, by a process that means it."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from jsched.isolation import seccomp
from jsched.isolation.sandbox import Sandbox
from jsched.isolation.view import ROOT_CAPABILITIES
from tests.helpers import walled
from tests.helpers.privileges import needs_capability
from tests.helpers.walled import make_sandbox, needs_root, probe_python

pytestmark = needs_root
CAP_SYS_RESOURCE = 24

PRELUDE = """
import ctypes, errno, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)

def call(number, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    return errno.errorcode[ctypes.get_errno()] if result == -1 else "done"

def attempt(action, *arguments):
    try:
        action(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    except ValueError:
        # What the resource module makes of EPERM.
        return "EPERM"
    return "done"
"""

if os.uname().machine == "x86_64":
    NUMBERS = {"mount": 165, "umount2": 166, "pivot_root": 155, "setns": 308, "unshare": 272, "clone": 56}
    NUMBERS |= {"ptrace": 101, "keyctl": 250, "bpf": 321, "ioctl": 16, "reboot": 169, "open_by_handle_at": 304}
    NUMBERS |= {"init_module": 175, "personality": 135, "perf_event_open": 298, "userfaultfd": 323, "chroot": 161}
else:
    NUMBERS = {"mount": 40, "umount2": 39, "pivot_root": 41, "setns": 268, "unshare": 97, "clone": 220}
    NUMBERS |= {"ptrace": 117, "keyctl": 219, "bpf": 280, "ioctl": 29, "reboot": 142, "open_by_handle_at": 265}
    NUMBERS |= {"init_module": 105, "personality": 92, "perf_event_open": 241, "userfaultfd": 282, "chroot": 51}

CALLS = {
    "mount": "call(N['mount'], b'none', b'/tmp', b'tmpfs', 0, 0)",
    "umount": "call(N['umount2'], b'/root', 2)",
    "pivot_root": "call(N['pivot_root'], b'.', b'.')",
    "chroot": "call(N['chroot'], b'/tmp')",
    "new mount api": "call(430, b'tmpfs', 0)",
    "attributes of a mount": "call(442, -100, b'/', 0, bytes(32), 32)",
    "setns": "call(N['setns'], os.open('/proc/1/stat', os.O_RDONLY), 0)",
    "new user namespace": "call(N['unshare'], 0x10000000)",
    "new mount namespace": "call(N['unshare'], 0x00020000)",
    "fork into a user namespace": "call(N['clone'], 0x10000000 | 17, 0, 0, 0, 0)",
    "ptrace of init": "call(N['ptrace'], 16, 1, 0, 0)",
    "keyring": "call(N['keyctl'], 0, -3, 0)",
    "bpf": "call(N['bpf'], 0, bytes(64), 64)",
    "io_uring": "call(425, 1, bytes(120))",
    "typing into a terminal": "call(N['ioctl'], 0, 0x5412, b'x')",
    "typing, with more bits": "call(N['ioctl'], 0, 0x5_0000_5412, b'x')",
    "pasting into a terminal": "call(N['ioctl'], 0, 0x541C, b'x')",
    "reboot": "call(N['reboot'], 0, 0, 0, 0)",
    "file handles": "call(N['open_by_handle_at'], 3, bytes(64), 0)",
    "module": "call(N['init_module'], b'', 0, b'')",
    "perf": "call(N['perf_event_open'], bytes(128), 0, -1, -1, 0)",
    "userfaultfd": "call(N['userfaultfd'], 0)",
    "crypto socket": "attempt(socket.socket, 38, socket.SOCK_SEQPACKET)",
    "vsock": "attempt(socket.socket, 40, socket.SOCK_STREAM)",
    "packet socket": "attempt(socket.socket, 17, socket.SOCK_RAW)",
    "netfilter socket": "attempt(socket.socket, 16, socket.SOCK_RAW, 12)",
    "device node": "attempt(os.mknod, '/tmp/disk', 0o60666, os.makedev(254, 0))",
    "core pattern": "attempt(open, '/proc/sys/kernel/core_pattern', 'w')",
    "sysrq": "attempt(open, '/proc/sysrq-trigger', 'w')",
    "init's descriptors": "attempt(os.listdir, '/proc/1/fd')",
    "init's root": "attempt(os.listdir, '/proc/1/root/')",
    "init's memory": "attempt(open, '/proc/1/mem', 'r+b')",
    "init's environment": "attempt(open, '/proc/1/environ')",
    "the log": "attempt(open, '/proc/self/fd/1', 'w')",
    "a file of the host": "attempt(open, '/etc/passwd', 'a')",
    "setuid": "attempt(os.setuid, 0)",
    "clock": "attempt(__import__('time').clock_settime, 0, 0)",
    "raising a limit": "attempt(__import__('resource').setrlimit, 7, (4096, 4096))",
}
REFUSALS = {"EPERM", "EACCES", "EROFS", "ENOSYS", "EINVAL", "ENOENT"}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """The default walls, with the filter of system calls."""
    with walled.open_directory() as directory:
        yield make_sandbox(seccomp=str(seccomp.store_program(directory, seccomp.compile_profile())))


def run(sandbox: Sandbox, code: str, tmp_path: Path) -> str:
    script = f"{PRELUDE}\nN = {NUMBERS!r}\n{code}"
    outcome = walled.run(sandbox, [probe_python(), "-I", "-c", script], log=tmp_path / "log")
    assert outcome.exit_code == 0, outcome.output
    return outcome.output


def attempts(sandbox: Sandbox, names: list[str], tmp_path: Path) -> dict[str, str]:
    lines = "\n".join(f"print({name!r}, {CALLS[name]}, sep='\\t')" for name in names)
    return dict(line.split("\t") for line in run(sandbox, lines, tmp_path).splitlines())


def test_every_attempt_is_refused_and_the_job_goes_on(sandbox: Sandbox, tmp_path: Path) -> None:
    """Each way out is answered with an error, and the process that tries them all lives on."""
    results = attempts(sandbox, list(CALLS), tmp_path)
    assert list(results) == list(CALLS)
    assert {name: result for name, result in results.items() if result not in REFUSALS} == {}
    assert results["mount"] == results["bpf"] == results["typing, with more bits"] == "EPERM"


def test_the_walls_hold_without_the_filter(sandbox: Sandbox, tmp_path: Path) -> None:
    """With no filter of system calls, what would leave the sandbox is refused by privileges alone."""
    harmless = {
        # New namespaces give nothing that was not there, and these are shut by the filter alone.
        "new user namespace",
        "fork into a user namespace",
        "crypto socket",
        "vsock",
        "netfilter socket",
        "keyring",
        "io_uring",
        "perf",
        "userfaultfd",
        # Without a terminal there is nothing to type into.
        "typing into a terminal",
        "typing, with more bits",
        "pasting into a terminal",
    }
    names = [name for name in CALLS if name not in harmless]
    results = attempts(sandbox._replace(seccomp=""), names, tmp_path)
    allowed = REFUSALS | {"EBADF", "EFAULT"}
    assert {name: result for name, result in results.items() if result not in allowed} == {}


def test_root_inside_is_no_root(sandbox: Sandbox, tmp_path: Path) -> None:
    """User 0 with the capabilities that a job may ask for, and no filter, gets no further."""
    root = sandbox._replace(uid=0, gid=0, capabilities=ROOT_CAPABILITIES, seccomp="")
    names = [
        *("mount", "umount", "pivot_root", "chroot", "new mount api", "attributes of a mount", "setns"),
        *("new mount namespace", "ptrace of init", "bpf", "reboot", "file handles", "module", "packet socket"),
        *("device node", "core pattern", "sysrq", "init's descriptors", "init's root", "init's memory"),
        *("init's environment", "the log", "a file of the host", "clock", "raising a limit"),
    ]
    results = attempts(root, names, tmp_path)
    assert {name: result for name, result in results.items() if result not in REFUSALS | {"EBADF"}} == {}


def test_unknown_calls_are_not_there(sandbox: Sandbox, tmp_path: Path) -> None:
    """A call that nobody knows, and clone3, whose flags can't be looked at, are ENOSYS."""
    assert run(sandbox, "print(call(999), call(435, bytes(88), 88))", tmp_path) == "ENOSYS ENOSYS\n"


def test_release_agent_is_out_of_sight(sandbox: Sandbox, tmp_path: Path) -> None:
    """No cgroup file system is in sight, so nobody can have the kernel run a program on the host."""
    code = "print([n for d, _, n in os.walk('/sys') for n in n if n == 'release_agent'])"
    assert run(sandbox, code, tmp_path) == "[]\n"


def test_the_host_is_out_of_reach_through_an_old_working_directory(sandbox: Sandbox, tmp_path: Path) -> None:
    """Going up from anywhere ends at the job's own root directory."""
    code = (
        "os.chdir('/tmp'); os.mkdir('in'); os.chdir('in')\n"
        "for _ in range(50): os.chdir('..')\n"
        "print(os.stat('.').st_ino == os.stat('/').st_ino, os.getcwd(), os.listdir('sys'))\n"
    )
    assert run(sandbox, code, tmp_path) == "True / []\n"


@needs_capability(CAP_SYS_RESOURCE, "CAP_SYS_RESOURCE")
def test_no_dump_is_handed_to_the_host(sandbox: Sandbox, tmp_path: Path) -> None:
    """The limit on core dumps is 1, at which the kernel starts no program for them, whatever host and job make it."""
    core = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        code = "import resource; resource.setrlimit(4, (0, 0)); print(resource.getrlimit(4))"
        assert run(sandbox, code, tmp_path) == "(1, 1)\n"
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, core)


def test_init_does_not_obey_the_command(sandbox: Sandbox, tmp_path: Path) -> None:
    """The command can neither kill nor stop init."""
    code = (
        "import signal, time\n"
        "for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGSEGV, signal.SIGALRM): os.kill(1, number)\n"
        "print(open('/proc/1/stat').read().rsplit(')')[1].split()[0] in 'SR')\n"
    )
    assert run(sandbox, code, tmp_path) == "True\n"


def test_the_command_cannot_tell_the_monitor_anything(sandbox: Sandbox, tmp_path: Path) -> None:
    """No descriptor of init's is within the command's reach, so it can't report an end of its own making."""
    code = "print([attempt(os.open, f'/proc/1/fd/{n}', os.O_WRONLY) for n in range(10)] == ['EACCES'] * 10)"
    assert run(sandbox, code, tmp_path) == "True\n"


def test_the_hosts_name_is_resolved_without_a_network(sandbox: Sandbox, tmp_path: Path) -> None:
    """Programs that look up their own host's name find the loopback interface."""
    assert run(sandbox, "print(socket.gethostbyname(socket.gethostname()))", tmp_path) == "127.0.0.1\n"


@pytest.mark.parametrize("interpreter", ["node", "java", "git", "gcc"])
def test_ordinary_programs_work(sandbox: Sandbox, tmp_path: Path, interpreter: str) -> None:
    """Programs that use many system calls do their work behind the walls."""
    commands = {
        "node": 'node -e \'require("fs").readFile("/etc/passwd", (e, d) => console.log(e || d.length > 0))\'',
        "java": "java -XX:+UseSerialGC -version 2>&1 | grep -q -i version && echo true",
        "git": "cd /tmp && git init -q r && cd r && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x "
        "&& git log --oneline | grep -q x && echo true",
        "gcc": "cd /tmp && echo 'int main(void){return 0;}' > a.c && gcc -O1 -pthread a.c && ./a.out && echo true",
    }
    if not any(os.access(f"{directory}/{interpreter}", os.X_OK) for directory in walled.ENVIRONMENT["PATH"].split(":")):
        pytest.skip(f"no {interpreter} that everybody may run")
    outcome = walled.run(sandbox, ["/bin/sh", "-c", commands[interpreter]], log=tmp_path / "log")
    assert (outcome.exit_code, outcome.output) == (0, "true\n")
