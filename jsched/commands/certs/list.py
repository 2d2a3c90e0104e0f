"""List every certificate that was issued, and whether it is good.

A state is valid, expires soon (within 30 days), expired, revoked, or untrusted: of a CA
that is not in the set any more. "revoked, not in the list" is what servers let in, though
it was revoked here: another program has written the revocation list.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from typing import Any

from jsched.ca.index import Entry, State, authorities, entries, standing
from jsched.commands.certs import options
from jsched.commands.certs.plain import plain

EXAMPLES = """
jsched certs list
jsched certs list -o json
"""

_SHORT_SERIAL = 12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the directory and the form."""
    options.add_dir(parser)
    options.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """List the CAs, then what they have issued, the oldest first."""
    root = options.set_directory(args)
    now, judge = datetime.now(UTC), standing(root)
    found = [(one, judge.state(one.certificate, now)) for one in (*authorities(root), *entries(root))]
    if args.output == "json":
        print(json.dumps([_as_json(entry, state) for entry, state in found], indent=2))
    else:
        print(_table(found), end="")
    if unlisted := [entry for entry, state in found if state is State.UNLISTED]:
        _warn(unlisted)
    return 0


def _warn(unlisted: list[Entry]) -> None:
    names = ", ".join(dict.fromkeys(plain(entry.name) for entry in unlisted))
    print(
        f"Warning: {names} {'was' if len(unlisted) == 1 else 'were'} revoked here, and the revocation list says "
        "nothing of it: servers that read this list let them in\n"
        f"put it back: jsched certs revoke {plain(unlisted[0].name)}; then make lists with one program alone "
        "(docs/certificates.md, With openssl alone)",
        file=sys.stderr,
    )


def _as_json(entry: Entry, state: State) -> dict[str, Any]:
    certificate = entry.certificate
    return {
        "name": entry.name,
        "kind": entry.kind.value,
        "role": entry.role or None,
        "serial": entry.serial,
        "not_before": certificate.not_valid_before_utc.isoformat().replace("+00:00", "Z"),
        "not_after": certificate.not_valid_after_utc.isoformat().replace("+00:00", "Z"),
        "state": state.value,
    }


def _table(found: list[tuple[Entry, State]]) -> str:
    rows: list[tuple[str, ...]] = [("NAME", "KIND", "ROLE", "SERIAL", "VALID UNTIL", "STATE")]
    for entry, state in found:
        cells = (entry.name, entry.kind.value, entry.role or "-", entry.serial[:_SHORT_SERIAL])
        rows.append((*map(plain, cells), f"{entry.until:%Y-%m-%d}", state.value))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "".join(f"{line.rstrip()}\n" for line in lines)
