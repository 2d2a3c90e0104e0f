"""List root file systems."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jsched_cli.flags import add_output, connect
from jsched_cli.output import now, print_json, print_text
from jsched_cli.rootfs import as_json, table

if TYPE_CHECKING:
    import argparse

    from jsched.commandline import Parser

EXAMPLES = """
jsched-cli rootfs list
jsched-cli rootfs list -o json
"""


def add_arguments(parser: Parser) -> None:
    """Add the flags of `rootfs list`."""
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    """List root file systems."""
    with connect(args) as client:
        found = client.rootfs.list()
    if args.output == "json":
        print_json([as_json(rootfs) for rootfs in found])
    else:
        print_text(table(found, now()))
    return 0
