"""Wait for a job's end, and end as it did.

The exit code is the job's own, 128+n if signal n ended it, and 125 if the job could not be
started, if nobody recorded how it ended, or if jsched-cli itself failed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jsched_cli.errors import job_exit_code
from jsched_cli.flags import add_job, add_output, add_reconnect, connect
from jsched_cli.output import as_json, print_json
from jsched_cli.streaming import lost, say_ending

if TYPE_CHECKING:
    import argparse

    from jsched.commandline import Parser

EXAMPLES = """
jsched-cli wait 4f0c81d2 && echo done
"""


def add_arguments(parser: Parser) -> None:
    """Add the arguments of `wait`."""
    add_job(parser)
    add_output(parser)
    add_reconnect(parser)


def run(args: argparse.Namespace) -> int:
    """Wait for a job."""
    with connect(args) as client:
        job = client.wait(args.job, on_reconnect=lost)
    if args.output == "json":
        print_json(as_json(job))
    else:
        say_ending(job)
    return job_exit_code(job)
