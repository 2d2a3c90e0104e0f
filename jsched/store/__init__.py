"""The database of jobs and root file systems: the only place with SQL."""

from jsched.store.rootfs import RootfsTable
from jsched.store.rows import JobRecord
from jsched.store.store import Store

__all__ = ["JobRecord", "RootfsTable", "Store"]
