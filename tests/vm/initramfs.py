"""The archive that the guest's kernel starts from: busybox, modules and two scripts."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.vm.image import Image

_SCRIPTS = Path(__file__).parent / "inside"
_DIRECTORY, _EXECUTABLE = 0o040755, 0o100755


def build(
    image: Image, settings: Mapping[str, str], command: Sequence[str], directory: Path, environment: Mapping[str, str]
) -> bytes:
    """Return an initramfs that runs `command` in `directory`, with this environment and no other.

    `settings` are the variables of inside/init.sh.
    """
    modules = {path.name: path.read_bytes() for path in image.modules}
    variables = _assignments({**settings, "MODULES": " ".join(modules), "DIRECTORY": str(directory)})
    pairs = [f"{name}={value}" for name, value in environment.items()]
    run = f"run() {{ exec /usr/bin/env -i {shlex.join([*pairs, *command])}; }}\n"
    return archive(
        {
            "bin": None,
            "modules": None,
            "dev": None,
            "bin/busybox": image.busybox.read_bytes(),
            "init": (_SCRIPTS / "init.sh").read_bytes(),
            "command.sh": (variables + run).encode() + (_SCRIPTS / "command.sh").read_bytes(),
            "settings": variables.encode(),
            **{f"modules/{name}": content for name, content in modules.items()},
        }
    )


def archive(files: Mapping[str, bytes | None]) -> bytes:
    """Return a cpio archive in the format that the kernel unpacks (newc), cpio(5); None makes a directory."""
    out = bytearray()
    for inode, (name, content) in enumerate([*files.items(), ("TRAILER!!!", b"")], start=1):
        mode = _DIRECTORY if content is None else _EXECUTABLE
        data = content or b""
        path = name.encode() + b"\0"
        # ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
        numbers = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0)
        out += b"070701" + b"".join(b"%08X" % number for number in numbers) + path
        out += bytes(-len(out) % 4)
        out += data
        out += bytes(-len(out) % 4)
    return bytes(out)


def _assignments(variables: Mapping[str, str]) -> str:
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items())
