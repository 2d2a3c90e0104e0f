"""A walk over the lines of a trail: each one's number and hash against the line before.

A line that was changed, put in, moved or taken out shows, and so does a file that is missing.
What does not show by itself is an end that was cut off, or a chain that was made anew from some
line on: that takes an anchor, a number and a hash that were written down elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from jsched.audit import chain
from jsched.audit.chain import ORIGIN, Line, Link


class Place(NamedTuple):
    """A line of a file, counted from 1."""

    file: str
    number: int

    def __str__(self) -> str:
        return f"{self.file} line {self.number}"


class Finding(NamedTuple):
    """Something to be said of a place: what is wrong there, or worth knowing."""

    place: Place | None
    text: str


@dataclass(slots=True)
class Report:
    """What was found: nothing is wrong if there are no problems."""

    files: int = 0
    lines: int = 0
    first: Line | None = None
    last: Line | None = None
    problems: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)


class Walk:
    """A walk over the lines of a trail, from the oldest on.

    Of `anchors` those count whose lines are there, or should be; the lines of `expected` have to be there.
    """

    def __init__(self, anchors: Iterable[Link], expected: Iterable[Link] = ()) -> None:
        self._report = Report()
        self._anchors: dict[int, set[str]] = {}
        self._expected = set(expected)
        for anchor in {*anchors, *self._expected}:
            self._anchors.setdefault(anchor.seq, set()).add(anchor.hash)
        self._last: Link = ORIGIN
        self._last_place: Place | None = None
        # Where the hash did not fit: the line before, or the line itself, whichever the next one tells.
        self._doubt: tuple[Place, Place] | None = None
        # Of the last line it was said already that it was changed.
        self._excused = False
        self._strange: list[tuple[Place, bytes]] = []
        self._removed: set[Link] = set()

    def begin_file(self) -> None:
        """Take the next file."""
        self._report.files += 1

    def take(self, place: Place, text: bytes) -> None:
        """Take the next line."""
        line = chain.read(text)
        if line is None:
            self._strange.append((place, text))
            return
        self._skip(place, line)
        if self._has_other_number(place, line):
            self._last, self._last_place, self._excused = Link(self._last.seq + 1, line.link.hash), place, True
        elif self._follows(place, line):
            self._compare(place, line)
            self._last, self._last_place = line.link, place
            self._report.last = line
        self._report.lines += 1
        if line.fields.get("event") == "trail_removed":
            self._removed.add(chain.parse_anchor(str(line.fields.get("anchor"))) or ORIGIN)

    def end(self, *, whole: bool) -> Report:
        """Return the report; with `whole`, the trail has to have its beginning as well as its end."""
        self._blame(None)
        if self._strange and not self._strange[-1][1].endswith(b"\n"):
            place, text = self._strange.pop()
            self._note(place, f"is cut off after {len(text)} bytes: a crash, or it is just being written")
        self._tell_strange("is no line of the trail: it was changed, put in or damaged")
        if whole:
            self._check_beginning()
            self._check_early_anchors()
        self._check_end(whole)
        return self._report

    def _skip(self, place: Place, line: Line) -> None:
        """Compare what stands between two lines with what the second one says of it."""
        if line.skipped is None:
            return
        data = b"".join(text for _, text in self._strange)
        inner = data.removesuffix(b"\n")
        # Whoever has changed a line may have made it tell of nothing at all.
        if not self._strange or line.skipped not in (chain.skipping(data), chain.skipping(inner)):
            self._problem(place, f"{line.skipped.bytes} bytes that stood before it are missing, or were changed")
            return
        first, self._strange = self._strange[0][0], []
        size = line.skipped.bytes
        if line.link.seq == 1:
            self._note(first, f"to here {size} bytes of a version without a chain, which the next line vouches for")
        elif b"\n" not in inner and line.skipped == chain.skipping(inner):
            self._note(first, f"was cut off after {size} bytes when a server ended; the next line says so")
        else:
            self._problem(first, f"{size} bytes are no lines of the trail; a server found them when it started")

    def _has_other_number(self, place: Place, line: Line) -> bool:
        """Return whether a line that goes on from the last one has a number that does not, and say so."""
        wanted = self._last.seq + 1
        if self._report.first is None or self._strange or line.prev != self._last.hash or line.link.seq == wanted:
            return False
        self._problem(place, f"was changed: it has the number {line.link.seq}, and follows {self._last.seq}")
        return True

    def _follows(self, place: Place, line: Line) -> bool:
        """Return whether the line goes on from the last one, and say what is wrong with its number."""
        if self._report.first is None:
            self._report.first = line
            self._tell_strange("is no line of the trail: it was changed, put in or damaged")
            self._last = Link(line.link.seq - 1, line.prev)
            return True
        gap = line.link.seq - self._last.seq - 1
        if gap < 0:
            self._problem(place, f"has the number {line.link.seq} after {self._last.seq}: it was moved or put in")
            return False
        if gap == len(self._strange):
            if gap:
                self._blame(None)
                self._tell_strange("can't be read: it was changed or damaged")
                self._last = Link(line.link.seq - 1, line.prev)
            return True
        self._tell_strange("is no line of the trail: it was changed, put in or damaged")
        if gap:
            self._blame(None)
            lost = (
                f"the lines {self._last.seq + 1} to {line.link.seq - 1} are"
                if gap > 1
                else f"line {line.link.seq - 1} is"
            )
            self._problem(place, f"has the number {line.link.seq}: {lost} missing before it")
            self._last = Link(line.link.seq - 1, line.prev)
        return True

    def _compare(self, place: Place, line: Line) -> None:
        fits = line.prev == self._last.hash
        doubted = self._doubt is not None
        self._blame(fits)
        if not fits and not doubted and not self._excused and self._last_place is not None:
            self._doubt = self._last_place, place
        self._excused = False
        known = self._anchors.get(line.link.seq)
        if known and line.link.hash not in known:
            self._problem(place, f"is not the line {line.link.seq} that was written: an anchor has another hash")

    def _blame(self, fits: bool | None) -> None:
        """Say which of two lines was changed, now that the next one fits the second, does not, or is not there."""
        if self._doubt is None:
            return
        (before, after), self._doubt = self._doubt, None
        if fits:
            self._problem(before, "was changed: its hash is not the one that the next line has")
        elif fits is False:
            self._problem(after, "was changed: neither the line before nor the next one fits it")
        else:
            self._problem(before, "was changed, or the next one was: their hashes do not fit")

    def _check_beginning(self) -> None:
        first = self._report.first
        if first is None:
            return
        before = Link(first.link.seq - 1, first.prev)
        if before in ({ORIGIN} | self._removed) or before.hash in self._anchors.get(before.seq, ()):
            if before != ORIGIN:
                self._note(
                    None, f"the trail begins with line {first.link.seq}: what was before was removed or is vouched for"
                )
        elif before.seq:
            self._problem(
                None, f"the beginning is missing: the first line that is here has the number {first.link.seq}"
            )
        else:
            self._problem(None, "the first line was changed: it does not have the hash that a trail begins with")

    def _check_early_anchors(self) -> None:
        """Say which anchors are of lines before the first one, which nothing here can be compared with."""
        first = self._report.first
        if first is None:
            return
        early = 0
        for seq in sorted(seq for seq in self._anchors if seq < first.link.seq):
            for anchor in sorted(Link(seq, value) for value in self._anchors[seq]):
                if seq == first.link.seq - 1:
                    if anchor.hash != first.prev:
                        self._problem(None, f"line {seq} was not the one that the first line follows: {anchor}")
                elif anchor in self._expected:
                    self._problem(
                        None, f"the anchor {anchor} can't be checked: the trail begins with line {first.link.seq}"
                    )
                else:
                    early += 1
        if early:
            which = "1 anchor is of a line" if early == 1 else f"{early} anchors are of lines"
            self._note(None, f"{which} before the first one, and not checked")

    def _check_end(self, whole: bool) -> None:
        furthest = max(self._anchors, default=0)
        # The end of a file that was just begun does not tell.
        if furthest > self._last.seq and (whole or self._report.lines):
            self._problem(
                None,
                f"the end was cut off: the last line has the number {self._last.seq}, and there was a line {furthest}",
            )

    def _tell_strange(self, text: str) -> None:
        strange, self._strange = self._strange, []
        for place, _ in strange:
            self._problem(place, text)

    def _problem(self, place: Place | None, text: str) -> None:
        self._report.problems.append(Finding(place, text))

    def _note(self, place: Place | None, text: str) -> None:
        self._report.notes.append(Finding(place, text))
