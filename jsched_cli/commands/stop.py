"""End a job and everything that it started.

The job gets SIGTERM, and after the grace period its whole process tree gets SIGKILL. The
answer comes when nothing of it is left. Stopping a job that has ended is no error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jsched_cli.flags import add_job, add_output, connect, duration
from jsched_cli.output import as_json, print_json, print_line, say, summary

if TYPE_CHECKING:
    import argparse

    from jsched.commandline import Parser

EXAMPLES = """
jsched-cli stop 4f0c81d2
jsched-cli stop --grace 0 nightly
"""


def add_arguments(parser: Parser) -> None:
    """Add the arguments of `stop`."""
    add_job(parser)
    parser.add_argument(
        "--grace",
        type=duration,
        metavar="DURATION",
        help="time between SIGTERM and SIGKILL (what the job was started with), 0 for SIGKILL at once",
    )
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Stop a job."""
    with connect(args) as client:
        result = client.stop(args.job, args.grace)
    job = result.job
    if args.output == "json":
        print_json({**as_json(job), "already_ended": result.already_ended})
    elif result.already_ended:
        print_line(f"JobID: {job.id} already ended: {summary(job)}")
    else:
        print_line(f"JobID: {job.id} {job.state.value}")
        if job.forced and args.grace != 0:
            say("the job did not end within the grace period: SIGKILL was needed")
    return 0
