from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest

from jsched.rootfs import Rootfs
from jsched_cli.progress import Progress
from jsched_cli.rootfs import as_json, size, table

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ALPINE = Rootfs("alpine", "0123456789ab" + "c" * 52, 7_654_321, 500, "al\x1bice", NOW, ("1" * 36, "2" * 36))


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (7_654_321, "7.3 MiB"), (2**40, "1.0 TiB"), (2**63, "8.0 EiB")],
)
def test_sizes_are_short(count: int, text: str) -> None:
    """A size is shown in the largest unit that it fills."""
    assert size(count) == text


def test_a_table_has_a_line_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names and users are made harmless, jobs shown by their first digits, and nobody's use is a dash."""
    shown = table([ALPINE, Rootfs("b", "d" * 64, 0, 0, "bob", NOW)], NOW + timedelta(hours=1)).splitlines()
    assert shown == [
        "NAME    DIGEST        SIZE     UPLOADED BY  AGE  USED BY",
        "alpine  0123456789ab  7.3 MiB  al\\x1bice    1h   11111111 22222222",
        "b       dddddddddddd  0 B      bob          1h   -",
    ]


def test_json_has_every_field() -> None:
    """JSON has sizes in bytes, times in RFC 3339 and whole ids."""
    assert as_json(ALPINE) == {
        "name": "alpine",
        "digest": ALPINE.digest,
        "size": 7_654_321,
        "entries": 500,
        "uploaded_by": "al\x1bice",
        "uploaded_at": "2026-01-02T03:04:05.000000Z",
        "used_by": ["1" * 36, "2" * 36],
    }


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        """Say so."""
        return True


def test_a_bar_grows_and_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bar shows what was sent, says when all was, is not drawn too often, and is wiped out at the end."""
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with Progress() as progress:
        progress.show(512, 2048)
        progress.show(600, 2048)
        progress.show(2048, 2048)
    drawn = terminal.getvalue().split("\r\x1b[K")
    assert drawn == [
        "",
        "[#######.......................]  25%  512 B of 2.0 KiB",
        "[##############################] 100%  unpacking",
        "",
    ]


def test_no_bar_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stderr that is a file gets nothing."""
    file = io.StringIO()
    monkeypatch.setattr("sys.stderr", file)
    with Progress() as progress:
        progress.show(1, 2)
        progress.show(2, 2)
    assert file.getvalue() == ""
