"""What a process may do, and giving it up for good: capabilities, securebits, no_new_privs, dumpable.

Sources: capabilities(7), prctl(2).
"""

from __future__ import annotations

import ctypes
import functools
import struct

from jsched.linux.call import call_number, library_call, system_call

CAP_CHOWN = 0
CAP_DAC_OVERRIDE = 1
CAP_FOWNER = 3
CAP_FSETID = 4
CAP_KILL = 5
CAP_SETGID = 6
CAP_SETUID = 7
CAP_NET_BIND_SERVICE = 10
CAP_SYS_ADMIN = 21

_PR_GET_DUMPABLE = 3
PR_SET_DUMPABLE = 4
_PR_SET_KEEPCAPS = 8
_PR_CAPBSET_READ = 23
_PR_CAPBSET_DROP = 24
_PR_SET_SECUREBITS = 28
_PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4

# Each bit and its lock, capabilities(7): no capabilities for user 0 as such, and no ambient ones.
_SECBIT_NOROOT = 0b11 << 0
_SECBIT_KEEP_CAPS = 0b01 << 4
_SECBIT_KEEP_CAPS_LOCKED = 0b10 << 4
_SECBIT_NO_CAP_AMBIENT_RAISE = 0b11 << 6

_VERSION_3 = 0x20080522
# struct __user_cap_header_struct: version, pid; two of __user_cap_data_struct: effective, permitted, inheritable.
_CAP_HEADER = struct.Struct("=Ii")
_CAP_DATA = struct.Struct("=6I")

_prctl = library_call("prctl", ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)
_capget = system_call("capget", call_number(125, 90), ctypes.c_char_p, ctypes.c_char_p)
_capset = system_call("capset", call_number(126, 91), ctypes.c_char_p, ctypes.c_char_p)


@functools.cache
def last_capability() -> int:
    """Return the number of the last capability that this kernel knows, PR_CAPBSET_READ of prctl(2)."""
    number = 0
    while True:
        try:
            _prctl(_PR_CAPBSET_READ, number + 1, 0, 0, 0)
        except OSError:
            return number
        number += 1


def drop_from_bounding_set(kept: int) -> None:
    """Leave only the capabilities of a bit mask in the bounding set; needs CAP_SETPCAP.

    Raises OSError, EPERM without it. Source: prctl(2), PR_CAPBSET_DROP.
    """
    for number in range(last_capability() + 1):
        if not kept >> number & 1:
            _prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)


def keep_capabilities() -> None:
    """Keep the permitted capabilities through the next setuid(2), PR_SET_KEEPCAPS; raises OSError."""
    _prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)


def lock_securebits(*, root_is_special: bool, until_exec: bool = False) -> None:
    """Forbid ambient and kept capabilities, and those of user 0 unless it is special; needs CAP_SETPCAP.

    `until_exec` has those that are permitted kept by whoever becomes another user, up to the next execve(2).
    Raises OSError. Source: prctl(2), PR_SET_SECUREBITS.
    """
    bits = _SECBIT_KEEP_CAPS_LOCKED | _SECBIT_NO_CAP_AMBIENT_RAISE | (_SECBIT_KEEP_CAPS if until_exec else 0)
    _prctl(_PR_SET_SECUREBITS, bits if root_is_special else bits | _SECBIT_NOROOT, 0, 0, 0)


def set_capabilities(mask: int) -> None:
    """Have the capabilities of a bit mask permitted and effective, none inheritable, none ambient.

    Raises OSError. Source: capset(2).
    """
    _capset(*encode_capabilities(mask))
    _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)


def raise_capabilities() -> None:
    """Have all permitted capabilities effective, as root has them; raises OSError. Source: capget(2), capset(2)."""
    header, data = _CAP_HEADER.pack(_VERSION_3, 0), ctypes.create_string_buffer(_CAP_DATA.size)
    _capget(header, data)
    _, low, inheritable_low, _, high, inheritable_high = _CAP_DATA.unpack(data.raw)
    _capset(header, _CAP_DATA.pack(low, low, inheritable_low, high, high, inheritable_high))


def encode_capabilities(mask: int) -> tuple[bytes, bytes]:
    """Return both arguments of capset(2) for a bit mask that is to be permitted and effective, and not inheritable."""
    low, high = mask & 0xFFFFFFFF, mask >> 32
    return _CAP_HEADER.pack(_VERSION_3, 0), _CAP_DATA.pack(low, low, 0, high, high, 0)


def set_no_new_privileges() -> None:
    """Gain nothing by exec any more, neither from setuid bits nor from file capabilities, PR_SET_NO_NEW_PRIVS."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def is_dumpable() -> bool:
    """Return whether processes of the same user may look into this one, PR_GET_DUMPABLE."""
    return _prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0) == 1


def set_dumpable() -> None:
    """Take back set_not_dumpable(), or what a change of users has done."""
    _prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)


def set_not_dumpable() -> None:
    """Let nobody without CAP_SYS_PTRACE look into this process until it executes something, PR_SET_DUMPABLE."""
    _prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
