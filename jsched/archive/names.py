"""Which names and link targets an archive may use: down from its root, and nothing else.

Names are bytes, as they are on the disk.
"""

from __future__ import annotations

from jsched.archive.refusal import Refused, shown

# Source: limits.h; a path has its NUL besides.
MAX_COMPONENT = 255
MAX_PATH = 4095
MAX_DEPTH = 128
# The directories that a job gets its own mounts on. As a symbolic link one of them would be a
# way out of the tree for whoever mounts there.
MOUNT_POINTS = frozenset({b"dev", b"etc", b"proc", b"sys", b"tmp"})


def path_inside(name: bytes) -> bytes:
    """Return a name as a path from the root, without "." and doubled slashes; the root itself is b"".

    Raises Refused for an absolute name, for "..", and for what no file system could hold.
    """
    if name.startswith(b"/"):
        raise Refused("its name is absolute")
    components = [part for part in name.split(b"/") if part not in (b"", b".")]
    if b".." in components:
        raise Refused("its name has a '..'")
    _check_text(name, "its name")
    if components and max(map(len, components)) > MAX_COMPONENT:
        raise Refused(f"a part of its name is longer than {MAX_COMPONENT} bytes")
    if len(components) > MAX_DEPTH:
        raise Refused(f"its name has more than {MAX_DEPTH} directories")
    return b"/".join(components)


def check_symlink(path: bytes, target: bytes) -> None:
    """Raise Refused unless a symbolic link at `path` may have this target.

    An absolute target is taken: every distribution has such links, whoever opens one later
    resolves it inside the root, and nothing is ever unpacked through one. A relative target
    must not climb above the root.
    """
    if not target:
        raise Refused("it is a symbolic link to nothing")
    _check_text(target, "its target")
    if path in MOUNT_POINTS:
        raise Refused(f"/{path.decode()} is a symbolic link, and has to be a directory")
    if target.startswith(b"/"):
        return
    depth = path.count(b"/")
    for part in target.split(b"/"):
        if part == b"..":
            depth -= 1
        elif part not in (b"", b"."):
            depth += 1
        if depth < 0:
            raise Refused(f"its target {shown(target)} leads out of the tree")


def _check_text(text: bytes, what: str) -> None:
    if b"\0" in text:
        raise Refused(f"{what} has a NUL in it")
    if len(text) > MAX_PATH:
        raise Refused(f"{what} is longer than {MAX_PATH} bytes")
