"""The members of a tar archive, header by header, each looked at before anything of it is used.

The formats are ustar, pax, GNU and what came before them; headers are decoded by Python's
tarfile, but none of its reading or extracting is used. Sources: tar(5), pax(1).
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import NamedTuple

from jsched.archive.refusal import MEBIBYTE, Budget, Refused, shown
from jsched.archive.stream import PIECE, Stream

BLOCK = 512
FILE, HARD_LINK, SYMLINK, DIRECTORY = b"0", b"1", b"2", b"5"
# A pax header may carry extended attributes, each of up to 64 KiB; a name fits many times.
_MAX_EXTENSION = MEBIBYTE
# A name, a link's name, a pax header and a global one: more in a row serve nobody.
_MAX_EXTENSIONS = 8
# tar(1) fills its last record, which has 20 blocks unless it was told otherwise.
_MAX_PADDING = MEBIBYTE
# Ids above this become "nobody", the one that the kernel shows for ids it has no name for.
_MAX_ID, NOBODY = 65535, 65534
_LATEST = 2**33

_KINDS = {
    tarfile.REGTYPE: FILE,
    tarfile.AREGTYPE: FILE,
    tarfile.CONTTYPE: FILE,
    tarfile.LNKTYPE: HARD_LINK,
    tarfile.SYMTYPE: SYMLINK,
    tarfile.DIRTYPE: DIRECTORY,
}
_NOT_TAKEN = {
    tarfile.CHRTYPE: "it is a character device; make the archive without what is in /dev",
    tarfile.BLKTYPE: "it is a block device; make the archive without what is in /dev",
    tarfile.FIFOTYPE: "it is a FIFO",
    tarfile.GNUTYPE_SPARSE: "it is a sparse file; make the archive without --sparse",
    b"M": "it is a part of a file that began in another volume",
    b"V": "it is the label of a volume",
    b"D": "it is the list of an incremental dump",
}
# What a global header may not say of every member after it.
_OF_ONE_MEMBER = frozenset({b"path", b"linkpath", b"size"})


class Member(NamedTuple):
    """A member of the archive: its place (from 1), name, kind, owner and, for a link, its target; mtime in seconds."""

    number: int
    name: bytes
    kind: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    target: bytes


class Members:
    """The members of a tar archive in their order.

    While it is iterated, `content` gives the bytes of the member that came last; what is left
    of them is passed over. Raises Refused, naming the member, or the one that came before it.
    """

    def __init__(self, stream: Stream, budget: Budget) -> None:
        self._stream = stream
        self._budget = budget
        self._left = 0
        self._padding = 0
        self._number = 0
        self._last = b""
        self._is_tar = False
        self._global: dict[bytes, bytes] = {}

    def __iter__(self) -> Iterator[Member]:
        while (found := self._headers()) is not None:
            yield self._member(*found)

    def content(self) -> Iterator[bytes]:
        """Yield the content of the current file, piece by piece."""
        while self._left:
            data = self._stream.read(min(self._left, PIECE))
            if not data:
                raise Refused("the archive ends in the middle of this file")
            self._left -= len(data)
            yield data

    @property
    def offset(self) -> int:
        """Where in the uncompressed archive the current file's next byte is."""
        return self._stream.position

    def _headers(self) -> tuple[tarfile.TarInfo, dict[bytes, bytes]] | None:
        """Return the next member's header and its records, or None after the last; says where, if that is refused."""
        try:
            return self._next()
        except Refused as refusal:
            if not self._is_tar:
                raise
            place = f"after {member_shown(self._number, self._last)}" if self._number else "before member 1"
            raise refusal.inside(place) from None

    def _next(self) -> tuple[tarfile.TarInfo, dict[bytes, bytes]] | None:
        records: dict[bytes, bytes] = {}
        for _ in range(_MAX_EXTENSIONS):
            header = self._header()
            if header is None:
                if records:
                    raise Refused("the archive ends after the header of a member that does not come")
                self._end()
                return None
            if header.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
                records |= parse_records(self._extension(header))
            elif header.type == tarfile.XGLTYPE:
                self._add_global(parse_records(self._extension(header)))
            elif header.type == tarfile.GNUTYPE_LONGNAME:
                records[b"path"] = self._extension(header).split(b"\0", 1)[0]
            elif header.type == tarfile.GNUTYPE_LONGLINK:
                records[b"linkpath"] = self._extension(header).split(b"\0", 1)[0]
            else:
                return header, self._global | records
        raise Refused(f"more than {_MAX_EXTENSIONS} headers come before a member's own")

    def _header(self) -> tarfile.TarInfo | None:
        self._stream.skip(self._left + self._padding)
        self._left = self._padding = 0
        block = self._stream.read_exactly(BLOCK)
        if len(block) < BLOCK:
            raise self._damaged("the archive is cut off: its end mark is missing")
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            return None
        except (tarfile.HeaderError, ValueError, IndexError):
            raise self._damaged("the header is damaged") from None
        self._is_tar = True
        return header

    def _damaged(self, what: str) -> Refused:
        return Refused(what if self._is_tar else "this is not a tar archive")

    def _extension(self, header: tarfile.TarInfo) -> bytes:
        if header.size < 0:
            raise Refused(f"the size of a header's extension is {header.size} bytes, which is not possible")
        if header.size > _MAX_EXTENSION:
            raise Refused(
                f"a header's extension has {header.size} bytes, more than the {_MAX_EXTENSION} that are allowed",
                limit=True,
            )
        data = self._stream.read_exactly(header.size)
        self._stream.skip(-header.size % BLOCK)
        if len(data) < header.size:
            raise Refused("the archive is cut off in the middle of a header")
        return data

    def _add_global(self, records: dict[bytes, bytes]) -> None:
        if found := _OF_ONE_MEMBER & records.keys():
            raise Refused(f"a global header sets the {min(found).decode()} of all members")
        self._global |= records

    def _member(self, header: tarfile.TarInfo, records: dict[bytes, bytes]) -> Member:
        self._number += 1
        self._last = name = records.get(b"path") or header.name.encode("utf-8", "surrogateescape")
        try:
            self._budget.charge_entry()
            member = _decode(self._number, name, header, records)
        except Refused as refusal:
            raise refusal.inside(member_shown(self._number, name)) from None
        # What has no content has no size, or readers would not agree on where the next header is.
        self._left, self._padding = member.size, -member.size % BLOCK
        return member

    def _end(self) -> None:
        """Read to the end: a checksum may stand there, and nothing else than zeros."""
        padding = 0
        while data := self._stream.read(PIECE):
            padding += len(data)
            if data.strip(b"\0"):
                raise Refused("data follows the archive's end mark")
            if padding > _MAX_PADDING:
                raise Refused("too many zeros follow the archive's end mark", limit=True)


def member_shown(number: int, name: bytes) -> str:
    """Return how messages name a member."""
    return f"member {number} {shown(name)}"


def parse_records(data: bytes) -> dict[bytes, bytes]:
    """Return the records of a pax header: each its length, a space, a keyword, "=", a value and a line break.

    Raises Refused if it is anything else. An empty value stands for none.
    """
    records: dict[bytes, bytes] = {}
    position = 0
    while position < len(data):
        digits, space, _ = data[position : position + 21].partition(b" ")
        length = int(digits) if space and digits.isdigit() else 0
        record = data[position : position + length]
        keyword, equals, value = record[len(digits) + 1 :].partition(b"=")
        if len(record) < length or not record.endswith(b"\n") or not equals or not keyword:
            raise Refused("a pax header is damaged")
        records[keyword] = value[:-1]
        position += length
    return {keyword: value for keyword, value in records.items() if value}


def _decode(number: int, name: bytes, header: tarfile.TarInfo, records: dict[bytes, bytes]) -> Member:
    if any(keyword.startswith(b"GNU.sparse.") for keyword in records):
        raise Refused(_NOT_TAKEN[tarfile.GNUTYPE_SPARSE])
    kind = _KINDS.get(header.type)
    if kind is None:
        raise Refused(_NOT_TAKEN.get(header.type, f"it is of a kind that is not known, {header.type!r}"))
    size = _number(records, b"size", header.size)
    if size < 0 or (size and kind != FILE):
        raise Refused(f"its size is {size} bytes, which is not possible")
    target = records.get(b"linkpath") or header.linkname.encode("utf-8", "surrogateescape")
    return Member(
        number,
        name,
        kind,
        header.mode & 0o7777,
        _identity(_number(records, b"uid", header.uid)),
        _identity(_number(records, b"gid", header.gid)),
        size,
        min(max(_number(records, b"mtime", header.mtime), 0), _LATEST),
        target,
    )


def _number(records: dict[bytes, bytes], keyword: bytes, otherwise: int | float) -> int:
    text = records.get(keyword)
    if text is None:
        return int(otherwise)
    whole, _, fraction = text.partition(b".")
    if not whole.removeprefix(b"-").isdigit() or len(whole) > 20 or (fraction and not fraction.isdigit()):
        raise Refused(f"its {keyword.decode()} is not a number")
    return int(whole)


def _identity(number: int) -> int:
    return number if 0 <= number <= _MAX_ID else NOBODY
