"""Attempts to make or enter namespaces, to mount, and to leave the root directory."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import tempfile

from tests.helpers.escapes.attempt import Host, NothingToTry, attempt, mount, opening, system_call, umount

# clone(2)
_FLAGS = {
    "mnt": 0x00020000,
    "cgroup": 0x02000000,
    "uts": 0x04000000,
    "ipc": 0x08000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "net": 0x40000000,
}
_MS_REMOUNT, _MS_BIND, _MNT_EXPIRE = 32, 4096, 4
_AT_FDCWD, _OPEN_TREE_CLONE, _AT_RECURSIVE = -100, 1, 0x8000
_CLONE_ARGS_SIZE = 64
_WALL = 0x40000000
_ROOT_INODE = 2
_FILEID_INO32_GEN = 1


def _unshare(kind: str) -> None:
    attempt(f"unshare: {kind}")(lambda _: system_call("unshare", _FLAGS[kind]))


def _setns(kind: str) -> None:
    """To the namespace of process 1, unless it is our own, which leads nowhere."""

    def enter(_: Host) -> object:
        path = f"/proc/1/ns/{kind}"
        if os.readlink(path) == os.readlink(f"/proc/self/ns/{kind}") and kind == "user":
            raise NothingToTry
        return system_call("setns", os.open(path, os.O_RDONLY), _FLAGS[kind])

    attempt(f"setns: {kind} of process 1")(enter)


for _kind in _FLAGS:
    _unshare(_kind)
    _setns(_kind)


@attempt("unshare: user by clone3")
def _clone3(_: Host) -> object:
    arguments = _FLAGS["user"].to_bytes(8, "little").ljust(_CLONE_ARGS_SIZE, b"\0")
    child = system_call("clone3", arguments, len(arguments))
    if child == 0:
        os._exit(0)
    return os.waitpid(child, _WALL)


@attempt("mount: tmpfs")
def _tmpfs(_: Host) -> None:
    _try_mount("tmpfs")


@attempt("mount: proc")
def _proc(_: Host) -> None:
    _try_mount("proc")


@attempt("mount: cgroup2")
def _cgroup2(_: Host) -> None:
    _try_mount("cgroup2")


@attempt("mount: bind")
def _bind(_: Host) -> None:
    with tempfile.TemporaryDirectory() as directory:
        mount(directory, directory, "", _MS_BIND)
        umount(directory)


@attempt("mount: / writable")
def _remount(_: Host) -> None:
    before = os.statvfs("/").f_flag
    writable = before & ~os.ST_RDONLY & 0xF
    mount("", "/", "", _MS_REMOUNT | _MS_BIND | writable)
    mount("", "/", "", _MS_REMOUNT | _MS_BIND | before & 0xF)


# Marks the mount as unused, at most; the second time would unmount it. The kernel says that it is
# in use only to who may unmount it.
@attempt("mount: unmounting /proc", errno.EBUSY, errno.EAGAIN, errno.EINVAL)
def _umount(_: Host) -> None:
    umount("/proc", _MNT_EXPIRE)


@attempt("mount: fsopen")
def _fsopen(_: Host) -> object:
    return system_call("fsopen", b"tmpfs", 0)


@attempt("mount: open_tree")
def _open_tree(_: Host) -> object:
    return system_call("open_tree", _AT_FDCWD, b"/", _OPEN_TREE_CLONE | _AT_RECURSIVE)


@attempt("mount: mount_setattr")
def _mount_setattr(_: Host) -> object:
    # Nothing set, nothing cleared.
    return system_call("mount_setattr", _AT_FDCWD, b"/", 0, bytes(32), 32)


@attempt("root: chroot")
def _chroot(_: Host) -> None:
    os.chroot("/proc")


# Nothing is pivoted onto what is the root already; only who may is told so.
@attempt("root: pivot_root", errno.EINVAL, errno.EBUSY)
def _pivot_root(_: Host) -> object:
    return system_call("pivot_root", b"/", b"/")


@attempt("root: .. of an open directory")
def _fchdir(_: Host) -> None:
    """From the root and from every inherited directory, as far up as it goes."""
    root = os.stat("/")
    inherited = [int(fd) for fd in os.listdir("/proc/self/fd") if _is_directory(int(fd))]
    for fd in (os.open("/", os.O_RDONLY), *inherited):
        os.fchdir(fd)
        for _step in range(100):
            os.chdir("..")
        if not os.path.samestat(os.stat("."), root):
            return
    raise PermissionError(errno.EPERM, "always the same root")


@attempt("root: an inherited directory")
def _inherited_directory(_: Host) -> None:
    if not any(_is_directory(fd) for fd in range(256)):
        raise FileNotFoundError(errno.ENOENT, "no directory is open")


@attempt("root: a file handle", errno.ESTALE, errno.EOPNOTSUPP, errno.ENOTSUP)
def _handle(_: Host) -> object:
    # struct file_handle: bytes, type, inode and generation.
    parts = (8, _FILEID_INO32_GEN, _ROOT_INODE, 0)
    handle = ctypes.create_string_buffer(b"".join(part.to_bytes(4, "little") for part in parts), 16)
    return system_call("open_by_handle_at", os.open("/", os.O_RDONLY), handle, os.O_RDONLY)


@attempt("root: of process 1", errno.ENOTDIR)
def _root_of_init(_: Host) -> object:
    if os.path.samestat(os.stat("/proc/1/root/."), os.stat("/")):
        raise NothingToTry
    return os.listdir("/proc/1/root")


@attempt("cgroup: release_agent")
def _release_agent(_: Host) -> None:
    _open_in_cgroups("release_agent")


@attempt("cgroup: moving out of it")
def _procs(_: Host) -> None:
    _open_in_cgroups("cgroup.procs")


@attempt("cgroup: raising a limit")
def _limits(_: Host) -> None:
    _open_in_cgroups("memory.max", "memory.limit_in_bytes", "pids.max", "cpu.max", "cpu.cfs_quota_us")


@attempt("cgroup: a hierarchy of its own")
def _hierarchy(_: Host) -> None:
    # Without controllers: they would be taken from where they are.
    _try_mount("cgroup", "none,name=jsched-probe")


def _open_in_cgroups(*names: str) -> None:
    """Open the first of these files in any mounted hierarchy; raises what the last of them said."""
    with open("/proc/self/mounts", encoding="utf-8") as lines:
        points = [fields[1] for fields in map(str.split, lines) if fields[2] in ("cgroup", "cgroup2")]
    refused: OSError = FileNotFoundError(errno.ENOENT, "no cgroup is mounted")
    for path in (os.path.join(point, name) for point in points for name in names):
        try:
            return os.close(os.open(path, os.O_WRONLY))
        except OSError as error:
            refused = error if error.errno != errno.ENOENT else refused
    raise refused


def _try_mount(kind: str, data: str = "") -> None:
    """Mount on a directory of our own, and unmount again."""
    with tempfile.TemporaryDirectory() as directory:
        mount("none", directory, kind, data=data)
        umount(directory)


def _is_directory(fd: int) -> bool:
    try:
        return stat.S_ISDIR(os.fstat(fd).st_mode)
    except OSError:
        return False


opening("root: the working directory of process 1", "/proc/1/cwd", os.O_RDONLY | os.O_DIRECTORY)
