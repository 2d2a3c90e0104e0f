"""List jobs, newest first: those that run, or all."""

from __future__ import annotations

import sys
from itertools import islice
from typing import TYPE_CHECKING

from jsched.commandline import UsageError
from jsched.job import JobFilter
from jsched.state import LIVE_STATES, JobState
from jsched_cli.flags import add_output, connect, pairs
from jsched_cli.output import as_json, now, print_json, print_line, print_text, table

if TYPE_CHECKING:
    import argparse

    from jsched.commandline import Parser

EXAMPLES = """
jsched-cli list
jsched-cli list -a --state terminated --state failed
jsched-cli list -a --label team=build --limit 20 -o json
"""
_STATES = tuple(state.value for state in JobState)
_LARGEST_PAGE = 1000


def add_arguments(parser: Parser) -> None:
    """Add the flags of `list`."""
    parser.add_argument("-a", "--all", action="store_true", help="jobs that have ended, too")
    parser.add_argument(
        "--state",
        action="append",
        choices=_STATES,
        metavar="STATE",
        help=f"jobs in this state, or in one of several: {', '.join(_STATES)}",
    )
    parser.add_argument("-l", "--label", action="append", metavar="KEY=VALUE", help="jobs with this label")
    parser.add_argument("-n", "--name", metavar="NAME", help="jobs of this name")
    parser.add_argument("--owner", metavar="USER", help="jobs that this user started")
    parser.add_argument("--limit", type=int, metavar="N", help="at most so many jobs")
    parser.add_argument("-q", "--quiet", action="store_true", help="print ids alone")
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    """List jobs."""
    if args.limit is not None and args.limit < 1:
        raise UsageError(f"--limit: {args.limit} is less than 1")
    states = frozenset(JobState(value) for value in args.state or ())
    if not states and not args.all:
        states = LIVE_STATES
    wanted = JobFilter(states, args.owner, args.name, pairs("--label", args.label))
    with connect(args) as client:
        page_size = min(args.limit or _LARGEST_PAGE, _LARGEST_PAGE)
        jobs = list(islice(client.jobs(wanted, page_size=page_size), args.limit))
    if args.output == "json":
        print_json([as_json(job) for job in jobs])
    elif args.quiet:
        for job in jobs:
            print_line(job.id)
    else:
        print_text(table(jobs, now(), _width()))
    return 0


def _width() -> int | None:
    """Return the terminal's width; None if stdout is no terminal, and nothing needs to be cut."""
    if not sys.stdout.isatty():
        return None
    import shutil

    return shutil.get_terminal_size().columns
