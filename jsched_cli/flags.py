"""Flags that several verbs have, and the texts that they take."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING

from jsched.commandline import Parser, UsageError

if TYPE_CHECKING:
    from jsched.client import Client

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
# Compiled when they are used: most commands are given no duration.
_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_DURATION = rf"(?:{_NUMBER}(?:ms|s|m|h|d))+"
_PART = rf"({_NUMBER})(ms|s|m|h|d)"


def add_global_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say where the server is and who the caller is."""
    parser.add_argument("--server", metavar="HOST:PORT", help="the server's address")
    parser.add_argument("--ca", metavar="FILE", help="the CA that signed the server's certificate")
    parser.add_argument("--cert", metavar="FILE", help="your certificate")
    parser.add_argument("--key", metavar="FILE", help="your private key")
    parser.add_argument("--config", metavar="FILE", help="a TOML file with these settings")


def add_job(parser: Parser) -> None:
    """Add the argument that names a job."""
    parser.add_argument("job", metavar="ID", help="the job's id, the first 8 or more digits of it, or its name")


def add_output(parser: Parser) -> None:
    """Add the choice between text and JSON."""
    parser.add_argument(
        "-o", "--output", choices=("text", "json"), default="text", metavar="FORMAT", help="text or json"
    )


def add_raw(parser: Parser) -> None:
    """Add the choice to have output on a terminal as it is."""
    parser.add_argument(
        "--raw",
        action="store_true",
        help="write the output to a terminal as it is, escape sequences and all (into a pipe or file it always is)",
    )


def add_reconnect(parser: Parser) -> None:
    """Add how long to try to reach a server that went away."""
    parser.add_argument(
        "--reconnect-timeout",
        type=duration,
        metavar="DURATION",
        help="how long to try to reach a server that went away (60s), 0 for not at all",
    )


def connect(args: argparse.Namespace) -> Client:
    """Return a client with the settings of the flags, the environment and the file."""
    from jsched.client.settings import load

    names = ("server", "ca", "cert", "key", "config", "reconnect_timeout")
    config = load({name: getattr(args, name, None) for name in names})
    # The handshake runs in gRPC's own threads while the rest of the client is imported.
    from jsched.client.connection import open_channel

    channel = open_channel(config)
    from jsched.client.sync import Client

    return Client(config, channel)


def duration(text: str) -> float:
    """Return seconds of `90`, `1.5`, `500ms`, `90s`, `5m`, `1h30m`, `2d`."""
    if re.fullmatch(_NUMBER, text, re.ASCII):
        return float(text)
    if not re.fullmatch(_DURATION, text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration such as 90, 90s, 5m, 1h30m or 500ms")
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(_PART, text))


def pairs(flag: str, texts: list[str] | None) -> dict[str, str]:
    """Return the mapping that NAME=VALUE texts give; the last of a name wins."""
    found = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"{flag}: {text!r} is not NAME=VALUE")
        found[name] = value
    return found
