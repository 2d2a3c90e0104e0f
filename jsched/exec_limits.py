"""How large a command may be that Linux executes: refused before there is a job that could only fail."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from jsched.errors import InvalidArgument

if TYPE_CHECKING:
    from jsched.job import JobSpec

# MAX_ARG_STRLEN and the limit on all strings at the usual stack size of 8 MiB, execve(2); each with its NUL byte.
MAX_STRING = 128 * 1024 - 1
MAX_TOTAL = 2 * 1024 * 1024
# PATH_MAX, limits.h(0p).
MAX_PATH = 4095
# Besides its bytes, a string costs its NUL and a pointer.
_OVERHEAD = 1 + 8


def check_sizes(spec: JobSpec) -> None:
    """Raise InvalidArgument, naming the field, for what execve(2) would refuse for its size alone.

    The kernel may still refuse what passes here: the server's own variables come on top.
    """
    for position, argument in enumerate(spec.argv):
        _check_string(f"argv[{position}]", len(argument.encode()), "argv")
    for name, value in spec.env.items():
        _check_string(f"environment variable {name[:64]}", len(name) + 1 + len(value.encode()), "env")
    argv, env = _size(spec.argv), _size(f"{name}={value}" for name, value in spec.env.items())
    if argv + env > MAX_TOTAL:
        raise InvalidArgument(
            f"argv and env need {argv + env} bytes together, more than {MAX_TOTAL}",
            obj="argv" if argv >= env else "env",
            hint="put what is large into a file",
        )
    paths = [("workdir", spec.workdir or "", "workdir")]
    for bind in spec.confinement.binds:
        paths += [("a bind's source", bind.source, "binds"), ("a bind's target", bind.target, "binds")]
    for what, path, field in paths:
        if (size := len(path.encode())) > MAX_PATH:
            raise InvalidArgument(f"{what} has {size} bytes, more than {MAX_PATH}, the most of a path", obj=field)


def _check_string(what: str, size: int, field: str) -> None:
    if size > MAX_STRING:
        raise InvalidArgument(
            f"{what} has {size} bytes, more than the {MAX_STRING} that Linux passes to a command",
            obj=field,
            hint="put what is large into a file",
        )


def _size(strings: Iterable[str]) -> int:
    return sum(len(string.encode()) + _OVERHEAD for string in strings)
