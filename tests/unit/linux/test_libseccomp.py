from __future__ import annotations

import ctypes.util
import os

import pytest

from jsched.linux import libseccomp


def test_the_version_is_that_of_the_file() -> None:
    """The version is the one in the name of the file that the library is loaded from."""
    if ctypes.util.find_library("seccomp") is None:
        pytest.skip("libseccomp is not there")
    version = ".".join(map(str, libseccomp.version()))
    with open("/proc/self/maps", encoding="utf-8") as maps:
        files = {os.path.realpath(line.split()[-1]) for line in maps if "libseccomp" in line}
    assert {os.path.basename(file) for file in files} == {f"libseccomp.so.{version}"}


def test_a_library_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the library the error names the file that was looked for."""
    monkeypatch.setattr(libseccomp, "_NAME", "libseccomp.so.999")
    with pytest.raises(FileNotFoundError, match=r"libseccomp\.so\.999"):
        libseccomp.version()
