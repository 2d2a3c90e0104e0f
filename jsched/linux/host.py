"""The name of the host and its loopback interface, in whichever namespace this process is."""

from __future__ import annotations

import ctypes
import os
import struct

from jsched.linux.call import library_call

AF_INET = 2
SOCK_DGRAM = 2
_SOCK_CLOEXEC = os.O_CLOEXEC
SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1
# struct ifreq of netdevice(7): the interface's name, its flags, and the rest of a union.
_IFREQ = struct.Struct("=16sh22x")
LOOPBACK_UP = _IFREQ.pack(b"lo", _IFF_UP)

_sethostname = library_call("sethostname", ctypes.c_char_p, ctypes.c_size_t)
_socket = library_call("socket", ctypes.c_int, ctypes.c_int, ctypes.c_int)
_ioctl = library_call("ioctl", ctypes.c_int, ctypes.c_ulong, ctypes.c_char_p, called="ioctl(SIOCSIFFLAGS)")


def set_hostname(name: str) -> None:
    """Set the host's name, at most 64 bytes; raises OSError. Source: sethostname(2)."""
    encoded = name.encode()
    _sethostname(encoded, len(encoded))


def raise_loopback() -> None:
    """Bring up the loopback interface, which is down in a new network namespace.

    Raises OSError. Source: netdevice(7).
    """
    control = _socket(AF_INET, SOCK_DGRAM | _SOCK_CLOEXEC, 0)
    try:
        _ioctl(control, SIOCSIFFLAGS, LOOPBACK_UP)
    finally:
        os.close(control)
