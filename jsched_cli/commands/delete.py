"""Remove an ended job and its log file.

A running job is not removed: stop it first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jsched_cli.flags import add_job, connect
from jsched_cli.output import print_line

if TYPE_CHECKING:
    import argparse

    from jsched.commandline import Parser

EXAMPLES = """
jsched-cli delete 4f0c81d2
"""


def add_arguments(parser: Parser) -> None:
    """Add the arguments of `delete`."""
    add_job(parser)


def run(args: argparse.Namespace) -> int:
    """Delete a job."""
    with connect(args) as client:
        job_id = client.delete(args.job)
    print_line(f"JobID: {job_id} deleted")
    return 0
