"""On which line of a TOML text each key stands: tomllib reads the values, and does not say where they were."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from types import MappingProxyType

# The way to a value from the top: names of keys, and positions in arrays.
Path = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACES = re.compile(r"[ \t]*")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:""|")?'
    r"|'''.*?'''(?:''|')?"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_KEY = re.compile(r"""(?:"(?:\\.|[^"\\\n])*"|'[^'\n]*'|[A-Za-z0-9_-]+|[ \t]*\.[ \t]*)+""")
# A number, a date (which may have a space in it) or a word.
_BARE = re.compile(r"[^,\]}\n#]+")


def key_lines(text: str) -> Mapping[Path, int]:
    """Return the line, from 1, of every key, table and array element of a TOML text.

    The text has to be one that tomllib accepts: what is not TOML is not found out here.
    Source: https://toml.io/en/v1.0.0
    """
    scan = _Scan(text.replace("\r\n", "\n"))
    scan.document()
    return MappingProxyType(scan.lines)


class _Scan:
    """One walk through a text."""

    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {}
        self._text = text
        self._at = 0
        self._counted_to = 0
        self._line = 1
        self._tables: dict[Path, int] = {}
        self._implied: set[Path] = set()

    def document(self) -> None:
        """Walk through the whole text."""
        table: Path = ()
        while True:
            self._skip(_BLANK)
            if self._at >= len(self._text):
                return
            if self._text.startswith("[[", self._at):
                table = self._header(2)
            elif self._text.startswith("[", self._at):
                table = self._header(1)
            else:
                self._pair(table)

    def _header(self, brackets: int) -> Path:
        self._at += brackets
        self._skip(_SPACES)
        path = self._inside(self._key())
        self._skip(_SPACES)
        if brackets == 2:
            position = self._tables.get(path, -1) + 1
            self._tables[path] = position
            self._note(path)
            path = (*path, position)
        for length in range(1, len(path)):
            if path[:length] not in self.lines:
                self._note(path[:length])
                self._implied.add(path[:length])
        if path in self._implied:
            # Its own header, which comes after that of a table in it, is where people look for it.
            self._implied.remove(path)
            del self.lines[path]
        self._note(path)
        self._at += brackets
        return path

    def _inside(self, names: tuple[str, ...]) -> Path:
        """Return where a header leads: in an array of tables, to what belongs to its last one."""
        path: Path = ()
        for number, name in enumerate(names, start=1):
            path = (*path, name)
            if number < len(names) and path in self._tables:
                path = (*path, self._tables[path])
        return path

    def _pair(self, table: Path) -> None:
        names = self._key()
        for count in range(1, len(names) + 1):
            self._note((*table, *names[:count]))
        self._skip(_SPACES)
        self._at += len("=")
        self._value((*table, *names))

    def _value(self, path: Path) -> None:
        self._skip(_SPACES)
        character = self._text[self._at]
        if character in "\"'":
            self._skip(_STRING)
        elif character == "[":
            self._array(path)
        elif character == "{":
            self._inline_table(path)
        else:
            self._skip(_BARE)

    def _array(self, path: Path) -> None:
        self._at += 1
        position = 0
        while not self._closed("]"):
            self._note((*path, position))
            self._value((*path, position))
            position += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        while not self._closed("}"):
            self._pair(path)

    def _closed(self, bracket: str) -> bool:
        """Step over what stands between elements; return whether the closing bracket was met, and over it."""
        self._skip(_BLANK)
        if self._text[self._at] == ",":
            self._at += 1
            self._skip(_BLANK)
        if self._text[self._at] != bracket:
            return False
        self._at += 1
        return True

    def _key(self) -> tuple[str, ...]:
        found = _KEY.match(self._text, self._at)
        assert found is not None, "the text is no TOML"
        names = []
        # Quotes, escapes and dots mean in a key what tomllib says.
        value: object = tomllib.loads(f"{found[0]} = 0")
        while isinstance(value, dict):
            ((name, value),) = value.items()
            names.append(name)
        self._note_line()
        self._at = found.end()
        return tuple(names)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self._text, self._at)
        assert found is not None, "the text is no TOML"
        self._at = found.end()

    def _note(self, path: Path) -> None:
        self._note_line()
        self.lines.setdefault(path, self._line)

    def _note_line(self) -> None:
        self._line += self._text.count("\n", self._counted_to, self._at)
        self._counted_to = self._at
