"""The values of the domain: what a job is asked to be, what it is, and how it ended."""

from __future__ import annotations

import enum
import signal as signals
from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime, timedelta
from types import MappingProxyType

from jsched import spec_fields
from jsched.confinement import NOTHING_ASKED, Confinement, Walls
from jsched.errors import InvalidArgument
from jsched.frozen import frozen
from jsched.limits import NO_LIMITS, Limits, Unenforced
from jsched.state import JobState

DEFAULT_GRACE = 10.0

_EMPTY: Mapping[str, str] = MappingProxyType({})


@frozen
class JobSpec:
    """What the caller asks for; checked when it is made.

    `argv` is an argument vector, never a shell line. `timeout` and `grace` are seconds;
    no timeout means no time limit. `workdir` is an absolute path, or None for the home
    directory of the job's user. What `limits` and `confinement` leave open is the server's to
    say. Raises InvalidArgument naming the field.
    """

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    workdir: str | None = None
    name: str | None = None
    labels: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    timeout: float | None = None
    grace: float = DEFAULT_GRACE
    limits: Limits = NO_LIMITS
    confinement: Confinement = NOTHING_ASKED

    def __post_init__(self) -> None:
        if isinstance(self.argv, str):
            raise InvalidArgument("argv is a list of strings, not one string", obj="argv")
        object.__setattr__(self, "argv", tuple(self.argv))
        object.__setattr__(self, "env", MappingProxyType(dict(self.env)))
        object.__setattr__(self, "labels", MappingProxyType(dict(self.labels)))
        spec_fields.check_argv(self.argv)
        spec_fields.check_env(self.env)
        spec_fields.check_workdir(self.workdir)
        spec_fields.check_name(self.name)
        spec_fields.check_labels(self.labels)
        if self.timeout is not None:
            spec_fields.check_seconds("timeout", self.timeout)
            if self.timeout == 0:
                raise InvalidArgument("timeout is 0 seconds", obj="timeout", hint="leave it out for no time limit")
        spec_fields.check_seconds("grace", self.grace)


@frozen
class Exited:
    """The command ended by itself with an exit code from 0 to 255."""

    code: int


@frozen
class Signaled:
    """The command was ended by a signal, signal(7)."""

    signal: int

    @property
    def name(self) -> str:
        """The signal's name, such as SIGKILL."""
        try:
            return signals.Signals(self.signal).name
        except ValueError:
            return f"signal {self.signal}"


@frozen
class FailedStep:
    """The command could not be started: which step failed, with which errno(3)."""

    step: str
    errno: int


@frozen
class Lost:
    """Nobody recorded how the command ended."""


Outcome = Exited | Signaled | FailedStep | Lost


class Reason(enum.Enum):
    """Why a TERMINATED job was killed."""

    SIGNAL = "signal"
    OUT_OF_MEMORY = "out of memory"
    TIME_LIMIT = "time limit"
    OUTPUT_LIMIT = "output limit"
    HOST_RESTART = "host restart"


@frozen
class Usage:
    """What a job used, None for what is not known.

    Times are seconds, `throttled` being how long its CPUs were held back by their limit. Sizes are
    bytes: `max_rss` the largest resident set of one process, known once the job has ended;
    `memory_peak` and `memory_current` all its memory together, page cache included. What comes after
    `max_rss` is known of a job that has a cgroup. `oom_kills` counts those of its processes that the
    kernel has killed for want of memory.
    """

    cpu_user: float | None = None
    cpu_system: float | None = None
    max_rss: int | None = None
    throttled: float | None = None
    memory_peak: int | None = None
    memory_current: int | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None
    read_operations: int | None = None
    written_operations: int | None = None
    pids_peak: int | None = None
    oom_kills: int | None = None


@frozen
class Job:
    """A job as it was at one moment.

    Times are aware datetimes in UTC. `forced` says whether SIGKILL was needed to end it;
    `stopped_by` who asked for the stop; `pid` the command's process id on the host. `applied` are
    the limits that it really has, None before that is known, and `unenforced` those that it should
    have and has not; `walls` are what it is really walled in with.
    """

    id: str
    spec: JobSpec
    owner: str
    state: JobState
    created_at: datetime
    log_path: str
    started_at: datetime | None = None
    ended_at: datetime | None = None
    outcome: Outcome | None = None
    reason: Reason | None = None
    forced: bool = False
    stopped_by: str | None = None
    pid: int | None = None
    usage: Usage | None = None
    applied: Limits | None = None
    unenforced: tuple[Unenforced, ...] = ()
    walls: Walls | None = None

    @property
    def duration(self) -> timedelta | None:
        """How long the command ran, once it has ended."""
        if self.started_at is None or self.ended_at is None:
            return None
        return self.ended_at - self.started_at


@frozen
class StopResult:
    """What a stop came to: the job afterwards, and whether it had ended before."""

    job: Job
    already_ended: bool


@frozen
class JobFilter:
    """Which jobs a list shows; an empty field leaves nothing out.

    Raises InvalidArgument for more labels than a job can have.
    """

    states: frozenset[JobState] = frozenset()
    owner: str | None = None
    name: str | None = None
    labels: Mapping[str, str] = field(default_factory=lambda: _EMPTY)

    def __post_init__(self) -> None:
        # Each is a condition of its own, and SQLite takes a thousand.
        spec_fields.check_count(self.labels)


@frozen
class JobPage:
    """Some jobs, newest first, and the token that continues after the last one ("" at the end)."""

    jobs: tuple[Job, ...]
    next_page_token: str


@frozen
class Chunk:
    """Bytes of a log and the offset of the first of them; followers at one offset may hold the same object."""

    offset: int
    data: bytes

    @property
    def end(self) -> int:
        """The offset of the byte after the last."""
        return self.offset + len(self.data)
