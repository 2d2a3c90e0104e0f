"""The unpacking of one archive as the server sees it: a process that is started, waited for, and believed little."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsched
from jsched.archive.filter import compile_filter
from jsched.archive.jail import has_all_ids
from jsched.archive.refusal import Limits
from jsched.archive.tar import NOBODY
from jsched.errors import FailedPrecondition, Internal, InvalidArgument, JschedError, ResourceExhausted, Unavailable

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(jsched.__file__)))
# Looks for what is installed beside jsched after all of Python's own.
_BOOT = (
    "import sys; sys.path.insert(0, sys.argv[1]); sys.path.extend(sys.argv[4:]); "
    "from jsched.archive.keeper import main; main(sys.argv[2], int(sys.argv[3]))"
)
_MAX_REASON = 1000
_MAX_WALL, _MAX_WALLS = 40, 3
_FILTER = "filter of system calls"
# The keeper keeps the time; this much later something is wrong with it.
_PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What came of an archive: bytes of its files, members that it had, and which walls there were not."""

    size: int
    entries: int
    missing_walls: tuple[str, ...] = ()


class Unpacking:
    """Unpacks the archive of a descriptor into the empty `directory`; `cancel` ends it from another thread."""

    def __init__(self, archive: int, directory: Path, limits: Limits) -> None:
        self._archive = archive
        self._directory = directory
        self._limits = limits
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._cancelled = False

    def run(self) -> Unpacked:
        """Do it and return once all of it is on the disk; blocks.

        Raises InvalidArgument or ResourceExhausted with the reason why the archive is not
        taken, ResourceExhausted if the disk is full, Unavailable if it was cancelled, Internal
        if it could not be done. Then something may be left in the directory.
        """
        own = has_all_ids()
        if own:
            os.chown(self._directory, NOBODY, NOBODY)
        status = os.stat(self._directory)
        identity = status.st_dev, status.st_ino
        size = os.fstat(self._archive).st_size
        program = _program()
        order = [size, str(self._directory), identity, self._limits, own, program.hex()]
        unpacked = _understand(self._ask(json.dumps(order)))
        return unpacked if program else replace(unpacked, missing_walls=(*unpacked.missing_walls, _FILTER))

    def cancel(self) -> None:
        """End it; harmless if it has ended."""
        with self._lock:
            self._cancelled = True
            if self._process is not None and self._process.stdin is not None:
                # The keeper ends its prisoner, and itself.
                self._process.stdin.close()

    def _ask(self, order: str) -> bytes:
        with self._lock:
            if self._cancelled:
                raise _cancelled()
            # No preexec_fn: with it, Python code would run between fork and exec of a threaded process.
            self._process = process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-X", "utf8", "-c", _BOOT, _ROOT, order, str(self._archive), *_places()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(self._archive,),
                start_new_session=True,
                cwd="/",
                env={},
            )
        try:
            # Not communicate(): it would close stdin, and that tells the keeper to give up.
            assert process.stdout is not None
            assert process.stderr is not None
            answer = process.stdout.read()
            complaint = process.stderr.read(_MAX_REASON)
            process.wait(_PATIENCE)
        finally:
            with self._lock:
                process.kill()
                process.wait()
                for pipe in (process.stdin, process.stdout, process.stderr):
                    assert pipe is not None
                    pipe.close()
        if self._cancelled:
            raise _cancelled()
        if not answer:
            raise Internal(
                f"the process that unpacks ended with {process.returncode} and no answer: "
                f"{complaint.decode('utf-8', 'replace').strip()}"
            )
        return answer


def _program() -> bytes:
    """Return the filter of system calls; empty if it can't be compiled here."""
    try:
        return compile_filter()
    except FailedPrecondition:
        return b""


def _places() -> list[str]:
    """Return the directories of the libraries that jsched does without if it has to."""
    spec = find_spec("zstandard")
    return [] if spec is None or spec.origin is None else [os.path.dirname(os.path.dirname(spec.origin))]


def _understand(answer: bytes) -> Unpacked:
    try:
        fields = json.loads(answer)
        if "size" in fields:
            missing = tuple(str(name)[:_MAX_WALL] for name in fields["missing"][:_MAX_WALLS])
            return Unpacked(_count(fields["size"]), _count(fields["entries"]), missing)
        raise _error(fields)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise Internal("the process that unpacks gave an answer that makes no sense") from None


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError
    return value


def _error(fields: dict[str, Any]) -> JschedError:
    if "refused" in fields:
        reason = str(fields["refused"])[:_MAX_REASON]
        kind = ResourceExhausted if fields.get("limit") is True else InvalidArgument
        return kind(f"the archive is refused: {reason}", obj="archive")
    if fields.get("errno") in (errno.ENOSPC, errno.EDQUOT):
        return ResourceExhausted("the archive can't be unpacked: no space left on the disk", obj="archive")
    return Internal(f"the archive can't be unpacked: {str(fields['broken'])[:_MAX_REASON]}", obj="archive")


def _cancelled() -> Unavailable:
    return Unavailable("the server is shutting down", hint="try again; what was received is kept")
