"""The policy: whether it can be read, and commands in it that do not mean what they seem to."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from jsched.commands.doctor.finding import Finding, fail, ok, warn
from jsched.config import Config, is_policy_file
from jsched.errors import InvalidArgument
from jsched.policy.commands import Command
from jsched.policy.globs import is_pattern
from jsched.policy.load import load
from jsched.policy.policy import Policy


def policy(config: Config) -> Iterator[Finding]:
    """Whether the server would take the policy, and which of its commands are never, or not only, what they name."""
    try:
        found = load(config.policy)
    except InvalidArgument as error:
        yield fail("policy", error.message, error.hint or "the server does not start with it")
        return
    text = f"{found.source}: {_counted(len(found.roles), 'role')}, {_counted(len(found.users), 'user')}"
    if is_policy_file(config.policy) and (mode := stat.S_IMODE(os.stat(config.policy).st_mode)) & 0o022:
        who = "who may write to it may do anything"
        yield warn("policy", f"{text}; its mode is {mode:04o}: {who}", f"chmod go-w {config.policy}")
    else:
        yield ok("policy", text)
    for place, command in _commands(found):
        if (finding := _look_at(place, command)) is not None:
            yield finding


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _commands(found: Policy) -> Iterator[tuple[str, Command]]:
    """Yield each list's commands once, with where the list stands."""
    settings = {grant.rules.commands for grant in found.grants.values()} - {None}
    for setting in sorted((one for one in settings if one is not None), key=lambda one: one.place.line):
        for command in setting.value:
            yield str(setting.place), command


def _look_at(place: str, command: Command) -> Finding | None:
    if is_pattern(command.path):
        return None
    # Of a pattern all but the last part may lead through links.
    path = Path(os.path.realpath(os.path.dirname(command.path))) / os.path.basename(command.path)
    try:
        mode = path.lstat().st_mode
    except OSError as error:
        return warn("command", f"{place}: {command.path}: {error.strerror}", "nothing is started by it")
    if stat.S_ISLNK(mode):
        real = os.path.realpath(path)
        return warn("command", f"{place}: {command.path} is a link to {real}, which it does not allow", f"name {real}")
    for one in (path, *path.parents):
        there = one.stat().st_mode
        # In a directory with the sticky bit nobody replaces what is another's.
        if there & stat.S_IWOTH and not (stat.S_ISDIR(there) and there & stat.S_ISVTX):
            return warn(
                "command",
                f"{place}: {command.path}: everybody may write to {one}, and so start anything by this name",
                f"chmod o-w {one}",
            )
    return None
