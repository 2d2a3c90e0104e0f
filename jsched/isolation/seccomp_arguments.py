"""Rules about arguments of system calls, as instructions that stand before a compiled profile.

The kernel takes an argument whose type is int as 32 bits, libseccomp compares all 64: to it, TIOCSTI with a bit
above is another request. These compare what the kernel does.
"""

from __future__ import annotations

import errno
import struct
import sys
from collections.abc import Sequence

from jsched.isolation import seccomp_profile as profile

# struct sock_filter: code, jump if true, jump if false, operand; struct seccomp_data: number, architecture,
# instruction pointer, arguments of 64 bits. Sources: seccomp(2), the kernel's include/uapi/linux/filter.h.
_INSTRUCTION = struct.Struct("=HBBI")
_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_SET, _RETURN = 0x20, 0x15, 0x45, 0x06
_NUMBER_OFFSET, _ARCH_OFFSET, _ARGUMENTS_OFFSET = 0, 4, 16
_RETURN_ERRNO = 0x00050000
_LOW, _HIGH = (0, 4) if sys.byteorder == "little" else (4, 0)

AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_NUMBERS = {
    "x86_64": {
        "ioctl": 16,
        "socket": 41,
        "mmap": 9,
        "memfd_create": 319,
        "shmget": 29,
        "setrlimit": 160,
        "prlimit64": 302,
    },
    "aarch64": {
        "ioctl": 29,
        "socket": 198,
        "mmap": 222,
        "memfd_create": 279,
        "shmget": 194,
        "setrlimit": 164,
        "prlimit64": 261,
    },
}

_Instruction = tuple[int, int, int, int]


def rules(machine: str) -> bytes:
    """Return the instructions for a machine of AUDIT_ARCH; jumps are relative, so a program stands behind them."""
    blocks = {
        "ioctl": _among(1, profile.REFUSED_REQUESTS, errno.EPERM),
        "socket": _protocols(),
        "mmap": _with_bits(3, profile.MAP_HUGETLB, errno.ENOMEM),
        "memfd_create": _with_bits(1, profile.MFD_HUGETLB, errno.EPERM),
        "shmget": _with_bits(2, profile.SHM_HUGETLB, errno.EPERM),
        "setrlimit": _among(0, (profile.RLIMIT_CORE,), 0),
        "prlimit64": _core_limit_of(resource=1, new=2, old=3),
    }
    judged: list[_Instruction] = []
    for name, block in blocks.items():
        judged += [(_LOAD, 0, 0, _NUMBER_OFFSET), (_JUMP_IF_EQUAL, 0, len(block), _NUMBERS[machine][name]), *block]
    program = [(_LOAD, 0, 0, _ARCH_OFFSET), (_JUMP_IF_EQUAL, 0, len(judged), AUDIT_ARCH[machine]), *judged]
    return b"".join(_INSTRUCTION.pack(*instruction) for instruction in program)


def _among(argument: int, values: Sequence[int], number: int) -> list[_Instruction]:
    """Answer with an errno if the argument is one of the values; with 0 the call seems to have worked."""
    return [_low(argument), *_jumps_if_among(values), (_RETURN, 0, 0, _RETURN_ERRNO | number)]


def _with_bits(argument: int, bits: int, number: int) -> list[_Instruction]:
    """Answer with an errno if one of the bits is set in the argument."""
    return [_low(argument), (_JUMP_IF_SET, 0, 1, bits), (_RETURN, 0, 0, _RETURN_ERRNO | number)]


def _protocols() -> list[_Instruction]:
    """Refuse what is none of the protocols of the internet: others load modules of the kernel, for anybody."""
    allowed = profile.INTERNET_PROTOCOLS
    refused = [
        _low(2),
        *((_JUMP_IF_EQUAL, len(allowed) - index, 0, protocol) for index, protocol in enumerate(allowed)),
        (_RETURN, 0, 0, _RETURN_ERRNO | errno.EPERM),
    ]
    families = (profile.INET, profile.INET6)
    return [_low(0), *_jumps_if_among(families, over=len(refused)), *refused]


def _core_limit_of(resource: int, new: int, old: int) -> list[_Instruction]:
    """Leave the limit on core dumps as it is: changes seem to work, unless what it was before is asked for, too."""
    pretence = [
        *(_low(old), (_JUMP_IF_EQUAL, 0, 2, 0), _high(old), (_JUMP_IF_EQUAL, 1, 0, 0)),
        (_RETURN, 0, 0, _RETURN_ERRNO | errno.EPERM),
        (_RETURN, 0, 0, _RETURN_ERRNO),
    ]
    is_change = [_low(new), (_JUMP_IF_EQUAL, 0, 2, 0), _high(new), (_JUMP_IF_EQUAL, len(pretence), 0, 0)]
    is_core = (_JUMP_IF_EQUAL, 0, len(is_change) + len(pretence), profile.RLIMIT_CORE)
    return [_low(resource), is_core, *is_change, *pretence]


def _jumps_if_among(values: Sequence[int], over: int = 1) -> list[_Instruction]:
    """Go on behind these if what was loaded is one of the values, and so many instructions further if not."""
    jumps: list[_Instruction] = [
        (_JUMP_IF_EQUAL, len(values) - 1 - index, 0, value) for index, value in enumerate(values)
    ]
    code, _, _, value = jumps[-1]
    return [*jumps[:-1], (code, 0, over, value)]


def _low(argument: int) -> _Instruction:
    return (_LOAD, 0, 0, _ARGUMENTS_OFFSET + 8 * argument + _LOW)


def _high(argument: int) -> _Instruction:
    return (_LOAD, 0, 0, _ARGUMENTS_OFFSET + 8 * argument + _HIGH)
