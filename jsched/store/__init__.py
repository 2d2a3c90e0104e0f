"""The database of jobs: the only place with SQL."""

from jsched.store.rows import JobRecord
from jsched.store.store import Store

__all__ = ["JobRecord", "Store"]
