"""The flags that say what a job shall be."""

from __future__ import annotations

import argparse
import os

from jsched.commandline import Parser, UsageError
from jsched.errors import InvalidArgument
from jsched.job import DEFAULT_GRACE, JobSpec
from jsched.spec_fields import check_request_id
from jsched_cli.confinement import add_confinement, confinement
from jsched_cli.flags import duration, pairs
from jsched_cli.limits import add_limits, limits


def add_spec(parser: Parser) -> None:
    """Add the flags of a new job, and the command."""
    parser.add_argument("--timeout", type=duration, metavar="DURATION", help="end the job after so long (no limit)")
    parser.add_argument(
        "--grace",
        type=duration,
        default=DEFAULT_GRACE,
        metavar="DURATION",
        help=f"time between SIGTERM and SIGKILL when the job is ended ({DEFAULT_GRACE:.0f}s)",
    )
    parser.add_argument(
        "-e",
        "--env",
        action="append",
        metavar="NAME[=VALUE]",
        help="a variable for the job's environment; without a value it gets the one it has here",
    )
    parser.add_argument("-w", "--workdir", metavar="DIR", help="the job's working directory, a path on the host from /")
    parser.add_argument("-n", "--name", metavar="NAME", help="a name that no other running job of yours has")
    parser.add_argument("-l", "--label", action="append", metavar="KEY=VALUE", help="a label to find the job by")
    parser.add_argument(
        "--request-id", metavar="TEXT", help="any unique text: the same again gives the same job, not a second one"
    )
    add_limits(parser)
    add_confinement(parser)
    parser.add_command("command", "COMMAND [ARG...]")


def spec(args: argparse.Namespace) -> JobSpec:
    """Return the job that the arguments ask for; raises UsageError if there can't be such a job."""
    try:
        check_request_id(args.request_id)
        return JobSpec(
            args.command,
            env=_environment(args.env or []),
            workdir=args.workdir,
            name=args.name,
            labels=pairs("--label", args.label),
            timeout=args.timeout,
            grace=args.grace,
            limits=limits(args),
            confinement=confinement(args),
        )
    except InvalidArgument as error:
        raise UsageError(str(error)) from None


def _environment(texts: list[str]) -> dict[str, str]:
    for text in texts:
        if "=" not in text and text not in os.environ:
            raise UsageError(f"--env: {text!r} has no value, and is not set in your environment")
    return pairs("--env", [text if "=" in text else f"{text}={os.environ[text]}" for text in texts])
