"""Execute a command as another user, in a cgroup that is handed to that user.

For a server that is not root's, on a host with cgroup version 2 and a systemd older than 254: only
from there can it be started again while jobs run. See docs/operations.md, Install. The command takes this
process's place, and keeps what else it has: descriptors, limits, priority, environment.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from jsched.commandline import Parser

if TYPE_CHECKING:
    from pwd import struct_passwd

EXAMPLES = """
jsched delegate --user jsched -- /opt/jsched/bin/jsched serve --config /etc/jsched/jsched.toml
"""


def add_arguments(parser: Parser) -> None:
    """Add the arguments of `jsched delegate`."""
    parser.add_argument("--user", metavar="NAME", required=True, help="who gets the cgroup, and executes the command")
    parser.add_command("argv", "COMMAND [ARG...]")


def run(args: argparse.Namespace) -> int:
    """Become the command; raises FailedPrecondition if that can't be done, InvalidArgument naming user or command."""
    import os
    import pwd

    from jsched.errors import FailedPrecondition, InvalidArgument
    from jsched.isolation.delegation import enter_delegated

    if os.geteuid() != 0:
        raise FailedPrecondition("only root can hand a cgroup to another user", obj="user", hint="run it as root")
    try:
        user = pwd.getpwnam(args.user)
    except KeyError:
        raise InvalidArgument(f"there is no user {args.user!r}", obj="user", hint="make it, or name another") from None
    if user.pw_uid == 0:
        raise InvalidArgument(f"user {args.user!r} is root, who needs no delegation", obj="user")
    enter_delegated(user.pw_uid, user.pw_gid)
    _become(user)
    try:
        os.execvp(args.argv[0], args.argv)  # noqa: S606 - what the caller has given, as that user
    except OSError as error:
        raise InvalidArgument(f"{args.argv[0]}: {error.strerror}", obj="command") from None


def _become(user: struct_passwd) -> None:
    """Take on a user's ids for good, and what the environment says of them; runuser(1)."""
    import os

    os.initgroups(user.pw_name, user.pw_gid)
    os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
    # From root to another one: every capability is dropped with it, capabilities(7).
    os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
    os.environ |= {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name, "SHELL": user.pw_shell}
