"""Attempts on the kernel itself: calls that nobody in a sandbox needs, and its own files."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import socket
import struct
import termios

from tests.helpers.escapes.attempt import Host, attempt, opening, system_call

_KEYCTL_GET_KEYRING_ID = 0
_KEY_SPEC_PROCESS_KEYRING, _KEY_SPEC_SESSION_KEYRING = -2, -3
_BPF_MAP_CREATE, _BPF_MAP_TYPE_ARRAY = 0, 2
_SYSLOG_ACTION_SIZE_BUFFER = 10
_TIOCLINUX, _TIOCL_GETSHIFTSTATE = 0x541C, b"\x06"
_ABOVE_32_BITS = 1 << 32
_TIOCSETD, _N_TTY = 0x5423, struct.pack("=i", 0)
_MFD_HUGETLB = 4

opening("kernel: core_pattern", "/proc/sys/kernel/core_pattern")
opening("kernel: modprobe", "/proc/sys/kernel/modprobe")
opening("kernel: sysrq-trigger", "/proc/sysrq-trigger")
opening("kernel: uevent_helper", "/sys/kernel/uevent_helper")
opening("kernel: ip_forward", "/proc/sys/net/ipv4/ip_forward")
opening("kernel: mtrr", "/proc/mtrr")
opening("kernel: irq affinity", "/proc/irq/default_smp_affinity")
opening("kernel: /proc/kcore", "/proc/kcore", os.O_RDONLY)
opening("kernel: /proc/kpageflags", "/proc/kpageflags", os.O_RDONLY)
opening("kernel: /proc/keys", "/proc/keys", os.O_RDONLY)
opening("kernel: /proc/kmsg", "/proc/kmsg", os.O_RDONLY)
opening("kernel: /dev/kmsg", "/dev/kmsg")
opening("kernel: /dev/mem", "/dev/mem", os.O_RDONLY)


@attempt("kernel: keyctl")
def _keyctl(_: Host) -> object:
    return system_call("keyctl", _KEYCTL_GET_KEYRING_ID, _KEY_SPEC_SESSION_KEYRING, 0)


@attempt("kernel: add_key")
def _add_key(_: Host) -> object:
    return system_call("add_key", b"user", b"jsched-probe", b"x", 1, _KEY_SPEC_PROCESS_KEYRING)


@attempt("kernel: bpf")
def _bpf(_: Host) -> object:
    # map_type, key_size, value_size, max_entries; the rest of the union is zero.
    array = struct.pack("=IIII", _BPF_MAP_TYPE_ARRAY, 4, 4, 1).ljust(72, b"\0")
    return system_call("bpf", _BPF_MAP_CREATE, array, len(array))


@attempt("kernel: io_uring")
def _io_uring(_: Host) -> object:
    return system_call("io_uring_setup", 1, ctypes.create_string_buffer(120))


@attempt("kernel: userfaultfd")
def _userfaultfd(_: Host) -> object:
    return system_call("userfaultfd", 0)


@attempt("kernel: perf_event_open", errno.EINVAL, errno.ENOENT)
def _perf_event_open(_: Host) -> object:
    # Type and size (PERF_ATTR_SIZE_VER0); counting the cycles of this process, kernel included.
    return system_call("perf_event_open", struct.pack("=II", 0, 64).ljust(64, b"\0"), 0, -1, -1, 0)


@attempt("kernel: AF_ALG")
def _af_alg(_: Host) -> object:
    return socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)


@attempt("kernel: AF_VSOCK")
def _af_vsock(_: Host) -> object:
    return socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)


@attempt("kernel: reading its log")
def _syslog(_: Host) -> object:
    return system_call("syslog", _SYSLOG_ACTION_SIZE_BUFFER, None, 0)


@attempt("kernel: SCTP", errno.EPROTONOSUPPORT)
def _sctp(_: Host) -> object:
    # Whoever is told that there is none has had the kernel look for a module.
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP)


@attempt("kernel: native AIO")
def _aio(_: Host) -> object:
    return system_call("io_setup", 1, ctypes.create_string_buffer(8))


@attempt("kernel: huge pages", errno.ENOMEM)
def _huge_pages(_: Host) -> object:
    # In memory: ENOMEM says that there are none left, or none set aside.
    return system_call("memfd_create", b"probe", _MFD_HUGETLB)


@attempt("kernel: lowering the limit on core dumps")
def _core_limit(_: Host) -> None:
    """To 0: at 1 the kernel does not start the host's program for core dumps, at 0 it does."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _stays_above_0()


@attempt("kernel: lowering the limit on core dumps by prlimit with a number above 32 bits")
def _core_limit_wide(_: Host) -> None:
    system_call("prlimit64", 0, resource.RLIMIT_CORE | _ABOVE_32_BITS, bytes(16), None)
    _stays_above_0()


# In these three what is asked for makes no sense, and the kernel says so only to who may ask.
@attempt("kernel: reboot", errno.EINVAL)
def _reboot(_: Host) -> object:
    return system_call("reboot", 0, 0, 0, None)


@attempt("kernel: swapon", errno.ENOENT, errno.EINVAL)
def _swapon(_: Host) -> object:
    return system_call("swapon", b"/no/such/file", 0)


@attempt("kernel: init_module", errno.ENOEXEC, errno.EFAULT)
def _init_module(_: Host) -> object:
    return system_call("init_module", None, 0, b"")


@attempt("kernel: kexec_load", errno.EINVAL, errno.EBUSY)
def _kexec_load(_: Host) -> object:
    return system_call("kexec_load", 0, 0x7FFFFFFF, None, 0)


@attempt("terminal: TIOCSTI")
def _tiocsti(_: Host) -> object:
    return system_call("ioctl", _own_terminal(), termios.TIOCSTI, b"x")


@attempt("terminal: TIOCSTI with a number above 32 bits")
def _tiocsti_wide(_: Host) -> object:
    return system_call("ioctl", _own_terminal(), termios.TIOCSTI | _ABOVE_32_BITS, b"x")


# Whoever is told that this is no virtual console got as far as to the terminal.
@attempt("terminal: TIOCLINUX", errno.ENOTTY)
def _tioclinux(_: Host) -> object:
    return system_call("ioctl", _own_terminal(), _TIOCLINUX, ctypes.create_string_buffer(_TIOCL_GETSHIFTSTATE))


# To the discipline that it has; another may load a module.
@attempt("terminal: TIOCSETD")
def _tiocsetd(_: Host) -> object:
    return system_call("ioctl", _own_terminal(), _TIOCSETD, _N_TTY)


def _stays_above_0() -> None:
    if resource.getrlimit(resource.RLIMIT_CORE)[1] != 0:
        raise PermissionError(errno.EPERM, "the limit stayed")


def _own_terminal() -> int:
    """Make a pty the controlling terminal of this child, and return it: its input is nobody else's."""
    _, slave = os.openpty()
    os.setsid()
    system_call("ioctl", slave, termios.TIOCSCTTY, 0)
    return slave
