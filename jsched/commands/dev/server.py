"""The process of the development server: found, started, stopped."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from jsched.commands.dev.places import Places
from jsched.config import split_address
from jsched.config_sources import CONFIG_VARIABLE
from jsched.errors import FailedPrecondition, Unavailable
from jsched.linux import process
from jsched.linux.listeners import find_listener, try_to_listen

START_SECONDS = 30.0
STOP_SECONDS = 30.0
_POLL_SECONDS = 0.02
_LAST_LINES = 15
_READY = re.compile(r"^jsched: serving on (\S+)$", re.MULTILINE)


class Server(NamedTuple):
    """A server that runs: its process id, the time that it started (clock ticks since boot), its address."""

    pid: int
    start_time: int
    address: str


def find(places: Places) -> Server | None:
    """Return the server of this directory, None if none runs.

    A record that was left behind, and whose process id may be a stranger's by now, is not
    believed: the start time and the boot must match too.
    """
    try:
        record = json.loads(places.record.read_text("utf-8"))
        server = Server(int(record["pid"]), int(record["start_time"]), str(record["address"]))
        boot = record["boot_id"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return server if boot == process.boot_id() and process.is_alive(server.pid, server.start_time) else None


def start(places: Places, listen: str) -> Server:
    """Start a server in a session of its own and return it once it serves.

    Raises FailedPrecondition if the port is taken or the server ends, with the last lines
    that it printed, and Unavailable if it is not ready after 30 seconds.
    """
    check_free(listen)
    with places.output.open("ab") as output:
        position = output.tell()
        child = subprocess.Popen(
            [
                *_program(),
                "serve",
                f"--listen={listen}",
                f"--certs={places.certs}",
                f"--data-dir={places.data}",
                f"--log-dir={places.logs}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env=_environment(),
        )
    try:
        start_time = process.start_time(child.pid)
        server = Server(child.pid, start_time, _wait_until_ready(places, child, position))
        _write_record(places, server)
    except BaseException:
        # Nobody would find it again.
        child.terminate()
        raise
    return server


def stop(server: Server) -> None:
    """End a server with SIGTERM and return once it is gone; its jobs run on.

    Raises Unavailable if it is still there after 30 seconds.
    """
    pidfd = process.open_process(server.pid, server.start_time)
    if pidfd is None:
        return
    try:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        if not select.select([pidfd], [], [], STOP_SECONDS)[0]:
            raise Unavailable(
                f"the server (process {server.pid}) has not ended {STOP_SECONDS:.0f} seconds after SIGTERM",
                hint=f"kill -9 {server.pid} ends it, and its jobs run on",
            )
    finally:
        os.close(pidfd)


def check_free(listen: str) -> None:
    """Raise FailedPrecondition, naming who has it, unless a server could listen on this address."""
    host, port = split_address(listen)
    try:
        try_to_listen(host, port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise FailedPrecondition(f"can't listen on {listen}: {error.strerror}", obj=listen) from None
        holder = find_listener(port)
        by = (
            f"by process {holder.pid} ({_shorten(holder.command)})"
            if holder
            else "by a process that this user may not look into"
        )
        raise FailedPrecondition(
            f"port {port} is taken {by}",
            obj=listen,
            hint=f"end it, or serve elsewhere: make run LISTEN={host}:{port + 1 if port < 65535 else port - 1}",
        ) from None


def _program() -> list[str]:
    script = Path(sys.executable).with_name("jsched")
    return [str(script)] if script.exists() else [sys.executable, "-m", "jsched.commands.main"]


def _environment() -> dict[str, str]:
    # Neither the host's own configuration of jsched nor a variable is meant for this server.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JSCHED_")}
    return {**kept, CONFIG_VARIABLE: os.devnull}


def _wait_until_ready(places: Places, child: subprocess.Popen[bytes], position: int) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        ended = child.poll() is not None
        printed = _read_from(places.output, position)
        if ready := _READY.search(printed):
            return ready[1]
        if ended:
            raise FailedPrecondition(
                f"the server ended with exit code {child.returncode} before it served:\n{_last_lines(printed)}",
                obj=str(places.output),
                hint=f"all of it is in {places.show(places.output)}",
            )
        time.sleep(_POLL_SECONDS)
    printed = _last_lines(_read_from(places.output, position))
    raise Unavailable(f"the server was not ready after {START_SECONDS:.0f} seconds:\n{printed}", obj=str(places.output))


def _write_record(places: Places, server: Server) -> None:
    record = {**server._asdict(), "boot_id": process.boot_id()}
    for path, text in ((places.record, json.dumps(record)), (places.pid_file, str(server.pid))):
        temporary = path.with_name(path.name + ".new")
        temporary.write_text(text + "\n", "utf-8")
        temporary.replace(path)


def forget(places: Places) -> None:
    """Remove what is known of a server that has ended."""
    places.record.unlink(missing_ok=True)
    places.pid_file.unlink(missing_ok=True)


def _read_from(path: Path, position: int) -> str:
    with path.open("rb") as file:
        file.seek(position)
        return file.read().decode("utf-8", "replace")


def _last_lines(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines()[-_LAST_LINES:]) or "  (it printed nothing)"


def _shorten(text: str, width: int = 80) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
