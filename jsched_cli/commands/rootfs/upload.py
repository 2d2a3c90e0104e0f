"""Upload a root file system for jobs to run in.

The archive is tar, plain or compressed with gzip, xz or zstd, or an image archive as
`docker save` and `skopeo copy oci-archive:` write them. An upload that was cut off goes on
where it was when the same file is uploaded again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jsched_cli.entry import raise_interrupts
from jsched_cli.flags import add_output, add_reconnect, connect
from jsched_cli.output import print_json, print_line
from jsched_cli.progress import Progress
from jsched_cli.rootfs import as_json
from jsched_cli.streaming import lost

if TYPE_CHECKING:
    import argparse

    from jsched.commandline import Parser
    from jsched.errors import JschedError

EXAMPLES = """
jsched-cli rootfs upload --file alpine.tar.gz --name alpine
docker save debian:12 -o debian.tar && jsched-cli rootfs upload --file debian.tar --name debian-12
"""


def add_arguments(parser: Parser) -> None:
    """Add the flags of `rootfs upload`."""
    parser.add_argument("-f", "--file", required=True, metavar="FILE", help="the archive")
    parser.add_argument(
        "-n", "--name", required=True, metavar="NAME", help="its name: lower-case letters, digits, '.', '_' and '-'"
    )
    add_reconnect(parser)
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Upload an archive."""
    with connect(args) as client, Progress() as progress:
        # The bar has to go from the terminal.
        raise_interrupts()

        def on_reconnect(error: JschedError, attempt: int) -> None:
            progress.clear()
            lost(error, attempt)

        rootfs = client.rootfs.upload(args.file, args.name, on_progress=progress.show, on_reconnect=on_reconnect)
    if args.output == "json":
        print_json(as_json(rootfs))
    else:
        print_line(f"Rootfs: {rootfs.name} uploaded, digest {rootfs.digest}")
    return 0
