"""Remove a root file system.

While jobs run in it, it is not removed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jsched_cli.flags import connect
from jsched_cli.output import print_line

if TYPE_CHECKING:
    import argparse

    from jsched.commandline import Parser

EXAMPLES = """
jsched-cli rootfs delete alpine
"""


def add_arguments(parser: Parser) -> None:
    """Add the arguments of `rootfs delete`."""
    parser.add_argument("name", metavar="NAME", help="the root file system's name")


def run(args: argparse.Namespace) -> int:
    """Delete a root file system."""
    with connect(args) as client:
        rootfs = client.rootfs.delete(args.name)
    print_line(f"Rootfs: {rootfs.name} deleted")
    return 0
