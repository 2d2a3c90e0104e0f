"""What the kernel lets this user do with namespaces and mounts, found out by doing it.

`python -m jsched.linux.trials` prints a JSON object: for each trial nothing, or what it failed with.
It is a program, since a process with threads can neither make a user namespace nor fork safely.
Each trial has a child of its own, and leaves nothing. Sources: namespaces(7), user_namespaces(7).
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from collections.abc import Callable
from typing import NoReturn

# CLONE_NEW*, unshare(2); mount(2).
KINDS = {
    "mnt": 0x00020000,
    "pid": 0x20000000,
    "net": 0x40000000,
    "ipc": 0x08000000,
    "uts": 0x04000000,
    "cgroup": 0x02000000,
}
USER, IDS, PROC, OVERLAY = "user", "ids", "proc", "overlay"
FIRST_ID, IDS_OF_A_JOB = 100_000, 65_536

_CLONE_NEWUSER = 0x10000000
_MS_REC, _MS_PRIVATE = 0x4000, 0x40000
_READY = b"+"
_PLACE = "/tmp"  # noqa: S108 - only a mount point, in a namespace of our own
_libc = ctypes.CDLL(None, use_errno=True)
_libc.unshare.argtypes = (ctypes.c_int,)
_libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)


def run() -> dict[str, str]:
    """Return what each trial failed with, "" for those that succeeded.

    The kinds of KINDS; USER: a user namespace with the one id of this user; IDS: one with a range
    of ids, which takes root; PROC: a proc file system of a pid namespace; OVERLAY: overlayfs.
    """
    user = _CLONE_NEWUSER if not (refused := _try(_CLONE_NEWUSER, _one_id)) else 0
    maps = _one_id if user else None
    return {
        USER: refused,
        IDS: _try(_CLONE_NEWUSER, _range_of_ids),
        **{kind: _try(user | flag, maps) for kind, flag in KINDS.items()},
        PROC: _try(user | KINDS["mnt"] | KINDS["pid"], maps, _mount_proc),
        OVERLAY: _try(user | KINDS["mnt"], maps, _mount_overlay_for_user if user else _mount_overlay),
    }


def _try(flags: int, maps: Callable[[int], None] | None, then: Callable[[], None] = lambda: None) -> str:
    """Make the namespaces in a child, map its ids from outside, and go on inside."""
    gate, opener = os.pipe()
    result, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(opener)
        os.close(result)
        _in_child(flags, gate, told, maps is not None, then)
    os.close(gate)
    os.close(told)
    with open(result, "rb", buffering=0) as words, open(opener, "wb", buffering=0) as go_on:
        said = words.read(len(_READY))
        if said == _READY:
            try:
                if maps is not None:
                    maps(child)
                go_on.write(_READY)
                said = words.read()
            except OSError as error:
                said = str(error.strerror).encode()
        else:
            said += words.read()
    os.waitpid(child, 0)
    return said.decode()


def _in_child(flags: int, gate: int, told: int, mapped: bool, then: Callable[[], None]) -> NoReturn:
    try:
        _check("unshare", _libc.unshare(flags))
        os.write(told, _READY)
        # Nothing, if the ids could not be mapped.
        if os.read(gate, len(_READY)):
            if mapped:
                os.setresgid(0, 0, 0)
                os.setresuid(0, 0, 0)
            then()
    except OSError as error:
        os.write(told, str(error.strerror).encode())
    finally:
        os._exit(0)


def _one_id(pid: int) -> None:
    _write_maps(pid, f"0 {os.geteuid()} 1", f"0 {os.getegid()} 1")


def _range_of_ids(pid: int) -> None:
    _write_maps(pid, f"0 {FIRST_ID} {IDS_OF_A_JOB}", f"0 {FIRST_ID} {IDS_OF_A_JOB}")


def _write_maps(pid: int, uid_map: str, gid_map: str) -> None:
    for name, content in (("setgroups", "deny"), ("uid_map", uid_map), ("gid_map", gid_map)):
        fd = os.open(f"/proc/{pid}/{name}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, content.encode())
        except OSError as error:
            raise OSError(error.errno, f"{name}: {error.strerror}") from None
        finally:
            os.close(fd)


def _mount_proc() -> None:
    child = os.fork()
    if child == 0:
        try:
            _make_private()
            _mount("proc", "/proc", "proc")
        except OSError as error:
            os._exit(error.errno or 1)
        os._exit(0)
    number = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if number:
        raise OSError(number, f"mount: {os.strerror(number)}")


def _mount_overlay_for_user() -> None:
    # In a user namespace overlayfs keeps its notes in attributes that users may have.
    _mount_overlay(",userxattr")


def _mount_overlay(more: str = "") -> None:
    """In memory, as a job's root file system is: a file of the lower layer is changed and removed."""
    _make_private()
    _mount("tmpfs", _PLACE, "tmpfs")
    os.chdir(_PLACE)
    for name in ("lower", "upper", "work", "root"):
        os.mkdir(name)
    with open("lower/file", "w", encoding="utf-8") as file:
        file.write("lower")
    _mount("overlay", "root", "overlay", data="lowerdir=lower,upperdir=upper,workdir=work" + more)
    with open("root/file", "a", encoding="utf-8") as file:
        file.write("upper")
    os.unlink("root/file")


def _make_private() -> None:
    _mount("", "/", "", _MS_REC | _MS_PRIVATE)


def _mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
    _check("mount", _libc.mount(source.encode(), target.encode(), kind.encode(), flags, data.encode()))


def _check(call: str, result: int) -> None:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")


if __name__ == "__main__":
    json.dump(run(), sys.stdout)
