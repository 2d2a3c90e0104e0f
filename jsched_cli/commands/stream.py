"""Show a job's output from its first byte to its end.

The bytes are written as they are and as soon as they come, and nothing else goes to stdout.
On a terminal, what it would act on is shown as text, colours apart; --raw leaves it in.
If the server goes away, the output goes on at the byte where it was once it is back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jsched_cli.flags import add_job, add_raw, add_reconnect, connect
from jsched_cli.streaming import copy_output

if TYPE_CHECKING:
    import argparse

    from jsched.commandline import Parser

EXAMPLES = """
jsched-cli stream 4f0c81d2
jsched-cli stream nightly | grep -i error
"""


def add_arguments(parser: Parser) -> None:
    """Add the arguments of `stream`."""
    add_job(parser)
    add_raw(parser)
    add_reconnect(parser)


def run(args: argparse.Namespace) -> int:
    """Stream a job's output."""
    with connect(args) as client:
        copy_output(client, args.job, raw=args.raw)
    return 0
