"""One guest from its boot to its end: a command that runs as root on a machine of its own.

The guest's / is this machine's /, read-only under a layer in memory: whatever is installed here is
there, under the same path, and all writes vanish. It has /proc, /sys, /dev and /run of its own,
cgroup v2 with every controller enabled (or v1), loopback up, and an ext4 disk at $TMPDIR and /var/tmp.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from jsched.linux.process import children
from tests.vm import fetch, initramfs
from tests.vm.backend import MKFS, Backend, Boot, find
from tests.vm.uml import UML

SCRATCH = "/tmp/jsched-vm"
MARK = "JSCHED_VM"
_PREFIX = "jsched-vm-"
_END_SECONDS = 10.0
_MIB = 1024 * 1024


class GuestDied(Exception):
    """The guest ended before its command did; the text is what its kernel said."""


class GuestTimeout(Exception):
    """The command did not end in time; the guest was killed."""


@dataclass(frozen=True)
class Guest:
    """A guest that may be run, any number of times.

    `memory` and `disk` are in MiB, `timeout` is in seconds from boot to end. `environment` is
    added to the few variables that every command gets. `cpus` is for qemu alone.
    """

    backend: Backend = UML
    cgroup: str = "v2"
    memory: int = 2048
    disk: int = 1024
    cpus: int = 2
    timeout: float = 600.0
    parameters: str = "quiet"
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(
        self,
        command: Sequence[str],
        directory: Path,
        output: Callable[[bytes], object],
        log: Callable[[str], object] = len,
    ) -> int:
        """Boot, run `command` in `directory`, and return its exit code.

        `output` is given all that the command prints, as it comes; `log` the kernel's messages
        at the end. Raises CannotHaveGuest, GuestDied or GuestTimeout.
        """
        image = fetch.get(self.backend)
        _sweep()
        with TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-", dir=_memory()) as name:
            work = Path(name)
            archive = work / "initramfs"
            archive.write_bytes(initramfs.build(image, self._settings(), command, directory, self._environment()))
            disk = _make_disk(work / "disk", self.disk)
            status, messages = work / "status", work / "log"
            with contextlib.ExitStack() as stack:
                status_fd = stack.enter_context(status.open("wb")).fileno()
                source, sink = os.pipe()
                stack.callback(os.close, source)
                boot = Boot(image, archive, disk, sink, status_fd, self.memory, self.cpus, self.parameters)
                try:
                    process = stack.enter_context(_process(self.backend.command(boot), boot, work, messages))
                finally:
                    os.close(sink)
                _copy(source, output, time.monotonic() + self.timeout)
                process.wait(_END_SECONDS)
            said = messages.read_text(errors="replace")
            log(said)
            ended = re.search(r"^exit (\d+)", status.read_text(), re.MULTILINE)
            if ended is None:
                raise GuestDied(said)
            return int(ended[1])

    def _settings(self) -> dict[str, str]:
        return {
            "BACKEND": self.backend.name,
            "CGROUP": self.cgroup,
            "OUTPUT": self.backend.output,
            "DISK": self.backend.disk,
            "SCRATCH": SCRATCH,
        }

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": "/root",
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "TMPDIR": SCRATCH,
            MARK: self.backend.name,
            **self.environment,
        }


def _memory() -> str | None:
    """Return where the guest's memory and disk are kept: in the host's memory, if it has a place for it."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _sweep() -> None:
    """Remove the files of guests whose runner was killed: they take memory."""
    for path in Path(_memory() or gettempdir()).glob(f"{_PREFIX}*"):
        if not os.path.exists(f"/proc/{path.name.removeprefix(_PREFIX).partition('-')[0]}"):
            shutil.rmtree(path, ignore_errors=True)


def _make_disk(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        file.truncate(size * _MIB)
    # No journal: nobody mounts it twice.
    subprocess.run([find(MKFS) or MKFS, "-q", "-F", "-O", "^has_journal", "-m", "0", path], check=True, timeout=60)
    return path


@contextlib.contextmanager
def _process(command: list[str], boot: Boot, work: Path, messages: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The guest's process, which ends when the block does, or when this process is killed."""
    with messages.open("ab") as log:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(boot.output, boot.status),
            env=os.environ | {"TMPDIR": str(work), "HOME": str(work)},
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            # unshare(1) goes when the process does that it waits for, and that when all its namespace has.
            for pid in children(process.pid) or [process.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait(_END_SECONDS)


def _copy(source: int, output: Callable[[bytes], object], deadline: float) -> None:
    """Give all that comes out of `source` to `output`; raises GuestTimeout at the deadline."""
    poller = select.poll()
    poller.register(source, select.POLLIN)
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not poller.poll(left * 1000):
            raise GuestTimeout("the command did not end in time")
        data = os.read(source, 65536)
        if not data:
            return
        output(data)
