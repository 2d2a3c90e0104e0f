"""The server's configuration: one frozen value, which checks itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from jsched.audit_config import AuditConfig
from jsched.errors import InvalidArgument
from jsched.isolation_config import IsolationConfig
from jsched.profile import Profile
from jsched.wire_config import WireConfig

SYSTEM_CONFIG = Path("/etc/jsched/jsched.toml")
_POSITIVE = (
    "chunk_size",
    "max_rootfs_archive",
    "max_rootfs_size",
    "max_rootfs_entries",
    "rootfs_timeout",
    "start_timeout",
)


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that the engine and the server need to know.

    Paths are absolute. `file` is what it was read from, None for no file. `log_group` is a group's
    name or number that log files get (None: the server's own group). `policy` is the name of a preset,
    or the path of a file. Times are seconds, sizes bytes. `limits` says what jobs get that ask for
    nothing, `isolation` how they are walled in and what they may ask for, `wire` what clients may cost,
    `audit` how the trail is kept. An uploaded root file system may have an archive of
    `max_rootfs_archive` bytes, files of `max_rootfs_size` bytes together and `max_rootfs_entries`
    members, and `rootfs_timeout` for being unpacked. `start_timeout` is how long it may take until a
    job's command is executed.
    """

    data_dir: Path
    log_dir: Path
    certs_dir: Path | None = None
    listen: str = "127.0.0.1:50051"
    log_group: str | None = None
    policy: str = "jsched"
    chunk_size: int = 512 * 1024
    drain_timeout: float = 10.0
    limits: Profile = field(default_factory=Profile)
    isolation: IsolationConfig = field(default_factory=IsolationConfig)
    audit: AuditConfig = field(default_factory=AuditConfig)
    wire: WireConfig = field(default_factory=WireConfig)
    max_rootfs_archive: int = 4 * 1024 * 1024 * 1024
    max_rootfs_size: int = 16 * 1024 * 1024 * 1024
    max_rootfs_entries: int = 500_000
    rootfs_timeout: int = 900
    start_timeout: float = 30.0
    file: Path | None = None

    def __post_init__(self) -> None:
        for name in ("data_dir", "log_dir", "certs_dir", "file"):
            path = getattr(self, name)
            if path is not None:
                object.__setattr__(self, name, Path(path).expanduser().absolute())
        if is_policy_file(self.policy):
            object.__setattr__(self, "policy", str(Path(self.policy).expanduser().absolute()))
        split_address(self.listen)
        for name in _POSITIVE:
            _check_positive(name, getattr(self, name))
        if not self.drain_timeout >= 0:
            raise InvalidArgument(
                f"drain_timeout is {self.drain_timeout}, and has to be 0 or more", obj="drain_timeout"
            )
        if self.chunk_size > 2 * 1024 * 1024:
            raise InvalidArgument(
                "chunk_size is more than 2 MiB, and clients accept messages of 4 MiB", obj="chunk_size"
            )

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.data_dir / "state.db"

    @property
    def exits_dir(self) -> Path:
        """Where monitors leave exit records."""
        return self.data_dir / "exits"

    @property
    def runs_dir(self) -> Path:
        """Where monitors say that they run."""
        return self.data_dir / "runs"

    @property
    def stops_dir(self) -> Path:
        """Where the server leaves stop requests for monitors."""
        return self.data_dir / "stops"

    @property
    def rootfs_dir(self) -> Path:
        """Where the uploaded root file systems are, each under its digest."""
        return self.data_dir / "rootfs"

    @property
    def audit_log(self) -> Path:
        """The file that the audit trail is written to; those put aside lie beside it."""
        return self.data_dir / "audit.jsonl"

    @property
    def private(self) -> tuple[Path, ...]:
        """What is the server's own, and not for jobs to see."""
        settings = [file for file in (self.file, Path(self.policy) if is_policy_file(self.policy) else None) if file]
        system = SYSTEM_CONFIG.parent
        # The whole directory: a file that is replaced by another is in sight again.
        files = [system if file.is_relative_to(system) else file for file in settings]
        return tuple(path for path in (self.data_dir, self.log_dir, self.certs_dir, *files) if path is not None)

    def log_path(self, job_id: str) -> Path:
        """The log file of a job."""
        return self.log_dir / f"{job_id}.log"


def split_address(address: str) -> tuple[str, int]:
    """Split HOST:PORT (an IPv6 host in brackets), raising InvalidArgument for anything else."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise InvalidArgument(
            f"{address!r} is not an address", obj="listen", hint="give HOST:PORT, such as 127.0.0.1:50051"
        )
    return host.removeprefix("[").removesuffix("]"), int(port)


def is_policy_file(name: str) -> bool:
    """Return whether a policy's name is the path of a file, and not a preset's: it has a slash, or ends in .toml."""
    return "/" in name or name.endswith(".toml")


def _check_positive(name: str, value: float) -> None:
    # A NaN is neither.
    if not value > 0:
        raise InvalidArgument(f"{name} is {value}, and has to be more than 0", obj=name)
