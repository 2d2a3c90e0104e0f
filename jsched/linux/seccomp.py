"""Loading a seccomp filter that was compiled elsewhere, seccomp(2)."""

from __future__ import annotations

import ctypes

from jsched.linux.call import call_number, system_call

INSTRUCTION_SIZE = 8

_SECCOMP_SET_MODE_FILTER = 1


class _Program(ctypes.Structure):
    """struct sock_fprog: the number of instructions, and where they are."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


_seccomp = system_call("seccomp", call_number(317, 277), ctypes.c_uint, ctypes.c_uint, ctypes.POINTER(_Program))


def load_filter(program: bytes) -> None:
    """Have every system call from now on judged by a BPF program, here and in all that is forked or executed.

    Needs no_new_privs or CAP_SYS_ADMIN. Raises OSError, EINVAL for a program that the kernel does not
    accept. Source: seccomp(2), SECCOMP_SET_MODE_FILTER.
    """
    _seccomp(_SECCOMP_SET_MODE_FILTER, 0, ctypes.byref(_Program(len(program) // INSTRUCTION_SIZE, program)))
