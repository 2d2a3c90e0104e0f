"""One system call as a Python function: how the modules beside this one are built.

Numbers are those of x86_64, and the kernel's generic ones (aarch64, riscv64) elsewhere; calls from 424 on
have one number on every architecture. Source: syscall(2).
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import Any

ON_X86_64 = os.uname().machine == "x86_64"

libc = ctypes.CDLL(None, use_errno=True)
# Calls made through this one keep the interpreter's lock.
_locked_libc = ctypes.PyDLL(None, use_errno=True)


def call_number(x86_64: int, generic: int) -> int:
    """Return the number that a system call has here, of the two that it has."""
    return x86_64 if ON_X86_64 else generic


def system_call(name: str, number: int, *argtypes: Any, locked: bool = False) -> Callable[..., int]:
    """Return a function that makes the system call with this number, and raises OSError naming the call.

    With `locked` no other thread of Python's runs meanwhile: for calls that do not wait, and those that fork.
    """
    # A lookup by index makes a new function object, so that each call has argument types of its own.
    function = (_locked_libc if locked else libc)["syscall"]
    function.argtypes = (ctypes.c_long, *argtypes)
    function.restype = ctypes.c_long

    def call(*arguments: Any) -> int:
        result: int = function(number, *arguments)
        if result == -1:
            raise failure(name)
        return result

    return call


def library_call(name: str, *argtypes: Any, called: str = "") -> Callable[..., int]:
    """Return a C library function that returns -1 and sets errno, as one that raises OSError naming `called`."""
    function = libc[name]
    function.argtypes = argtypes
    function.restype = ctypes.c_int

    def call(*arguments: Any) -> int:
        result: int = function(*arguments)
        if result == -1:
            raise failure(called or name)
        return result

    return call


def failure(name: str) -> OSError:
    """Return the OSError for a call that has just failed."""
    number = ctypes.get_errno()
    return OSError(number, f"{name}: {os.strerror(number)}")
