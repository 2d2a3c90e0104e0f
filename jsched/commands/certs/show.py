"""Show all that matters of certificates, private keys and revocation lists, and what jsched refuses about them.

FILE is in PEM or DER form and may hold several. Whether a certificate is signed by a CA of
the set and revoked is looked up in the set's directory, if there is one. Nothing of a
private key itself is shown.
"""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path

from jsched.ca.index import Standing, standing
from jsched.commands.certs import options
from jsched.commands.certs.contents import read_objects
from jsched.commands.certs.describe import Described, describe
from jsched.commands.certs.plain import plain
from jsched.errors import JschedError

EXAMPLES = """
jsched certs show clients/alice/alice.crt
jsched certs show /etc/jsched/certs/client-ca.crl -o json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the files and the form."""
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path, help="a file with certificates, keys or lists")
    options.add_dir(parser)
    options.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Show each thing in each file."""
    now, judge = datetime.now(UTC), _standing(args)
    shown = [(path, describe(one, path, judge, now)) for path in args.files for one in read_objects(path)]
    if args.output == "json":
        print(json.dumps([{"file": str(path), **one.as_json()} for path, one in shown], indent=2))
    else:
        print("\n".join(_text(path, one) for path, one in shown), end="")
    return 0


def _standing(args: argparse.Namespace) -> Standing | None:
    try:
        return standing(options.set_directory(args))
    except JschedError:
        # A directory that was named must be one; without a set there is just less to say.
        if args.dir is not None:
            raise
        return None


def _text(path: Path, described: Described) -> str:
    rows = described.rows
    width = max(len(name) for name, _ in rows)
    lines = [f"{path}: {described.title}"]
    for name, value in rows:
        values = [value] if isinstance(value, str) else value
        lines += [f"  {name if not number else '':<{width}}  {plain(one)}" for number, one in enumerate(values)]
    return "\n".join(line.rstrip() for line in lines) + "\n"
