r"""Output on a terminal: what people read is left as it is, what a terminal would act on becomes text.

Line breaks, tabs and colours pass. Everything else with which output could move the cursor, set
the title or the clipboard, make the terminal answer, or turn the direction of text is shown as in
Python's string literals (`\x1b`, `\u202e`), and so are bytes that are not UTF-8. A carriage return
begins a new line: nothing that was printed is written over.
"""

from __future__ import annotations

import codecs
import re
from collections import deque

RESET = b"\x1b[0m"

# The longest parameters of a colour that are looked at: 38:2::R:G:B for text, background and underline.
_LONGEST = 60
# What needs no second look.
_PLAIN = bytes(range(0x20, 0x7F)) + b"\t\n"
# ECMA-48, 8.3.117, and ISO 8613-6 for 38 and 48. Not: blinking, concealed text, other fonts.
_NUMBER = r"(?:[0-9]{1,3})"
_RGB = rf";2(?:;{_NUMBER}){{3}}|:2(?::{_NUMBER}?)?(?::{_NUMBER}){{3}}"
_COLOUR_OF = rf"[345]8(?:[;:]5[;:]{_NUMBER}|{_RGB})"
_ATTRIBUTE = rf"(?:{_COLOUR_OF}|0?[0-37]|0?4(?::[0-5])?|9|2[1-9]|[34][0-79]|59|9[0-7]|10[0-7])?"
_COLOUR = re.compile(rf"{_ATTRIBUTE}(?:;{_ATTRIBUTE})*")
_ENDS_ALL = re.compile(rf"(?:{_ATTRIBUTE};)*0*")
# Controls; soft hyphen; marks of direction, invisible and separating ones; tags.
# One set of characters at the beginning: that is what `re` looks for quickly.
_SPECIAL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
    rf"(?:(?<=\x1b)\[([0-9;:]{{0,{_LONGEST}}})m|(?<=\r)\r*\n?)?"
)
# What may become a colour when more comes.
_BEGUN = re.compile(rf"\x1b(?:\[[0-9;:]{{0,{_LONGEST}}})?\Z")
# A colour that is set stays set until all are ended; of more than these the oldest is forgotten.
_MOST_COLOURS = 16


class TerminalFilter:
    """Makes a stream of bytes harmless for a terminal, however it is cut into pieces.

    `encoding` is that of the terminal; what it lacks is shown as in Python's string literals.
    """

    def __init__(self, encoding: str = "utf-8") -> None:
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._held = ""
        self._after_return = False
        self._colours: deque[str] = deque(maxlen=_MOST_COLOURS)

    def feed(self, data: bytes) -> bytes:
        """Return what can be shown of all that has come; the beginning of a character or colour is held back."""
        if not (self._held or self._after_return) and not data.translate(None, _PLAIN) and not self._begun_character():
            return data
        return self._show(self._decoder.decode(data), final=False)

    def finish(self) -> bytes:
        """Return what was held back; afterwards the terminal is as it was before."""
        rest = self._show(self._decoder.decode(b"", final=True), final=True)
        return rest + RESET if self._colours else rest

    @property
    def colours(self) -> bytes:
        """The colours that are set now; a terminal that has been reset shows them again after these bytes."""
        return "".join(self._colours).encode("ascii")

    def _begun_character(self) -> bool:
        return bool(self._decoder.getstate()[0])

    def _show(self, text: str, *, final: bool) -> bytes:
        text, self._held = self._held + text, ""
        if self._after_return:
            rest = text.lstrip("\r")
            self._after_return = not rest
            text = rest.removeprefix("\n")
        if not final and (begun := _BEGUN.search(text, max(len(text) - _LONGEST - 2, 0))) is not None:
            text, self._held = text[: begun.start()], begun[0]
        return _SPECIAL.sub(self._replace, text).encode(self._encoding, "backslashreplace")

    def _replace(self, match: re.Match[str]) -> str:
        found = match[0]
        if (parameters := match[1]) is not None and _COLOUR.fullmatch(parameters):
            if _ENDS_ALL.fullmatch(parameters):
                self._colours.clear()
            else:
                self._colours.append(found)
            return found
        if found[0] == "\r":
            self._after_return = match.end() == len(match.string) and found[-1] == "\r"
            return "\n"
        return found[0].encode("unicode_escape").decode("ascii") + found[1:]
