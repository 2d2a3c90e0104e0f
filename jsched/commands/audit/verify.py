"""Say whether the audit trail is as it was written.

Every line has a number and the hash of the line before, so a line that was changed, put in, moved
or taken out is found, and so is a file that is missing. An end that was cut off, and a chain that
somebody has made anew, are found only with an anchor: the number and the hash of a line, as the
server says them in its own log and in audit.anchor beside the trail. Give those that were kept
where nobody who can change the trail can change them. An anchor of --expect, and the newest of
--anchors, has to be of a line that is there; that an older one was not checked is said. The exit
code is 1 if anything is wrong.

Without files the whole trail of the server is verified; files are to be given oldest first.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from jsched.audit import chain
from jsched.audit.chain import Line, Link
from jsched.audit.trail import Trail
from jsched.audit.verify import verify, verify_trail
from jsched.audit.walk import Finding, Report
from jsched.commandline import UsageError
from jsched.commands.audit import places
from jsched.errors import InvalidArgument, NotFound

EXAMPLES = """
jsched audit verify
jsched audit verify --data-dir .jsched
jsched audit verify --expect 4711:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
journalctl -u jsched | jsched audit verify --anchors -
"""

_MOST_SHOWN = 20
_TIME = re.compile(r"[0-9T:.Z-]{1,32}", re.ASCII)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the files and the anchors."""
    parser.add_argument("files", metavar="FILE", nargs="*", type=Path, help="a file of the trail, or its directory")
    places.add_flags(parser)
    parser.add_argument(
        "--expect",
        metavar="SEQ:HASH",
        action="append",
        default=[],
        help="an anchor that must be there; may be repeated",
    )
    parser.add_argument(
        "--anchors", metavar="FILE", help="take every anchor in a text such as the server's log; - is stdin"
    )


def run(args: argparse.Namespace) -> int:
    """Verify, and print what was found."""
    expected = [_anchor(text) for text in args.expect]
    anchors = [] if args.anchors is None else chain.find_anchors(_text(args.anchors))
    if anchors:
        # Lines of older ones may have been removed since; with none that is there, nothing would be checked.
        expected.append(max(anchors))
    try:
        report = _verify(args, anchors, expected)
    except OSError as error:
        raise NotFound(f"{error.filename} can't be read: {error.strerror}", obj=str(error.filename)) from None
    _show(report, len({*anchors, *expected}))
    return 1 if report.problems else 0


def _verify(args: argparse.Namespace, anchors: list[Link], expected: list[Link]) -> Report:
    """Verify the files, or the whole trail with the anchor beside it, which is added to `anchors`."""
    if args.files and not (len(args.files) == 1 and args.files[0].is_dir()):
        if directory := next(filter(Path.is_dir, args.files), None):
            raise UsageError(f"{directory} is a directory: give it alone, or files alone")
        return verify(args.files, anchors, expected)
    trail = Trail(args.files[0] / places.NAME) if args.files else places.trail_of(args)
    places.check(trail)
    beside = trail.anchor()
    anchors += [beside] if beside else []
    return verify_trail(trail, anchors, expected)


def _anchor(text: str) -> Link:
    anchor = chain.parse_anchor(text)
    if anchor is None:
        raise InvalidArgument(
            f"{text[:80]!r} is no anchor", obj="expect", hint="an anchor is SEQ:HASH, as the server's log has them"
        )
    return anchor


def _text(name: str) -> str:
    if name == "-":
        return sys.stdin.buffer.read().decode("utf-8", "replace")
    try:
        return Path(name).read_text("utf-8", "replace")
    except OSError as error:
        raise InvalidArgument(f"{name} can't be read: {error.strerror}", obj="anchors") from None


def _show(report: Report, anchors: int) -> None:
    print(f"files    {report.files}")
    if report.first is not None and report.last is not None:
        print(f"lines    {report.lines}, number {report.first.link.seq} to {report.last.link.seq}")
        print(f"time     {_time(report.first)} to {_time(report.last)}")
        print(f"end      {report.last.link}")
    print(f"anchors  {anchors or 'none: an end that was cut off, or a chain made anew, would not be seen'}")
    _show_findings("note", report.notes)
    _show_findings("WRONG", report.problems)
    if not report.problems:
        print("ok       the chain is whole")


def _show_findings(level: str, findings: list[Finding]) -> None:
    for place, text in findings[:_MOST_SHOWN]:
        print(f"{level:<8} {place} {text}" if place else f"{level:<8} {text}")
    if len(findings) > _MOST_SHOWN:
        print(f"{level:<8} and {len(findings) - _MOST_SHOWN} more")


def _time(line: Line) -> str:
    time = str(line.fields.get("time", ""))
    return time if _TIME.fullmatch(time) else "?"
