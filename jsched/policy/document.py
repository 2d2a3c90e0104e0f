"""A policy file as TOML has it, and on which line each of its keys stands."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from jsched.config import is_policy_file
from jsched.errors import InvalidArgument
from jsched.policy.lines import Path, key_lines

PRESETS = ("jsched", "viewer", "owner", "commands", "open")
# A policy is read by people: one of this size is none.
_MAX_SIZE = 4 << 20
_WHERE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a policy: the file's name, or a preset's, and the number from 1."""

    source: str
    line: int

    def __str__(self) -> str:
        return f"{self.source}:{self.line}"


@dataclass(frozen=True, slots=True)
class Document:
    """The tables of a policy, and where each key of them stands; `digest` is the SHA-256 of its bytes."""

    source: str
    tables: Mapping[str, Any]
    lines: Mapping[Path, int]
    digest: str

    def place(self, path: Path) -> Place:
        """Return where a key stands, or the nearest table that it is in."""
        while path and path not in self.lines:
            path = path[:-1]
        return Place(self.source, self.lines.get(path, 1))

    def error(self, path: Path, message: str, hint: str = "") -> InvalidArgument:
        """Return the error that something is wrong with a key, naming file and line."""
        return InvalidArgument(f"policy {self.place(path)}: {message}", obj=self.source, hint=hint)


def read_document(name: str) -> Document:
    """Return the policy file at a path, or the preset of that name; blocking.

    Raises InvalidArgument for what is not there, can't be read, or is not TOML, with the line.
    """
    if is_policy_file(name):
        return parse_document(name, _read_file(name))
    if name not in PRESETS:
        raise InvalidArgument(
            f"there is no policy preset {name!r}",
            obj=name,
            hint=f"presets are {', '.join(PRESETS)}; the path of a file has a slash or ends in .toml",
        )
    return parse_document(name, resources.files("jsched.policy").joinpath("presets", f"{name}.toml").read_bytes())


def parse_document(source: str, content: bytes) -> Document:
    """Return a policy's text as a document; raises InvalidArgument, with the line, if it is not TOML."""
    try:
        text = content.decode()
        tables, lines = tomllib.loads(text), key_lines(text)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InvalidArgument(f"policy {Place(source, line)}: not UTF-8", obj=source) from None
    except tomllib.TOMLDecodeError as error:
        found = _WHERE.search(str(error))
        line = int(found[1]) if found and found[1] else content.count(b"\n") + 1
        message = _WHERE.sub("", str(error))
        place = Place(source, line)
        raise InvalidArgument(f"policy {place}: not TOML: {message[:1].lower()}{message[1:]}", obj=source) from None
    except RecursionError:
        raise InvalidArgument(f"policy {source}: nested too deeply", obj=source) from None
    return Document(source, tables, lines, hashlib.sha256(content).hexdigest())


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def _read_file(path: str) -> bytes:
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            # A FIFO may not answer, and can't be read again when the policy is.
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise InvalidArgument(f"policy {path}: not a regular file", obj=path)
            content = file.read(_MAX_SIZE + 1)
    except OSError as error:
        raise InvalidArgument(f"policy {path}: {error.strerror}", obj=path) from None
    except ValueError:
        raise InvalidArgument(f"policy {path!r} is not the path of a file", obj=path) from None
    if len(content) > _MAX_SIZE:
        raise InvalidArgument(f"policy {path} is larger than {_MAX_SIZE} bytes", obj=path)
    return content
