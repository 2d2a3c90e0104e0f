"""Which directories are covered so that nobody's home is in sight: a rule, for homes wherever they lie."""

from __future__ import annotations

import logging
import os
import stat
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

_LOG = logging.getLogger(__name__)

HOMES = (Path("/home"), Path("/root"))

# Each cover is a mount in the namespace of every job.
MOST = 64

# Where the system lies, hier(7) and where distributions differ: neither these nor what holds one is a home.
_PLACES = """
/bin /boot /dev /etc /lib /lib32 /lib64 /libx32 /media /mnt /opt /proc /run /sbin /srv /sys /tmp
/gnu/store /nix/store /snap
/usr/bin /usr/games /usr/include /usr/lib /usr/lib32 /usr/lib64 /usr/libexec /usr/libx32 /usr/sbin /usr/share /usr/src
/usr/local/bin /usr/local/etc /usr/local/games /usr/local/include /usr/local/lib /usr/local/lib64 /usr/local/libexec
/usr/local/sbin /usr/local/share /usr/local/src
/var/cache /var/empty /var/lib /var/local /var/lock /var/log /var/mail /var/opt /var/run /var/spool /var/tmp
"""
_SYSTEM = tuple(map(Path, _PLACES.split()))
_OPEN = stat.S_IROTH | stat.S_IXOTH


def homes_to_cover(own: str, regular: Iterable[str]) -> tuple[Path, ...]:
    """Return HOMES and what else to cover for the server's own home and those of regular users. Blocks.

    A directory in which there is nothing but homes stands for them. Where there are more than MOST to cover,
    directories with many homes are covered whole, whatever else lies there.
    """
    # The own home counts whoever owns it: what lies there may be the server's, and where that is not root the job's.
    found = {path for path in _elsewhere([own]) if os.path.isdir(path) and not is_systems(path)}
    found |= {path for path in _elsewhere(regular) if _is_home(path)}
    by_parent = _by_parent(found)
    for parent, homes in by_parent.items():
        if _holds_only(parent, homes):
            found = (found - homes) | {parent}
    for parent, homes in sorted(by_parent.items(), key=lambda one: len(one[1]), reverse=True):
        if len(found) <= MOST:
            break
        if parent not in found:
            _LOG.warning("%s is hidden from jobs as a whole, because %d homes lie there", parent, len(homes))
            found = (found - homes) | {parent}
    if len(found) > MOST:
        _LOG.warning("%d homes are more than can be hidden from jobs: %d are", len(found), MOST)
    # The own one before all others.
    ordered = sorted(found, key=lambda path: (not Path(os.path.realpath(own)).is_relative_to(path), path))
    return (*HOMES, *ordered[:MOST])


def is_systems(path: Path) -> bool:
    """Return whether a directory is one that the system needs, or holds such a directory."""
    return any(place.is_relative_to(path) for place in _SYSTEM)


def _elsewhere(homes: Iterable[str]) -> set[Path]:
    """Return where homes really are that do not lie in HOMES."""
    paths = {os.path.normpath(home) for home in homes if home.startswith("/") and "\0" not in home}
    outside = (path for path in paths if not any(Path(path).is_relative_to(one) for one in HOMES))
    real = {Path(os.path.realpath(path)) for path in outside}
    return {path for path in real if not any(path.is_relative_to(one) for one in HOMES)}


def _is_home(path: Path) -> bool:
    try:
        found = path.stat()
    except OSError:
        # What is not there, or not to be looked into by the server, is not in sight of its jobs.
        return False
    # A directory of root's that is open to all was laid out for all, whosoever home it is called.
    is_for_all = found.st_uid == 0 and found.st_mode & _OPEN == _OPEN
    return stat.S_ISDIR(found.st_mode) and not is_for_all and not is_systems(path)


def _by_parent(homes: set[Path]) -> dict[Path, set[Path]]:
    """Return the directories with several homes that may be covered in their place."""
    groups: dict[Path, set[Path]] = defaultdict(set)
    for home in homes:
        groups[home.parent].add(home)
    return {parent: group for parent, group in groups.items() if len(group) > 1 and not is_systems(parent)}


def _holds_only(parent: Path, homes: set[Path]) -> bool:
    try:
        names = set(os.listdir(parent))
    except OSError:
        return False
    return names <= {home.name for home in homes} | {"lost+found"}
