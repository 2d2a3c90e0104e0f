"""The server's configuration: one frozen value, read once from flags, environment and TOML."""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jsched.audit_config import AuditConfig, parse_audit
from jsched.errors import InvalidArgument
from jsched.isolation_config import IsolationConfig, parse_isolation
from jsched.profile import Profile, parse_profile
from jsched.wire_config import WireConfig, parse_wire

CONFIG_VARIABLE = "JSCHED_SERVER_CONFIG"
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

    Paths are absolute. `file` is what it was read from, None for no file. `log_group` is a group's name or
    number that log files get (None: the server's own group). `policy` is the name of a preset, or the path
    of a file. Times are seconds, sizes bytes. `limits` says what jobs get that ask for nothing, `isolation`
    how they are walled in and what they may ask for, `wire` what clients may cost, `audit` how the trail is
    kept. An uploaded root file system may have an archive of `max_rootfs_archive` bytes, files of
    `max_rootfs_size` bytes together and `max_rootfs_entries` members, and `rootfs_timeout` for being
    unpacked. `start_timeout` is how long it may take until a job's command is executed.
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


def load(
    flags: Mapping[str, Any], *, config_file: str | None = None, environ: Mapping[str, str] = os.environ
) -> Config:
    """Return the configuration: a flag wins over a variable, a variable over the file, the file over defaults.

    `flags` holds Config's fields by name, None for a flag that was not given. Raises
    InvalidArgument naming the file or variable and the key.
    """
    path = config_file or environ.get(CONFIG_VARIABLE)
    file = Path(path) if path else SYSTEM_CONFIG
    from_file = _from_file(file) | {"file": file} if path or file.exists() else {}
    from_environment = _from_environment(environ)
    from_flags = {name: value for name, value in flags.items() if value is not None}
    try:
        return Config(**_defaults(environ) | from_file | from_environment | from_flags)
    except InvalidArgument as error:
        if error.obj in from_flags or error.obj not in from_environment | from_file:
            raise
        where = f"variable {_variable(error.obj)}" if error.obj in from_environment else f"config file {file}"
        raise InvalidArgument(f"{where}: {error.message}", obj=error.obj, hint=error.hint) from None


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


def _defaults(environ: Mapping[str, str]) -> dict[str, Any]:
    if os.geteuid() == 0:
        return {
            "data_dir": Path("/var/lib/jsched"),
            "log_dir": Path("/var/log/jsched"),
            "certs_dir": Path("/etc/jsched/certs"),
        }
    home = Path(environ.get("HOME") or "~").expanduser()
    state = Path(environ.get("XDG_STATE_HOME") or home / ".local/state") / "jsched"
    settings = Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "jsched"
    return {"data_dir": state, "log_dir": state / "logs", "certs_dir": settings / "certs"}


def _whole(value: Any) -> int:
    if isinstance(value, bool | float):
        raise TypeError
    return int(value)


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not math.isfinite(number := float(value)):
        raise TypeError
    return number


_KINDS: dict[str, Callable[[Any], Any]] = {
    "data_dir": Path,
    "log_dir": Path,
    "certs_dir": Path,
    "listen": str,
    "log_group": str,
    "policy": str,
    "chunk_size": _whole,
    "drain_timeout": _seconds,
    "limits": parse_profile,
    "isolation": parse_isolation,
    "audit": parse_audit,
    "wire": parse_wire,
    "max_rootfs_archive": _whole,
    "max_rootfs_size": _whole,
    "max_rootfs_entries": _whole,
    "rootfs_timeout": _whole,
    "start_timeout": _seconds,
}
_WORDS: dict[Callable[[Any], Any], str] = {
    _whole: "a whole number",
    _seconds: "a number",
    str: "a text",
    Path: "a path",
}
# What no variable can say.
_TABLES = frozenset({"limits", "isolation", "wire", "audit"})
# Keys of earlier versions that stand in a table now.
_MOVED = dict.fromkeys(("max_message_size", "max_streams_per_connection", "handshake_timeout"), "wire")


def _from_file(path: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InvalidArgument(f"config file {path}: {error.strerror}", obj=str(path)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"config file {path} is not TOML: {error}", obj=str(path)) from None
    for name in content:
        if name in _MOVED:
            raise _moved(f"config file {path}: {name}", name)
        if name not in _KINDS:
            hint = f"known are {', '.join(sorted(_KINDS))}"
            raise InvalidArgument(f"config file {path}: unknown key {name!r}", obj=str(path), hint=hint)
    values = {name: _convert(f"config file {path}: {name}", name, value) for name, value in content.items()}
    for name in ("data_dir", "log_dir", "certs_dir"):
        if name in values:
            values[name] = path.absolute().parent / values[name].expanduser()
    if is_policy_file(values.get("policy", "")):
        values["policy"] = str(path.absolute().parent / Path(values["policy"]).expanduser())
    return values


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    variables = {_variable(name): name for name in _KINDS if name not in _TABLES}
    for name in _MOVED:
        if environ.get(variable := f"JSCHED_{name.upper()}"):
            raise _moved(f"variable {variable}", name)
    return {
        name: _convert(f"variable {variable}", name, environ[variable])
        for variable, name in variables.items()
        if environ.get(variable)
    }


def _variable(name: str) -> str:
    return f"JSCHED_{name.removesuffix('_dir').upper() if name == 'certs_dir' else name.upper()}"


def _moved(where: str, name: str) -> InvalidArgument:
    table = _MOVED[name]
    return InvalidArgument(
        f"{where} stands in the table [{table}] of the configuration file now",
        obj=name,
        hint=f"write it there, below a line [{table}]",
    )


def _convert(where: str, name: str, value: Any) -> Any:
    try:
        return _KINDS[name](value)
    except InvalidArgument as error:
        raise InvalidArgument(f"{where}: {error.message}", obj=error.obj, hint=error.hint) from None
    except (TypeError, ValueError, OverflowError):
        raise InvalidArgument(f"{where} is {value!r}, not {_WORDS.get(_KINDS[name], 'a table')}", obj=name) from None


def _check_positive(name: str, value: float) -> None:
    # A NaN is neither.
    if not value > 0:
        raise InvalidArgument(f"{name} is {value}, and has to be more than 0", obj=name)
