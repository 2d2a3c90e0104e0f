"""Start a job and print its id.

COMMAND and its arguments are given to the host as they are: no shell is involved, no
wildcard or variable is looked at. For a shell, start one: sh -c 'ls *.txt | wc -l'.
Flags end at COMMAND; what follows it is the command's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jsched.commandline import written
from jsched_cli.flags import add_output, connect
from jsched_cli.output import as_json, print_json, print_line
from jsched_cli.spec import add_spec, spec

if TYPE_CHECKING:
    import argparse

    from jsched.commandline import Parser

EXAMPLES = """
jsched-cli start make -j4
jsched-cli start --name nightly --timeout 2h --env LANG=C -- ./backup.sh --full
id=$(jsched-cli start -q sleep 60)
"""


def add_arguments(parser: Parser) -> None:
    """Add the flags of `start`."""
    parser.add_argument("-q", "--quiet", action="store_true", help="print the id alone")
    add_output(parser)
    add_spec(parser)


def run(args: argparse.Namespace) -> int:
    """Start a job."""
    wanted = spec(args)
    with connect(args) as client:
        job = client.start(wanted, request_id=args.request_id)
    with written(f"job {job.id} has been started all the same"):
        if args.output == "json":
            print_json(as_json(job))
        else:
            print_line(job.id if args.quiet else f"JobID: {job.id} started")
    return 0
