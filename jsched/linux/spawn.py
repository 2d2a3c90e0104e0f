"""posix_spawn(3): a new process without a copy of this one's memory.

os.posix_spawn() exists, but can't give glibc's own two signals their default action: glibc
leaves them ignored in what it starts unless the set says otherwise, and its sigaddset() refuses
them. So the set is filled here by hand.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Iterable, Iterator, Sequence

_SETSIGDEF = 0x04
_SETSIGMASK = 0x08
_SETSID = 0x80
# glibc keeps signals 32 and 33 for itself, nptl(7).
_OF_THE_C_LIBRARY = (32, 33)
NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR})
# Larger than sigset_t, posix_spawnattr_t and posix_spawn_file_actions_t of any C library here.
_SIGSET_SIZE = 128
_OPAQUE_SIZE = 1024

_libc = ctypes.CDLL(None, use_errno=True)
_Strings = ctypes.POINTER(ctypes.c_char_p)

_posix_spawn = _libc.posix_spawn
_posix_spawn.argtypes = (
    ctypes.POINTER(ctypes.c_int),
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_char_p,
    _Strings,
    _Strings,
)
_posix_spawn.restype = ctypes.c_int

_setflags = _libc.posix_spawnattr_setflags
_setflags.argtypes = (ctypes.c_char_p, ctypes.c_short)

_adddup2 = _libc.posix_spawn_file_actions_adddup2
_adddup2.argtypes = (ctypes.c_char_p, ctypes.c_int, ctypes.c_int)

# With the interpreter's lock held, and addresses for arguments.
_posix_spawn_at = ctypes.PyDLL(None)["posix_spawn"]
_posix_spawn_at.argtypes = (ctypes.c_void_p,) * 6
_posix_spawn_at.restype = ctypes.c_int

# Since glibc 2.34; before, nothing but close-on-exec keeps descriptors from what is started.
_addclosefrom = getattr(_libc, "posix_spawn_file_actions_addclosefrom_np", None)


class Spawner:
    """Starts processes that all have the same attributes, made once.

    A process leads a session of its own, blocks no signal, and has the default action for
    `default_signals` (what this process ignores and it must not) and the C library's own two.
    It inherits working directory and umask, and no descriptor but the three that it is given.
    """

    def __init__(self, default_signals: Iterable[int]) -> None:
        self._attributes = ctypes.create_string_buffer(_OPAQUE_SIZE)
        _check("posix_spawnattr_init", _libc.posix_spawnattr_init(self._attributes))
        wanted = (*default_signals, *_OF_THE_C_LIBRARY)
        _libc.posix_spawnattr_setsigdefault(self._attributes, _signal_set(wanted))
        _libc.posix_spawnattr_setsigmask(self._attributes, _signal_set(()))
        flags = _SETSID | _SETSIGDEF | _SETSIGMASK
        _check("posix_spawnattr_setflags", _setflags(self._attributes, flags))

    def spawn_command(
        self, argv: Sequence[bytes], env: Sequence[bytes], search_path: bytes, stdio: tuple[int, int, int]
    ) -> int:
        """Execute argv[0], looked for as execvp(3) does: in each directory of `search_path`, unless it has a slash.

        Returns and raises what spawn() does, for the one that says most.
        """
        # Not the error: it would hold this frame, and the frame it, with all that was to be handed over.
        failure = errno.ENOENT
        for path in _places(argv[0], search_path):
            try:
                return self.spawn(path, argv, env, stdio)
            except OSError as error:
                # What is there and can't be executed says more than what is not there at all.
                if failure in NOT_THERE:
                    failure = error.errno or failure
        raise OSError(failure, os.strerror(failure))

    def prepare(self) -> PreparedSpawn:
        """Return what starts processes with the standard streams that this one has then, and touches little memory."""
        return PreparedSpawn(self._attributes)

    def spawn(self, path: bytes, argv: Sequence[bytes], env: Sequence[bytes], stdio: tuple[int, int, int]) -> int:
        """Execute a file and return its process id; `stdio` become descriptors 0, 1 and 2, `env` is b"NAME=value".

        Raises OSError with the errno of the step that failed, exec included, and ValueError for a
        NUL byte; then there is no process.
        """
        actions = _actions(stdio)
        try:
            pid = ctypes.c_int()
            arguments, environment = _strings(argv), _strings(env)
            result = _posix_spawn(ctypes.byref(pid), path, actions, self._attributes, arguments, environment)
            _check("posix_spawn", result)
        finally:
            _libc.posix_spawn_file_actions_destroy(actions)
        return pid.value


class PreparedSpawn:
    """Starts processes from what lies in memory already, for a process that was just forked."""

    def __init__(self, attributes: ctypes.Array[ctypes.c_char]) -> None:
        self._kept = (attributes, _actions((0, 1, 2)), ctypes.c_int())
        self._attributes, self._actions, self._pid = map(ctypes.addressof, self._kept)

    def spawn(self, path: int, argv: int, env: int) -> int:
        """Return the errno of an attempt to execute the file with this path, or 0; all three are addresses."""
        result: int = _posix_spawn_at(self._pid, path, self._actions, self._attributes, argv, env)
        return result

    @property
    def pid(self) -> int:
        """The process id that the last successful attempt has led to."""
        return self._kept[2].value


def _actions(stdio: tuple[int, int, int]) -> ctypes.Array[ctypes.c_char]:
    actions = ctypes.create_string_buffer(_OPAQUE_SIZE)
    _check("posix_spawn_file_actions_init", _libc.posix_spawn_file_actions_init(actions))
    for target, source in enumerate(stdio):
        _check("posix_spawn_file_actions_adddup2", _adddup2(actions, source, target))
    if _addclosefrom is not None:
        _check("posix_spawn_file_actions_addclosefrom_np", _addclosefrom(actions, len(stdio)))
    return actions


def _places(name: bytes, search_path: bytes) -> Iterator[bytes]:
    if b"/" in name:
        yield name
        return
    for directory in search_path.split(b":"):
        path = os.path.join(directory, name)
        # A look costs less than a process that finds nothing to execute.
        if os.path.lexists(path):
            yield path


def _signal_set(numbers: Iterable[int]) -> ctypes.Array[ctypes.c_char]:
    """Return a sigset_t, which is an array of words with a bit a signal, from bit 0 for signal 1."""
    bits = sum(1 << (number - 1) for number in set(numbers))
    word = ctypes.sizeof(ctypes.c_ulong)
    words = b"".join(
        (bits >> (8 * word * index) & (1 << 8 * word) - 1).to_bytes(word, sys.byteorder)
        for index in range(_SIGSET_SIZE // word)
    )
    return ctypes.create_string_buffer(words, _SIGSET_SIZE)


def _strings(values: Sequence[bytes]) -> ctypes.Array[ctypes.c_char_p]:
    # ctypes would hand on a string that ends at the NUL.
    if any(b"\0" in value for value in values):
        raise ValueError("embedded NUL byte")
    return (ctypes.c_char_p * (len(values) + 1))(*values, None)


def _check(call: str, number: int) -> None:
    # These calls return their error instead of setting errno.
    if number:
        raise OSError(number, f"{call}: {os.strerror(number)}")
