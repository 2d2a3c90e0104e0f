"""One tar archive into a tree, by policy; as a layer of an image it may also take away what was there.

Source of the rules for layers: the OCI image specification, layer.md ("Whiteouts").
"""

from __future__ import annotations

import errno

from jsched.archive import names, tar
from jsched.archive.refusal import Budget, Refused, shown
from jsched.archive.stream import Stream
from jsched.archive.tar import Member, Members
from jsched.archive.tree import Meta, Tree

_WHITEOUT = b".wh."
_OPAQUE = b".wh..wh..opq"
# What AUFS kept for itself, and nobody's file.
_AUFS = b".wh..wh."
# What a file system says that can't hold what another one can: so many links to a file, so long a name or file.
_CANNOT_HOLD = frozenset({errno.EMLINK, errno.ENAMETOOLONG, errno.EILSEQ, errno.EFBIG})
# A tree that holds one of these is an image archive in an order that was not recognised.
_OF_AN_IMAGE = frozenset({b"oci-layout", b"manifest.json"})


def unpack(stream: Stream, tree: Tree, budget: Budget, *, of_image: bool = False) -> None:
    """Unpack an archive, or with `of_image` a layer over the layers before it.

    Raises Refused naming the member, and OSError.
    """
    members = Members(stream, budget)
    layer = _Layer(tree) if of_image else None
    for member in members:
        try:
            path = names.path_inside(member.name)
            if layer is None:
                _check_no_image(path, member)
            elif layer.takes_away(path, member):
                continue
            else:
                layer.make_room(path, member)
            _place(tree, path, member, members, budget)
        except Refused as refusal:
            raise refusal.inside(tar.member_shown(member.number, member.name)) from None
        except OSError as error:
            if error.errno not in _CANNOT_HOLD:
                raise
            where = tar.member_shown(member.number, member.name)
            raise Refused(f"{where}: the server's file system can't hold it: {error.strerror}") from None


def make_mount_points(tree: Tree) -> None:
    """Make the directories that every job gets mounts on, where the archive has none."""
    for path, mode in ((b"dev", 0o755), (b"proc", 0o555), (b"sys", 0o555), (b"tmp", 0o1777)):
        if not tree.is_directory(path):
            tree.directory(path, Meta(mode))


def _place(tree: Tree, path: bytes, member: Member, members: Members, budget: Budget) -> None:
    meta = Meta(member.mode, member.uid, member.gid, member.mtime)
    if member.kind == tar.DIRECTORY:
        tree.directory(path, meta)
        return
    if not path:
        raise Refused("the root has to be a directory")
    if path in names.MOUNT_POINTS and member.kind != tar.SYMLINK:
        raise Refused(f"/{path.decode()} is not a directory")
    if member.kind == tar.FILE:
        budget.charge_bytes(member.size)
        tree.file(path, meta, members.content())
    elif member.kind == tar.SYMLINK:
        names.check_symlink(path, member.target)
        tree.symlink(path, member.target, meta)
    else:
        tree.link(path, _link_target(member.target))


def _link_target(target: bytes) -> bytes:
    try:
        return names.path_inside(target)
    except Refused:
        raise Refused(f"it is a hard link to {shown(target)}, outside of the tree") from None


def _check_no_image(path: bytes, member: Member) -> None:
    if path in _OF_AN_IMAGE and member.kind == tar.FILE:
        raise Refused("this is a file of an image archive, but the archive does not begin like one")


class _Layer:
    """What a layer has written so far: whiteouts take away what is below it, and nothing of itself."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._written: set[bytes] = set()

    def takes_away(self, path: bytes, member: Member) -> bool:
        """Do what a whiteout says, and return whether the member was one, or nobody's file."""
        above, slash, name = path.rpartition(b"/")
        if name != _OPAQUE and any(part.startswith(_AUFS) for part in path.split(b"/")):
            return True
        if not name.startswith(_WHITEOUT) or member.kind != tar.FILE:
            return False
        if name == _OPAQUE:
            self._tree.remove(above, self._written, itself=False)
        else:
            victim = name.removeprefix(_WHITEOUT)
            if victim in (b"", b".", b".."):
                raise Refused("it takes away what has no name")
            self._tree.remove(above + slash + victim, self._written, itself=True)
        return True

    def make_room(self, path: bytes, member: Member) -> None:
        """Take away a directory of a lower layer that this member replaces with something else."""
        if member.kind != tar.DIRECTORY and path not in self._written and self._tree.is_directory(path):
            self._tree.remove(path, self._written, itself=True)
        while path and path not in self._written:
            self._written.add(path)
            path = path.rpartition(b"/")[0]
