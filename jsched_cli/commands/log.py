"""Show what a job has printed up to now.

On a terminal, what it would act on is shown as text, colours apart; --raw leaves it in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jsched.commandline import UsageError
from jsched_cli.flags import add_job, add_raw, add_reconnect, connect
from jsched_cli.streaming import copy_output

if TYPE_CHECKING:
    import argparse

    from jsched.commandline import Parser

EXAMPLES = """
jsched-cli log 4f0c81d2 | tail
jsched-cli log -f --offset 1048576 nightly
"""


def add_arguments(parser: Parser) -> None:
    """Add the arguments of `log`."""
    add_job(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="stay until the job has ended, as stream does")
    parser.add_argument("--offset", type=int, default=0, metavar="BYTES", help="begin at this byte (0)")
    add_raw(parser)
    add_reconnect(parser)


def run(args: argparse.Namespace) -> int:
    """Show a job's log."""
    if not 0 <= args.offset < 2**64:
        raise UsageError(f"--offset: {args.offset} is not a number of bytes")
    with connect(args) as client:
        copy_output(client, args.job, offset=args.offset, follow=args.follow, raw=args.raw)
    return 0
