"""Arguments: argparse's parsing, with errors that are raised and help pages as cobra's users know them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from jsched.commandline.layout import WIDTH, columns
from jsched.errors import JschedError


class UsageError(JschedError):
    """The command line itself is wrong; the exit code is 2."""

    kind = "usage"

    def __init__(self, message: str, *, suggestions: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.suggestions = suggestions


class HelpWanted(Exception):
    """-h was met; what stands after it does not matter."""


class _Help(argparse.Action):
    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        raise HelpWanted


def _unused_formatter(prog: str) -> argparse.HelpFormatter:
    # Every add_argument makes one, to see whether the metavar fits; without a width it looks
    # for the terminal's, with imports that cost a twentieth of a command's start.
    return argparse.HelpFormatter(prog, width=WIDTH)


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that raises UsageError and never exits, and prints help in cobra's form."""

    def __init__(self, prog: str, summary: str = "", examples: str = "") -> None:
        super().__init__(
            prog, add_help=False, allow_abbrev=False, exit_on_error=False, formatter_class=_unused_formatter
        )
        self.summary = summary
        self.examples = examples
        self.rest: tuple[str, str] | None = None
        self.global_flags: list[argparse.Action] = []
        self.add_argument("-h", "--help", action=_Help, nargs=0, help=f"help for {prog.rpartition(' ')[2]}")

    def add_command(self, dest: str, usage: str) -> None:
        """End the flags at the first word that is none: it and all after it, untouched, go to `dest`."""
        self.rest = (dest, usage)

    def parse(self, words: Sequence[str], namespace: argparse.Namespace) -> argparse.Namespace:
        """Parse `words` into `namespace`; what is set there already is a default. Raises UsageError."""
        if self.rest is not None:
            flags, rest = split_flags(self, words)
            if rest[:1] == ["--"]:
                rest = rest[1:]
            if not rest:
                self._parse(flags, namespace)
                raise UsageError(f"missing argument: {self.rest[1].split()[0]}")
            setattr(namespace, self.rest[0], rest)
            return self._parse(flags, namespace)
        return self._parse(words, namespace)

    def _parse(self, words: Sequence[str], namespace: argparse.Namespace) -> argparse.Namespace:
        try:
            _, extra = self.parse_known_args(words, namespace)
        except argparse.ArgumentError as error:
            raise UsageError(_explain(error)) from None
        for word in extra:
            if word.startswith("-") and word != "-":
                raise UsageError(f"unknown flag: {word.partition('=')[0]}")
            raise UsageError(f'unexpected argument "{word}"')
        return namespace

    def error(self, message: str) -> NoReturn:
        """Raise UsageError; argparse would print and exit."""
        raise UsageError(message.replace("the following arguments are required:", "missing argument:"))

    def format_help(self) -> str:
        """Return the help page: summary, usage, examples, flags."""
        own = [action for action in self._actions if action not in self.global_flags]
        parts = [self.summary, f"Usage:\n  {self._usage_line(own)}"]
        if arguments := [action for action in own if not action.option_strings and action.help]:
            parts.append("Arguments:\n" + columns([(str(a.metavar or a.dest), a.help or "") for a in arguments]))
        if self.examples:
            lines = [line.strip() for line in self.examples.strip().splitlines()]
            parts.append("Examples:\n" + "\n".join(f"  {line}".rstrip() for line in lines))
        for title, actions in (("Flags", own), ("Global Flags", self.global_flags)):
            if flags := [action for action in actions if action.option_strings]:
                parts.append(f"{title}:\n" + columns([(flag(action), action.help or "") for action in flags]))
        return "\n\n".join(part for part in parts if part) + "\n"

    def _usage_line(self, own: Sequence[argparse.Action]) -> str:
        words = [self.prog, "[flags]"]
        for action in own:
            if not action.option_strings:
                name = str(action.metavar or action.dest)
                name += "..." if action.nargs in ("*", "+") else ""
                words.append(f"[{name}]" if action.nargs in ("?", "*") else name)
        if self.rest is not None:
            words += ["[--]", self.rest[1]]
        return " ".join(words)


def split_flags(parser: argparse.ArgumentParser, words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split `words` before the first that is neither a flag nor a flag's value.

    Flags come back with their value joined to them, so that a value may begin with a dash.
    """
    known = parser._option_string_actions
    flags: list[str] = []
    position = 0
    while position < len(words):
        word = words[position]
        if word in ("-", "--") or not word.startswith("-"):
            break
        position += 1
        if _wants_value(known, word) and position < len(words):
            word += ("=" if word.startswith("--") else "") + words[position]
            position += 1
        flags.append(word)
    return flags, list(words[position:])


def _wants_value(known: dict[str, argparse.Action], word: str) -> bool:
    """Whether the word after `word` is its value: `--name`, `-n` and `-qn` do, `--name=x` and `-nx` don't."""
    if word.startswith("--"):
        return word in known and known[word].nargs != 0
    for position, letter in enumerate(word[1:], start=2):
        action = known.get(f"-{letter}")
        if action is None:
            return False
        if action.nargs != 0:
            return position == len(word)
    return False


def _explain(error: argparse.ArgumentError) -> str:
    name = (error.argument_name or "").rpartition("/")[2]
    ignored = "ignored explicit argument "
    message = error.message.replace(ignored, "takes no value, but was given ").replace(
        "expected one argument", "a value is missing"
    )
    return f"{name}: {message}" if name else message


def flag(action: argparse.Action) -> str:
    """Return a flag as a help page shows it, with the name of its value."""
    short = next((name for name in action.option_strings if not name.startswith("--")), "")
    long = next((name for name in action.option_strings if name.startswith("--")), "")
    value = "" if action.nargs == 0 else f" {action.metavar or action.dest.upper()}"
    return (f"{short}, {long}" if short and long else short or f"    {long}") + value
