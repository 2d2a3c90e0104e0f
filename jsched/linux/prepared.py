"""System calls that are prepared before a fork and made after it.

A forked interpreter copies each page that it writes to, and counting references is writing: a hundred calls made
through functions of Python's copy more memory than the kernel's part of them costs. What is prepared here is a list
of numbers, and one loop goes through it.
"""

from __future__ import annotations

import ctypes
import os

_ARGUMENTS = 6

# With the interpreter's lock held: there is nobody else to have it after a fork.
_syscall = ctypes.PyDLL(None, use_errno=True)["syscall"]
_syscall.argtypes = (ctypes.c_long,) * (1 + _ARGUMENTS)
_syscall.restype = ctypes.c_long


class Failed(OSError):
    """A call has failed; `step` is the name of the step that it belongs to, `number` its errno."""

    def __init__(self, step: str, number: int) -> None:
        super().__init__(number, f"{step}: {os.strerror(number)}")
        self.step = step
        self.number = number


class Slot(int):
    """The place of a number that a call returns, or that becomes known after the fork."""


def call(step: str, number: int, a: int = 0, b: int = 0, c: int = 0, d: int = 0, e: int = 0, f: int = 0) -> int:
    """Make the system call with this number now and return its result; addresses are numbers, too.

    Raises Failed.
    """
    result: int = _syscall(number, a, b, c, d, e, f)
    if result == -1:
        raise Failed(step, ctypes.get_errno())
    return result


class Prepared:
    """Calls in the order in which they will be made, in parts, each with the name of its step.

    `part` and `step` are those that what is added belongs to.
    """

    def __init__(self) -> None:
        self.part = self.step = ""
        self._parts: dict[str, list[tuple[int, int, int, int, int, int, int, int, int, str]]] = {}
        self._values: list[int] = [0]
        self._places: dict[int, int] = {0: 0}
        self._kept: list[ctypes.Array[ctypes.c_char]] = []

    def slot(self) -> Slot:
        """Return a place for a number that set() gives later."""
        self._values.append(0)
        return Slot(len(self._values) - 1)

    def set(self, slot: Slot, value: int) -> None:
        """Give a place its number."""
        self._values[slot] = value

    def keep(self, content: bytes) -> int:
        """Return the address of a copy with a NUL behind it, which stays there as long as this object."""
        buffer = ctypes.create_string_buffer(content)
        self._kept.append(buffer)
        return ctypes.addressof(buffer)

    def add(self, number: int, *arguments: int | bytes, result: Slot | None = None, tolerated: int = 0) -> Slot:
        """Add a system call and return the place of its result, a new one unless it is given.

        An argument is a number, the Slot of one, or bytes, whose address is handed over. An errno that is
        tolerated leaves -1 behind.
        """
        result = self.slot() if result is None else result
        a, b, c, d, e, f = (*map(self._place, arguments), *(0,) * (_ARGUMENTS - len(arguments)))
        call = (number, a, b, c, d, e, f, result, tolerated, self.step)
        self._parts.setdefault(self.part, []).append(call)
        return result

    def make(self, part: str) -> None:
        """Make the calls of a part; raises Failed at the first that fails."""
        values = self._values
        syscall = _syscall
        for number, a, b, c, d, e, f, result, tolerated, step in self._parts.get(part, ()):
            value = syscall(number, values[a], values[b], values[c], values[d], values[e], values[f])
            if value == -1 and ctypes.get_errno() != tolerated:
                raise Failed(step, ctypes.get_errno())
            values[result] = value

    def _place(self, argument: int | bytes) -> int:
        if isinstance(argument, Slot):
            return argument
        value = self.keep(argument) if isinstance(argument, bytes) else argument
        if value not in self._places:
            self._values.append(value)
            self._places[value] = len(self._values) - 1
        return self._places[value]
