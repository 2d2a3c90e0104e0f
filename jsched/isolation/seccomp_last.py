"""The filter that init loads last, behind that of the profile: no cgroup namespaces any more.

An init that was forked ahead of its job learns of the job's cgroup when the profile's filter is loaded already, and
makes a namespace of it then. So that filter leaves this one call, and what is loaded here takes it away before
there is a command. It is so short because it is loaded while a job starts.
"""

from __future__ import annotations

import errno
import struct
import sys

from jsched.linux.namespaces import CLONE_NEWCGROUP, UNSHARE

# As in seccomp: struct sock_filter and struct seccomp_data. Programs of other architectures are ended by the profile.
_INSTRUCTION = struct.Struct("=HBBI")
_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_SET, _RETURN = 0x20, 0x15, 0x45, 0x06
_NUMBER_OFFSET = 0
_FLAGS_OFFSET = 16 if sys.byteorder == "little" else 20
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000

PROGRAM = b"".join(
    _INSTRUCTION.pack(*instruction)
    for instruction in (
        (_LOAD, 0, 0, _NUMBER_OFFSET),
        (_JUMP_IF_EQUAL, 0, 3, UNSHARE),
        (_LOAD, 0, 0, _FLAGS_OFFSET),
        (_JUMP_IF_SET, 0, 1, CLONE_NEWCGROUP),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
    )
)
