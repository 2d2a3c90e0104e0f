"""Where the server's configuration comes from: flags, environment and TOML, read once."""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jsched.audit_config import parse_audit
from jsched.config import SYSTEM_CONFIG, Config, is_policy_file
from jsched.errors import InvalidArgument
from jsched.isolation_config import parse_isolation
from jsched.profile import parse_profile
from jsched.wire_config import parse_wire

CONFIG_VARIABLE = "JSCHED_SERVER_CONFIG"


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
