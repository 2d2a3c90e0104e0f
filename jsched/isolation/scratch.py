"""The file system in memory that everything writable comes from: one size limits it all."""

from __future__ import annotations

from jsched.isolation.sandbox import Sandbox

# Where it is mounted while the others are built; it is hidden behind an empty directory after.
PLACE = "/sys"
WRITABLE_DIRECTORIES = (("tmp", 0o1777), ("var-tmp", 0o1777), ("shm", 0o1777), ("run", 0o755))
DIRECTORIES = (
    *WRITABLE_DIRECTORIES,
    ("dev", 0o755),
    ("empty", 0o555),
    ("lower", 0o755),
    ("upper", 0o755),
    ("work", 0o755),
)


def options(sandbox: Sandbox) -> dict[str, str]:
    """Return the options that it is mounted with, tmpfs(5)."""
    size = sandbox.scratch_size
    return {"size": str(size), "nr_inodes": str(max(1024, size // 4096)), "mode": "0755"}
