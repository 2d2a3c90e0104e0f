"""Compiling profiles of system calls into BPF programs, in the server, once.

A job's init loads the program without libseccomp, jsched.linux.seccomp: loading through the library would
compile it again for each job.
"""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from jsched.errors import FailedPrecondition
from jsched.isolation import seccomp_arguments
from jsched.isolation import seccomp_profile as profile
from jsched.linux.namespaces import CLONE_NEWCGROUP

# seccomp_rule_add(3), seccomp_attr_set(3).
NOT_EQUAL, EQUAL, GREATER, MASKED_EQUAL = 1, 4, 6, 7
_BINARY_TREE = 2
ALLOW, REFUSE = "allow", "refuse"

Rule = tuple[str, str, tuple[tuple[int, ...], ...]]


def compile_profile() -> bytes:
    """Return the profile of jobs as a BPF program for this machine.

    Raises FailedPrecondition if libseccomp is not there, or knows no such machine.
    """
    program = compile_rules(_rules(), errno.ENOSYS)
    return seccomp_arguments.rules(os.uname().machine) + program


def compile_rules(rules: Iterable[Rule], otherwise: int) -> bytes:
    """Return rules as a BPF program for this machine; a call that no rule is about fails with the errno `otherwise`.

    A rule is what is done, the call's name, and comparisons of arguments (number, operator, operands).
    Raises FailedPrecondition if libseccomp is not there, or knows no such machine.
    """
    try:
        import pyseccomp
    except ModuleNotFoundError:
        raise FailedPrecondition(
            "the filter of system calls can't be compiled without pyseccomp",
            obj="seccomp",
            hint="pip install pyseccomp",
        ) from None
    except (RuntimeError, OSError, AttributeError) as error:
        raise FailedPrecondition(
            f"the filter of system calls can't be compiled: {error}",
            obj="seccomp",
            hint="install libseccomp 2.5 or newer (Debian: apt install libseccomp2)",
        ) from None
    machine = os.uname().machine
    if machine not in seccomp_arguments.AUDIT_ARCH:
        raise FailedPrecondition(f"there is no filter of system calls for {machine}", obj="seccomp")
    built = pyseccomp.SyscallFilter(pyseccomp.ERRNO(otherwise))
    # A program for another architecture, such as 32-bit x86, would see other calls under these numbers.
    built.set_attr(pyseccomp.Attr.ACT_BADARCH, pyseccomp.KILL_PROCESS)
    built.set_attr(pyseccomp.Attr.CTL_OPTIMIZE, _BINARY_TREE)
    for action, name, comparisons in rules:
        # Names of calls that this architecture, or this libseccomp, does not have are in no rule then.
        if pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name) >= 0:
            arguments = [pyseccomp.Arg(*comparison) for comparison in comparisons]
            built.add_rule(pyseccomp.ALLOW if action == ALLOW else pyseccomp.ERRNO(errno.EPERM), name, *arguments)
    with tempfile.TemporaryFile() as file:
        built.export_bpf(file)
        file.seek(0)
        return file.read()


def store_program(directory: Path, program: bytes) -> Path:
    """Write the program into a file of the directory that is named by its digest, unless it is there; return it.

    Raises OSError.
    """
    path = directory / f"seccomp-{hashlib.sha256(program).hexdigest()[:16]}.bpf"
    # One that a power cut has emptied has the name alone.
    if not path.is_file() or path.read_bytes() != program:
        with tempfile.NamedTemporaryFile(dir=directory, prefix=".seccomp-", delete=False) as file:
            file.write(program)
            file.flush()
            os.fsync(file.fileno())
        os.replace(file.name, path)
    return path


def _rules() -> Iterator[Rule]:
    for name in profile.ALLOWED:
        yield ALLOW, name, ()
    for name in profile.REFUSED:
        yield REFUSE, name, ()
    yield ALLOW, "clone", ((0, MASKED_EQUAL, profile.NEW_NAMESPACES, 0),)
    # Refused by seccomp_last, once init has made one.
    yield ALLOW, "unshare", ((0, MASKED_EQUAL, profile.NEW_NAMESPACES & ~CLONE_NEWCGROUP, 0),)
    for bit in (1 << number for number in range(32)):
        if bit & profile.NEW_NAMESPACES:
            yield REFUSE, "clone", ((0, MASKED_EQUAL, bit, bit),)
            if bit != CLONE_NEWCGROUP:
                yield REFUSE, "unshare", ((0, MASKED_EQUAL, bit, bit),)
    for family in range(max(profile.SOCKET_FAMILIES) + 1):
        yield from _socket_rules(family)
    # A number too large for the type is refused as well.
    yield REFUSE, "socket", ((0, GREATER, max(profile.SOCKET_FAMILIES)),)
    # Of other families even a pair that can't be made may load a module.
    yield ALLOW, "socketpair", ((0, EQUAL, socket.AF_UNIX),)
    yield REFUSE, "socketpair", ((0, NOT_EQUAL, socket.AF_UNIX),)
    for persona in profile.PERSONALITIES:
        yield ALLOW, "personality", ((0, EQUAL, persona),)


def _socket_rules(family: int) -> Iterator[Rule]:
    if family not in profile.SOCKET_FAMILIES:
        yield REFUSE, "socket", ((0, EQUAL, family),)
        return
    protocol = profile.SOCKET_FAMILIES[family]
    if protocol is None:
        yield ALLOW, "socket", ((0, EQUAL, family),)
        return
    yield ALLOW, "socket", ((0, EQUAL, family), (2, EQUAL, protocol))
    yield REFUSE, "socket", ((0, EQUAL, family), (2, GREATER, protocol))
