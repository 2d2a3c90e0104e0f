"""What of a job's description can be right or wrong wherever it is to run: a check for each field."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from jsched.errors import InvalidArgument

MAX_SECONDS = 10 * 365 * 86400.0
# Compiled, and kept, by `re` when they are used: most commands of a client use none.
_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}"
_LOOKS_LIKE_AN_ID = r"[0-9a-fA-F]{8}[0-9a-fA-F-]*"
_ENV_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_LABEL_KEY = r"[A-Za-z0-9][A-Za-z0-9_./-]{0,62}"
_MAX_LABELS = 64
_MAX_LABEL_VALUE = 256
_MAX_REQUEST_ID = 128
JOB_ID_VARIABLE = "JSCHED_JOB_ID"


def check_seconds(name: str, value: float) -> None:
    """Raise InvalidArgument unless `value` is a number of seconds from 0 to ten years."""
    if not 0 <= value <= MAX_SECONDS:
        raise InvalidArgument(f"{name} is {value} seconds, not from 0 to {MAX_SECONDS:.0f}", obj=name)


def check_argv(argv: Sequence[str]) -> None:
    """Raise InvalidArgument unless there is a command, and all of it can be handed to execve(2)."""
    if not argv:
        raise InvalidArgument("argv is empty", obj="argv", hint="give a command to run")
    if not argv[0]:
        raise InvalidArgument("argv[0] is an empty string", obj="argv", hint="give a command to run")
    for position, argument in enumerate(argv):
        _check_text(f"argv[{position}]", argument, "argv")


def _check_text(name: str, value: str, field: str) -> None:
    if "\0" in value:
        raise InvalidArgument(f"{name} contains a NUL character", obj=field)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidArgument(f"{name} is not valid UTF-8", obj=field) from None


def check_env(env: Mapping[str, str]) -> None:
    """Raise InvalidArgument unless all are variables that a caller may set."""
    for name, value in env.items():
        if not re.fullmatch(_ENV_NAME, name):
            raise InvalidArgument(
                f"environment variable {name!r} is not a name of letters, digits and underscores", obj="env"
            )
        if name == JOB_ID_VARIABLE:
            raise InvalidArgument(f"environment variable {name} is set by jsched itself", obj="env")
        _check_text(f"environment variable {name}", value, "env")


def check_workdir(workdir: str | None) -> None:
    """Raise InvalidArgument unless it is an absolute path, or None."""
    if workdir is None:
        return
    _check_text("workdir", workdir, "workdir")
    if not workdir.startswith("/"):
        raise InvalidArgument(
            f"workdir {workdir!r} is not an absolute path", obj="workdir", hint="give a path on the host from /"
        )


def check_name(name: str | None) -> None:
    """Raise InvalidArgument unless it is a name that can't be taken for an id, or None."""
    if name is None:
        return
    if not re.fullmatch(_NAME, name):
        raise InvalidArgument(
            f"name {name!r} is not 1 to 63 letters, digits, '.', '_' or '-', beginning with a letter or digit",
            obj="name",
        )
    if re.fullmatch(_LOOKS_LIKE_AN_ID, name):
        raise InvalidArgument(f"name {name!r} looks like a job id", obj="name", hint="choose a name with other letters")


def check_request_id(request_id: str | None) -> None:
    """Raise InvalidArgument unless it is a text that can name a start, or None."""
    if request_id is None:
        return
    if not 0 < len(request_id) <= _MAX_REQUEST_ID:
        raise InvalidArgument(f"request_id is not 1 to {_MAX_REQUEST_ID} characters", obj="request_id")
    try:
        request_id.encode()
    except UnicodeEncodeError:
        raise InvalidArgument("request_id is not valid UTF-8", obj="request_id") from None


def check_count(labels: Mapping[str, str]) -> None:
    """Raise InvalidArgument for more labels than a job can have."""
    if len(labels) > _MAX_LABELS:
        raise InvalidArgument(f"{len(labels)} labels are more than {_MAX_LABELS}", obj="labels")


def check_labels(labels: Mapping[str, str]) -> None:
    """Raise InvalidArgument unless number, keys and values of labels are as they may be."""
    check_count(labels)
    for key, value in labels.items():
        if not re.fullmatch(_LABEL_KEY, key):
            raise InvalidArgument(
                f"label {key!r} is not 1 to 63 letters, digits, '.', '_', '/' or '-', beginning with a letter or digit",
                obj="labels",
            )
        if len(value) > _MAX_LABEL_VALUE:
            raise InvalidArgument(f"label {key} has a value longer than {_MAX_LABEL_VALUE} characters", obj="labels")
        _check_text(f"label {key}", value, "labels")
