"""What the prisoner's filter of system calls lets through, tried by a probe that has loaded it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.helpers.archives import member, tar

# With everything imported and opened that is needed later, as the prisoner has it.
PRELUDE = """
import ctypes, errno, fcntl, mmap, os, resource, signal, socket, sys, traceback
from pathlib import Path
from jsched.archive.filter import compile_filter
from jsched.linux import privileges
from jsched.linux.seccomp import load_filter
libc = ctypes.CDLL(None, use_errno=True)
root = os.open(sys.argv[1], os.O_RDONLY)

def attempt(action):
    try:
        action()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"

def call(name, *arguments):
    def make():
        if getattr(libc, name)(*arguments) == -1:
            raise OSError(ctypes.get_errno(), name)
    return make

def number(which):
    def make():
        if libc.syscall(which, 0, 0, 0, 0, 0, 0) == -1:
            raise OSError(ctypes.get_errno(), str(which))
    return make

program = compile_filter()
privileges.set_no_new_privileges()
load_filter(program)
"""

REFUSED = {
    "a process": "os.fork",
    "a program": "lambda: os.execv('/bin/true', ['true'])",
    "a socket": "socket.socket",
    "a pair of sockets": "socket.socketpair",
    "a signal": "lambda: os.kill(os.getppid(), 0)",
    "another process's memory": "call('process_vm_readv', 1, None, 0, None, 0, 0)",
    "tracing": "call('ptrace', 16, 1, None, None)",
    "a namespace": "call('unshare', 0x10000000)",
    "a mount": "call('mount', None, b'/', None, 1 << 18, None)",
    "another root": "lambda: os.chroot('.')",
    "a user": "lambda: os.setuid(0)",
    "capabilities": "lambda: privileges.set_capabilities(0)",
    "prctl": "privileges.set_not_dumpable",
    "a limit": "lambda: resource.getrlimit(resource.RLIMIT_CORE)",
    "a device": "lambda: os.mknod('d', 0o20600, os.makedev(1, 3))",
    "an attribute": "lambda: os.setxattr('.', 'user.a', b'x')",
    "a terminal's input": "lambda: fcntl.ioctl(0, 0x5412, b'x')",
    "another's descriptor": "lambda: os.pidfd_open(1)",
    "an owner of a signal": "lambda: fcntl.fcntl(root, 8, 1)",
    "memory to execute": "lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC)",
    "memory to execute later": "call('mprotect', ctypes.c_void_p(id(root) & ~4095), 4096, 5)",
    "io_uring": "number(425)",
    "a call that nobody knows": "number(999)",
}


def probe(tmp_path: Path, code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + code, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_is_not_for_unpacking_is_refused(tmp_path: Path) -> None:
    """Each way out is EPERM, for root too, and the process goes on."""
    attempts = ", ".join(f"{name!r}: {action}" for name, action in REFUSED.items())
    told = probe(tmp_path, f"for name, action in {{{attempts}}}.items(): print(name, attempt(action), sep=': ')")
    assert told.splitlines() == [f"{name}: EPERM" for name in REFUSED]


def test_what_is_for_unpacking_works(tmp_path: Path) -> None:
    """Files, directories and links are made and read, times and modes set, memory is had, and errors are told."""
    code = """
os.mkdir("d", 0o700, dir_fd=root)
fd = os.open("d/f", os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=root)
os.write(fd, b"x" * 100_000)
os.fchmod(fd, 0o640)
os.utime(fd, (1, 2))
os.close(os.dup(fd))
os.symlink("f", "d/l", dir_fd=root)
os.link("d/f", "d/h", src_dir_fd=root, dst_dir_fd=root)
print(sorted(os.listdir(root)), len(bytearray(50_000_000)))
os.unlink("d/h", dir_fd=root)
try:
    1 / 0
except ZeroDivisionError as error:
    print(traceback.format_exception(error)[-1])
"""
    assert probe(tmp_path, code) == "['d'] 50000000\nZeroDivisionError: division by zero\n\n"
    assert (tmp_path / "d" / "f").stat().st_size == 100_000


def test_without_libseccomp_the_wall_is_told_to_be_missing(tmp_path: Path) -> None:
    """An archive is unpacked behind the other walls, and the answer says which one there was not."""
    (tmp_path / "archive").write_bytes(tar(member("f", b"x")))
    (tmp_path / "tree").mkdir(mode=0o700)
    code = (
        "import ctypes.util\n"
        "find = ctypes.util.find_library\n"
        "ctypes.util.find_library = lambda name: None if name == 'seccomp' else find(name)\n"
        "from pathlib import Path\n"
        "from jsched.archive.refusal import Limits\n"
        "from jsched.archive.unpacking import Unpacking\n"
        f"with open({str(tmp_path / 'archive')!r}, 'rb') as archive:\n"
        f"    unpacked = Unpacking(archive.fileno(), Path({str(tmp_path / 'tree')!r}), Limits(2**20, 100, 30)).run()\n"
        "print(unpacked.missing_walls[-1])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "filter of system calls\n", done.stderr
