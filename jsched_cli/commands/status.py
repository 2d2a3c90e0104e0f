"""Show what is known of a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jsched_cli.flags import add_job, add_output, connect
from jsched_cli.output import as_json, details, now, print_json, print_line, print_text, summary

if TYPE_CHECKING:
    import argparse

    from jsched.commandline import Parser

EXAMPLES = """
jsched-cli status 4f0c81d2
jsched-cli status -o json nightly | jq .state
"""


def add_arguments(parser: Parser) -> None:
    """Add the arguments of `status`."""
    add_job(parser)
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Show a job."""
    with connect(args) as client:
        job = client.get(args.job)
    if args.output == "json":
        print_json(as_json(job))
    else:
        print_line(f"JobID: {job.id} {summary(job)}")
        print_text(details(job, now()))
    return 0
