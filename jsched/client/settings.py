"""Where the server is and who the caller is: read once from flags, variables and a TOML file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from jsched.errors import InvalidArgument
from jsched.frozen import frozen

CONFIG_VARIABLE = "JSCHED_CONFIG"
DEFAULT_RECONNECT_TIMEOUT = 60.0
_ADDRESS = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+(?:%\w+)?)\]|(?P<host>[^\s:\[\]/]+)):(?P<port>[0-9]{1,5})")
_REQUIRED = ("server", "ca", "cert", "key")
_MEANINGS = {
    "server": "the server's HOST:PORT",
    "ca": "the CA that signed the server's certificate",
    "cert": "your certificate",
    "key": "your private key",
}


@frozen
class ClientConfig:
    """Everything that a client needs to know.

    `server` is HOST:PORT (an IPv6 host in brackets); `ca`, `cert` and `key` are PEM files:
    the CA that signed the server's certificate, the caller's certificate and its private
    key. They are kept as texts, with a leading `~` expanded. `reconnect_timeout` is how many
    seconds a client tries to reach a server that went away, 0 for not at all. Raises
    InvalidArgument naming the field.
    """

    server: str
    # Not pathlib's: importing that costs a thirtieth of a command's work.
    ca: str | os.PathLike[str]
    cert: str | os.PathLike[str]
    key: str | os.PathLike[str]
    reconnect_timeout: float = DEFAULT_RECONNECT_TIMEOUT

    def __post_init__(self) -> None:
        for name in ("ca", "cert", "key"):
            object.__setattr__(self, name, os.path.expanduser(getattr(self, name)))
        split_address(self.server)
        if not 0 <= self.reconnect_timeout < float("inf"):
            raise InvalidArgument(
                f"reconnect_timeout is {self.reconnect_timeout}, not a number of seconds", obj="reconnect_timeout"
            )


def split_address(server: str) -> tuple[str, int]:
    """Split HOST:PORT, raising InvalidArgument for anything else."""
    match = _ADDRESS.fullmatch(server)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise InvalidArgument(
            f"server {server!r} is not HOST:PORT", obj="server", hint="give for example 127.0.0.1:50051 or [::1]:50051"
        )
    return match["six"] or match["host"], int(match["port"])


def load(flags: Mapping[str, Any] | None = None, environ: Mapping[str, str] = os.environ) -> ClientConfig:
    """Return the configuration: a flag wins over a variable, a variable over the file.

    `flags` holds ClientConfig's fields by name and `config`, the file's path; None means not
    given. Variables are JSCHED_SERVER, JSCHED_CA, JSCHED_CERT, JSCHED_KEY and
    JSCHED_RECONNECT_TIMEOUT. Without a path the file is `jsched/config.toml` in the user's
    configuration directory, if there is one. Raises InvalidArgument naming what is wrong
    and where it stands.
    """
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    values = _from_file(given.pop("config", None) or environ.get(CONFIG_VARIABLE), environ)
    values |= _from_environment(environ)
    values |= given
    missing = [name for name in _REQUIRED if not values.get(name)]
    if missing:
        raise _missing(missing, environ)
    return ClientConfig(**values)


def default_file(environ: Mapping[str, str] = os.environ) -> str:
    """Return where the user's own file is looked for (XDG Base Directory Specification)."""
    home = environ.get("XDG_CONFIG_HOME") or os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".config")
    return os.path.join(home, "jsched", "config.toml")


def _missing(names: list[str], environ: Mapping[str, str]) -> InvalidArgument:
    what = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    meanings = "; ".join(f"--{name} or JSCHED_{name.upper()}: {_MEANINGS[name]}" for name in names)
    return InvalidArgument(
        f"{what} {'is' if len(names) == 1 else 'are'} not set",
        obj=names[0],
        hint=f"give {meanings}; or write {'it' if len(names) == 1 else 'them'} into a TOML file "
        f"and name it with --config or {CONFIG_VARIABLE}, or call it {default_file(environ)}",
    )


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {name: environ[v] for name in _REQUIRED if environ.get(v := f"JSCHED_{name.upper()}")}
    if text := environ.get("JSCHED_RECONNECT_TIMEOUT"):
        try:
            values["reconnect_timeout"] = float(text)
        except ValueError:
            raise InvalidArgument(
                f"variable JSCHED_RECONNECT_TIMEOUT is {text!r}, not a number of seconds", obj="reconnect_timeout"
            ) from None
    return values


def _from_file(named: str | os.PathLike[str] | None, environ: Mapping[str, str]) -> dict[str, Any]:
    path = os.path.expanduser(named) if named else default_file(environ)
    try:
        with open(path, "rb") as file:
            raw = file.read()
    except OSError as error:
        if not named and isinstance(error, FileNotFoundError | NotADirectoryError):
            return {}
        raise InvalidArgument(f"config file {path}: {error.strerror}", obj=path) from None
    # Only now: importing this costs a fiftieth of a command's work.
    import tomllib

    try:
        content = tomllib.loads(raw.decode())
    except ValueError as error:
        raise InvalidArgument(f"config file {path} is not TOML: {error}", obj=path) from None
    return {name: _checked(path, name, value) for name, value in content.items()}


def _checked(path: str, name: str, value: Any) -> Any:
    known = (*_REQUIRED, "reconnect_timeout")
    if name not in known:
        raise InvalidArgument(
            f"config file {path}: unknown key {name!r}", obj=path, hint=f"known are {', '.join(known)}"
        )
    if name == "reconnect_timeout":
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidArgument(f"config file {path}: {name} is {value!r}, not a number of seconds", obj=path)
        return value
    if not isinstance(value, str) or not value:
        raise InvalidArgument(f"config file {path}: {name} is {value!r}, not a text", obj=path)
    if name == "server":
        return value
    place = os.path.dirname(path)
    if not os.path.isabs(place):
        place = os.path.join(os.getcwd(), place)
    return os.path.join(place, os.path.expanduser(value))
