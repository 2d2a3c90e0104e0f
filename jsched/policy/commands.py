"""Commands that a policy allows, matched on the file that is executed.

Between the check and the exec stands nothing but the real path of that file: the job is started
with it as argv[0], so that neither a link that is changed meanwhile nor a name that tells a
program which of many it is to be counts.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jsched.policy.globs import check, is_pattern, matches

REST = "**"
_SPECIAL = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Command:
    """A pattern of the real path of a program, and one for each of its arguments; None is any arguments.

    Of the pattern all but its last component is resolved, so that it may lead through links.
    Raises ValueError, saying why, for what is no pattern of a program.
    """

    path: str
    args: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        parts = self.path.split("/")
        if not self.path.startswith("/") or not parts[-1] or ".." in parts or "." in parts or "\0" in self.path:
            raise ValueError(f"{self.path!r} is not the absolute path of a program, without '.' and '..'")
        for pattern in (self.path, *(self.args or ())):
            check(pattern)

    def __str__(self) -> str:
        return self.path if self.args is None else " ".join((self.path, *self.args))

    def allows(self, program: str, args: Sequence[str]) -> bool:
        """Return whether a program, by its real path, may be started with these arguments; blocking."""
        last = self.path.rpartition("/")[2]
        if REST not in last and not matches(last, program.rpartition("/")[2]):
            # Most are told apart by this alone, without a look at files.
            return False
        return self._allows_args(args) and matches(_resolved(self.path), program)

    def _allows_args(self, args: Sequence[str]) -> bool:
        if self.args is None:
            return True
        patterns = self.args
        if patterns[-1:] == (REST,):
            patterns = patterns[:-1]
            args = args[: len(patterns)]
        return len(args) == len(patterns) and all(map(matches, patterns, args))


def find_program(name: str, search_path: str, workdir: str) -> str | None:
    """Return the real path of what a launch would execute, None if there is no such program; blocking.

    It is looked for as execvp(3) does, from `workdir`, and every link is followed. A program is a
    regular file that the server's user may execute, whose path is UTF-8.
    """
    for place in _places(name.encode(), search_path.encode(), workdir.encode()):
        try:
            real = os.path.realpath(place, strict=True)
            if stat.S_ISREG(os.stat(real).st_mode) and os.access(real, os.X_OK, effective_ids=True):
                return real.decode()
        except (OSError, ValueError, RecursionError):
            # The last for a chain of links far longer than Linux follows.
            continue
    return None


def _places(name: bytes, search_path: bytes, workdir: bytes) -> Iterator[bytes]:
    if b"/" in name:
        yield os.path.join(workdir, name)
        return
    for directory in search_path.split(b":"):
        yield os.path.join(workdir, directory, name)


def _resolved(pattern: str) -> str:
    """Return a pattern whose directories, as far as they are no patterns themselves, are real."""
    *directories, last = pattern.split("/")
    literal = next((at for at, part in enumerate(directories) if is_pattern(part)), len(directories))
    real = os.path.realpath("/".join(directories[:literal]).encode() or b"/")
    try:
        # What is no UTF-8 is no program's path, either.
        start = _SPECIAL.sub(lambda found: f"[{found[0]}]", real.decode()).rstrip("/")
    except UnicodeDecodeError:
        return pattern
    return "/".join((start, *directories[literal:], last))
