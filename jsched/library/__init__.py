"""The library of root file systems: receives archives, has them unpacked, and keeps the trees."""

from jsched.library.library import RootfsLibrary

__all__ = ["RootfsLibrary"]
