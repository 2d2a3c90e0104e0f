"""A systemd of the guest's own, with jsched.service as it is shipped."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from jsched.client import Client
from jsched.client.settings import load
from tests.helpers.server import BIN
from tests.helpers.wait import wait_until

SYSTEMD = Path("/lib/systemd/systemd")
# From then on it starts a service that has cgroups with controllers below it, systemd.resource-control(5).
DELEGATES_SUBGROUPS = 254
USER = "jsched-unit"
ADDRESS = "127.0.0.1:50051"
CERTS = Path("/etc/jsched/certs")
_SHIPPED = Path(__file__).parents[2] / "docs" / "operations"
_UNITS = Path("/etc/systemd/system")
# In place of /opt/jsched, which the host may have.
_INSTALLED = Path("/run/jsched-installed")
_TARGET = "jsched-test.target"
_CONFIG = f'listen = "{ADDRESS}"\ndata_dir = "/var/lib/jsched"\nlog_dir = "/var/log/jsched"\ncerts_dir = "{CERTS}"\n'
# They would empty /tmp, where this may be run from, or mount another there.
_NOT_HERE = (
    "systemd-tmpfiles-setup.service",
    "systemd-tmpfiles-clean.service",
    "systemd-tmpfiles-clean.timer",
    "tmp.mount",
)
_CALL_SECONDS = 120.0
_BEHIND = ("unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc")


def version() -> int:
    """Return systemd's version, 0 if there is none."""
    if not SYSTEMD.exists():
        return 0
    done = subprocess.run(["systemctl", "--version"], stdout=subprocess.PIPE, text=True, check=True, timeout=60)
    return int(done.stdout.split()[1])


def install(certs: Path) -> None:
    """Put the unit where systemd looks for it, its user, its configuration and its certificates; the guest forgets."""
    subprocess.run(["useradd", "--system", USER], check=True, timeout=60)
    _let_everybody_in(Path(sys.executable))
    shutil.copytree(certs, CERTS)
    subprocess.run(["chown", "-R", USER, CERTS], check=True, timeout=60)
    (CERTS.parent / "jsched.toml").write_text(_CONFIG)
    _INSTALLED.symlink_to(BIN.parent)
    _UNITS.mkdir(parents=True, exist_ok=True)
    for name in _NOT_HERE:
        # The host may have its own there.
        (_UNITS / name).unlink(missing_ok=True)
        (_UNITS / name).symlink_to(os.devnull)
    _copy_unit("jsched.service", _UNITS / "jsched.service")
    if version() < DELEGATES_SUBGROUPS:
        _copy_unit("before-systemd-254.conf", _UNITS / "jsched.service.d" / "before-systemd-254.conf")
    (_UNITS / _TARGET).write_text("[Unit]\nDescription=nothing but what a test asks for\n")


def _copy_unit(name: str, target: Path) -> None:
    text = (_SHIPPED / name).read_text("utf-8")
    target.parent.mkdir(exist_ok=True)
    for shipped, here in (
        ("/opt/jsched/", f"{_INSTALLED}/"),
        ("User=jsched\nGroup=jsched\n", f"User={USER}\n"),
        ("--user jsched ", f"--user {USER} "),
        # There is no network manager to wait for.
        ("After=network-online.target local-fs.target\nWants=network-online.target\n", ""),
    ):
        text = text.replace(shipped, here)
    target.write_text(text, "utf-8")


def _let_everybody_in(path: Path) -> None:
    """Let every user reach a file, wherever links lead; the guest forgets that, too."""
    for directory in {*path.parents, *path.resolve().parents, *BIN.parents}:
        directory.chmod(directory.stat().st_mode | 0o011)


class Systemd:
    """A manager of the system in a process namespace of its own."""

    def __init__(self, output: Path) -> None:
        self._output = output

    def start(self) -> None:
        """Start it, and return once it takes commands."""
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [*_BEHIND, str(SYSTEMD), "--system", f"--unit={_TARGET}", "--log-target=console", "--show-status=no"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={"PATH": os.environ["PATH"], "container": "jsched-test"},
                start_new_session=True,
            )
        wait_until(lambda: self._call("is-system-running").stdout in ("running\n", "degraded\n"), 120.0, "systemd")

    def close(self) -> None:
        """End it, and with its first process everything in there."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(60.0)

    def do(self, verb: str) -> None:
        """Do something with jsched.service; raises AssertionError with what was logged if it fails."""
        done = self._call(verb, "jsched.service")
        assert done.returncode == 0, f"{verb}: {done.stderr}\n{self.logged()}"

    def main_pid(self) -> int:
        """Return the server's process id, in the guest's namespace; 0 if it does not run."""
        inside = self._call("show", "--property=MainPID", "--value", "jsched.service").stdout.strip()
        for status in Path("/proc").glob("[0-9]*/status") if inside != "0" else ():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                namespaces = next(line for line in status.read_text().splitlines() if line.startswith("NSpid:"))
                if namespaces.split()[2:] == [inside]:
                    return int(status.parent.name)
        return 0

    def client(self) -> Client:
        """Return a client who is admin."""
        return Client(load({"config": CERTS / "admin.toml", "server": ADDRESS}, environ={}))

    def logged(self) -> str:
        """Return what it and the server have said."""
        return self._output.read_text(errors="replace")

    def _call(self, *args: str) -> subprocess.CompletedProcess[str]:
        first = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        inside = ["nsenter", f"--target={first[0]}", "--pid", "--mount", "--"] if first else ["false"]
        return subprocess.run(
            [*inside, "systemctl", *args], capture_output=True, text=True, check=False, timeout=_CALL_SECONDS
        )
