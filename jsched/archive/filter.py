"""Which system calls the prisoner may make: what unpacking takes, and nothing else.

Compiled in the server, once; the prisoner loads it as its last wall, when everything that it will ever execute
is in its memory and everything that it has to have open is open.
"""

from __future__ import annotations

import errno
import functools
from collections.abc import Iterator

from jsched.isolation.seccomp import ALLOW, EQUAL, MASKED_EQUAL, Rule, compile_rules

_FILES = """
    close dup fchmod fchmodat fchown fchownat fstat getdents64 linkat lseek mkdirat newfstatat openat openat2
    pread64 read statx symlinkat syncfs unlinkat utimensat write
"""
_ITSELF = """
    brk clock_gettime exit exit_group futex getrandom gettimeofday madvise mremap munmap restart_syscall
    rt_sigaction rt_sigprocmask rt_sigreturn sched_yield uname
"""
# mmap(2), mprotect(2): nothing that comes into memory now is ever executed.
_PROTECTION = 2
_PROT_EXEC = 4
# fcntl(2): F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC.
_DESCRIPTOR_COMMANDS = (1, 2, 3, 1030)


@functools.cache
def compile_filter() -> bytes:
    """Return the BPF program for jsched.linux.seccomp; a call that is not allowed fails with EPERM.

    Raises FailedPrecondition if libseccomp is not there, or knows no such machine.
    """
    return compile_rules(_rules(), errno.EPERM)


def _rules() -> Iterator[Rule]:
    for name in (_FILES + _ITSELF).split():
        yield ALLOW, name, ()
    for name in ("mmap", "mprotect"):
        yield ALLOW, name, ((_PROTECTION, MASKED_EQUAL, _PROT_EXEC, 0),)
    for command in _DESCRIPTOR_COMMANDS:
        yield ALLOW, "fcntl", ((1, EQUAL, command),)
