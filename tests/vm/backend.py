"""What the ways to run a guest have in common: user-mode Linux and qemu each fill one Backend in."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.vm.image import Image

MKFS = "mkfs.ext4"


class Boot(NamedTuple):
    """One guest to be booted: its files, the descriptors that it writes to, its size.

    `output` gets what the command prints, `status` the words of inside/command.sh; the kernel's
    messages go to stdout. `memory` is in MiB.
    """

    image: Image
    initramfs: Path
    disk: Path
    output: int
    status: int
    memory: int
    cpus: int
    parameters: str


class Backend(NamedTuple):
    """A way to run a guest.

    `package` names the Debian package with its kernel, `kernel` is a pattern for the file in it,
    `output` and `disk` are devices of the guest, by their names in /dev. `missing` says what this machine
    lacks to run it ("" for nothing), `command` what is executed.
    """

    name: str
    package: str
    kernel: str
    modules: tuple[str, ...]
    output: str
    disk: str
    missing: Callable[[], str]
    command: Callable[[Boot], list[str]]


def find(program: str) -> str | None:
    """Return the path of a program, also of those that ordinary users do not have in their PATH."""
    return shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
