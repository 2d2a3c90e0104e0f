"""posix_spawn(3): what the new process is, and that a failure leaves none."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jsched.linux import process
from jsched.linux.spawn import Spawner

ROOT = Path(__file__).parents[3]


def spawn(argv: list[bytes], tmp_path: Path, env: list[bytes] | None = None) -> tuple[int, str]:
    """Run a command and return its wait status and its output."""
    output = tmp_path / "output"
    null = os.open(os.devnull, os.O_RDONLY)
    out = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        pid = Spawner(()).spawn(argv[0], argv, env or [], (null, out, out))
    finally:
        os.close(null)
        os.close(out)
    return os.waitpid(pid, 0)[1], output.read_text()


def test_arguments_and_environment(tmp_path: Path) -> None:
    """Every byte of arguments and environment arrives, and nothing else."""
    argv = [b"/bin/sh", b"-c", b'printf "%s|" "$@"; exec env -u PWD', b"sh", b"", b"two words", b"\xc3\xbc"]
    assert spawn(argv, tmp_path, [b"A=1 \n2", b"PATH=/bin:/usr/bin"]) == (
        0,
        "|two words|ü|A=1 \n2\nPATH=/bin:/usr/bin\n",
    )


def test_descriptors_and_session(tmp_path: Path) -> None:
    """The process has the three descriptors alone, one that can be inherited notwithstanding, and leads a session."""
    kept = os.open("/etc/hostname", os.O_RDONLY)
    os.set_inheritable(kept, True)
    try:
        _, output = spawn([b"/bin/sh", b"-c", b"ls -l /proc/$$/fd; cat /proc/$$/stat"], tmp_path)
    finally:
        os.close(kept)
    assert "/etc/hostname" not in output
    fields = output.splitlines()[-1].split()
    assert fields[0] == fields[4] == fields[5]


@pytest.mark.parametrize("ignored", [True, False])
def test_signals(ignored: bool, tmp_path: Path) -> None:
    """No signal is blocked, and none of those that were named is ignored, nor the C library's own two."""
    code = (
        "import os, signal, sys\n"
        "from jsched.linux import syscalls\n"
        "from jsched.linux.spawn import Spawner\n"
        "syscalls.block_all_signals()\n"
        "numbers = [signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ]\n"
        "for number in numbers: signal.signal(number, signal.SIG_IGN)\n"
        f"spawner = Spawner(numbers[:{3 if ignored else 2}])\n"
        "os.waitpid(spawner.spawn(b'/bin/cat', [b'cat', b'/proc/self/status'], [], (0, 1, 2)), 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    masks = dict(line.split() for line in done.stdout.splitlines() if line.startswith(("SigBlk", "SigIgn", "SigCgt")))
    left = 0 if ignored else 1 << (signal.SIGXFSZ - 1)
    assert {name: int(mask, 16) for name, mask in masks.items()} == {"SigBlk:": 0, "SigIgn:": left, "SigCgt:": 0}


@pytest.mark.parametrize(
    ("path", "number"), [(b"/nowhere", errno.ENOENT), (b"/etc/passwd", errno.EACCES), (b"/etc/passwd/x", errno.ENOTDIR)]
)
def test_what_cannot_be_executed(path: bytes, number: int) -> None:
    """A file that can't be executed raises its errno, and leaves no process."""
    before = process.children(os.getpid())
    with pytest.raises(OSError, match="posix_spawn") as failure:
        Spawner(()).spawn(path, [path], [], (0, 1, 2))
    assert failure.value.errno == number
    assert process.children(os.getpid()) == before


@pytest.mark.parametrize(
    ("argv", "env"), [([b"true", b"a\0b"], [b"A=1"]), ([b"true"], [b"A=1\0"])], ids=["argument", "environment"]
)
def test_nul(argv: list[bytes], env: list[bytes]) -> None:
    """A NUL byte is refused, not taken for the end."""
    with pytest.raises(ValueError, match="NUL"):
        Spawner(()).spawn(b"/bin/true", argv, env, (0, 1, 2))
