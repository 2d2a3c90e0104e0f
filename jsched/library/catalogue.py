"""Which root file systems there are, by name, and for whom they exist."""

from __future__ import annotations

from collections.abc import Iterable

from jsched.errors import AlreadyExists, NotFound
from jsched.rootfs import Archive, Rootfs, check_name, name_taken


class Catalogue:
    """The root file systems that have names. With `visible_to`, only those of that user exist."""

    def __init__(self) -> None:
        self._named: dict[str, Rootfs] = {}

    def fill(self, found: Iterable[Rootfs]) -> None:
        """Begin with these."""
        self._named = {rootfs.name: rootfs for rootfs in found}

    def get(self, name: str, visible_to: str | None = None) -> Rootfs:
        """Return what a name stands for; raises NotFound."""
        check_name(name)
        rootfs = self._named.get(name)
        if rootfs is None or not _is_visible(rootfs, visible_to):
            raise NotFound(f"no root file system {name!r}", obj=name, hint="rootfs list shows them")
        return rootfs

    def all(self, visible_to: str | None = None) -> list[Rootfs]:
        """Return them ordered by name."""
        return [one for _, one in sorted(self._named.items()) if _is_visible(one, visible_to)]

    def add(self, rootfs: Rootfs) -> None:
        """Add one, or put it in the place of its name."""
        self._named[rootfs.name] = rootfs

    def remove(self, name: str) -> None:
        """Forget a name."""
        del self._named[name]

    def with_digest(self, digest: str, visible_to: str | None = None) -> Rootfs | None:
        """Return one whose tree this is, None if there is none."""
        return next(
            (one for one in self._named.values() if one.digest == digest and _is_visible(one, visible_to)), None
        )

    def has_other_names(self, rootfs: Rootfs) -> bool:
        """Return whether its tree has a name besides this one."""
        return any(one.digest == rootfs.digest and one.name != rootfs.name for one in self._named.values())

    def check_free(self, archive: Archive, visible_to: str | None) -> None:
        """Raise AlreadyExists if the name stands for another archive, or for anything that is not visible."""
        known = self._named.get(archive.name)
        if known is None:
            return
        if not _is_visible(known, visible_to):
            # Not even whether it has the same content.
            raise AlreadyExists(f"the name {archive.name!r} is taken", obj=archive.name, hint="choose another name")
        if known.digest != archive.digest:
            raise name_taken(archive.name)


def _is_visible(rootfs: Rootfs, visible_to: str | None) -> bool:
    return visible_to in (None, rootfs.uploaded_by)
