"""The command line of both programs: a registry of verbs, each imported only when it is asked for.

Parsing is argparse's; the look and the manners are those that users of cobra programs know.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn, TextIO

from jsched.errors import Internal, JschedError

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 128 + 2
DEBUG_VARIABLE = "JSCHED_DEBUG"
_COLUMNS = 80


class Verb(NamedTuple):
    """A verb (one word or several), the module that does it, and what it does in a few words.

    The module has `add_arguments(parser)` and `run(args) -> int`, and may have `EXAMPLES`
    (lines for the help page) and a docstring, whose text is the page's beginning.
    """

    name: str
    module: str
    summary: str


class UsageError(JschedError):
    """The command line itself is wrong; the exit code is 2."""

    kind = "usage"

    def __init__(self, message: str, *, suggestions: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.suggestions = suggestions


class _HelpWanted(Exception):
    """-h was met; what stands after it does not matter."""


class _Help(argparse.Action):
    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        raise _HelpWanted


def _unused_formatter(prog: str) -> argparse.HelpFormatter:
    # Every add_argument makes one, to see whether the metavar fits; without a width it looks
    # for the terminal's, with imports that cost a twentieth of a command's start.
    return argparse.HelpFormatter(prog, width=_COLUMNS)


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
            parts.append("Arguments:\n" + _columns([(str(a.metavar or a.dest), a.help or "") for a in arguments]))
        if self.examples:
            lines = [line.strip() for line in self.examples.strip().splitlines()]
            parts.append("Examples:\n" + "\n".join(f"  {line}".rstrip() for line in lines))
        for title, actions in (("Flags", own), ("Global Flags", self.global_flags)):
            if flags := [action for action in actions if action.option_strings]:
                parts.append(f"{title}:\n" + _columns([(_flag(action), action.help or "") for action in flags]))
        return "\n\n".join(part for part in parts if part) + "\n"

    def _usage_line(self, own: Sequence[argparse.Action]) -> str:
        words = [self.prog, "[flags]"]
        for action in own:
            if not action.option_strings:
                name = str(action.metavar or action.dest)
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


class Program:
    """A command with verbs.

    `add_global_flags` adds flags that stand before or after the verb. `exit_code` chooses the
    exit code for an error in a verb (the verb is "" if none was reached); usage errors are
    always 2, and without `exit_code` every other error is 1.
    """

    def __init__(
        self,
        name: str,
        summary: str,
        verbs: Sequence[Verb],
        *,
        add_global_flags: Callable[[argparse.ArgumentParser], None] | None = None,
        exit_code: Callable[[str, JschedError], int] | None = None,
        epilog: str = "",
    ) -> None:
        self.name = name
        self.summary = summary
        self.verbs = verbs
        self._add_global_flags = add_global_flags
        self._exit_code = exit_code
        self._epilog = epilog
        self._verb = ""

    def run(self, argv: Sequence[str] | None = None) -> int:
        """Do what `argv` (the process's own by default) asks for and return the exit code; nothing is raised."""
        words = list(sys.argv[1:] if argv is None else argv)
        self._verb = ""
        try:
            code = self._dispatch(words)
            if sys.stdout is not None:
                sys.stdout.flush()
        except KeyboardInterrupt:
            return EXIT_INTERRUPTED
        except BrokenPipeError:
            _silence(sys.stdout)
            return 0
        except JschedError as error:
            return self._fail(error)
        except Exception as error:  # noqa: BLE001 - the one place that stands between a defect and the user
            return self._fail(_unexpected(error))
        return code

    def _dispatch(self, words: list[str]) -> int:
        before = self._global_parser()
        flags, rest = split_flags(before, words)
        try:
            args = before.parse(flags, argparse.Namespace())
        except _HelpWanted:
            return self._print(self._overview())
        if args.version:
            return self._print(self._version())
        if rest[:1] == ["help"]:
            return self._help(rest[1:])
        if not rest:
            return self._print(self._overview())
        if rest == ["version"]:
            return self._print(self._version())
        verb, rest = self._find(rest)
        if verb is None:
            return self._print(self._overview(rest))
        return self._run_verb(verb, rest, args)

    def _run_verb(self, verb: Verb, words: list[str], args: argparse.Namespace) -> int:
        self._verb = verb.name
        module = importlib.import_module(verb.module)
        parser = self._verb_parser(verb, module)
        try:
            parser.parse(words, args)
        except _HelpWanted:
            return self._print(parser.format_help())
        return int(module.run(args))

    def _help(self, words: list[str]) -> int:
        if not words:
            return self._print(self._overview())
        verb, rest = self._find(words)
        if verb is None:
            return self._print(self._overview(rest))
        return self._print(self._verb_parser(verb, importlib.import_module(verb.module)).format_help())

    def _find(self, words: list[str]) -> tuple[Verb | None, list[str]]:
        """Return the verb that `words` begin with, and the words after it.

        No verb, and the words again, if they are only the beginning of a verb of several words.
        """
        for verb in self.verbs:
            length = len(verb.name.split())
            if words[:length] == verb.name.split():
                return verb, words[length:]
        family = [verb for verb in self.verbs if verb.name.split()[0] == words[0]]
        if family and (len(words) == 1 or words[1] in ("-h", "--help")):
            return None, words[:1]
        typed = " ".join(words[:2] if family else words[:1])
        import difflib

        names = [verb.name for verb in self.verbs] + ["help", "version"]
        raise UsageError(f'unknown command "{typed}"', suggestions=difflib.get_close_matches(typed, names, cutoff=0.5))

    def _global_parser(self) -> Parser:
        parser = Parser(self.name)
        if self._add_global_flags is not None:
            self._add_global_flags(parser)
        parser.add_argument("--version", action="store_true", help=f"version of {self.name}")
        return parser

    def _verb_parser(self, verb: Verb, module: Any) -> Parser:
        first, _, more = (module.__doc__ or "").partition("\n")
        text = f"{first}\n{more}".strip() if more.strip() else first or verb.summary
        parser = Parser(f"{self.name} {verb.name}", text, getattr(module, "EXAMPLES", ""))
        module.add_arguments(parser)
        if self._add_global_flags is not None:
            count = len(parser._actions)
            self._add_global_flags(parser)
            parser.global_flags = parser._actions[count:]
        return parser

    def _overview(self, family: Sequence[str] = ()) -> str:
        shown = [verb for verb in self.verbs if verb.name.split()[: len(family)] == list(family)]
        rows = [(verb.name, verb.summary) for verb in shown]
        if not family:
            rows += [("help", "show the help of a command"), ("version", "show the version")]
        flags = [(_flag(action), action.help or "") for action in self._global_parser()._actions]
        prefix = " ".join([self.name, *family])
        return "\n\n".join(
            [
                self.summary,
                f"Usage:\n  {prefix} [command] [flags]",
                f"Commands:\n{_columns(rows)}",
                f"Flags:\n{_columns(flags)}",
                *([self._epilog.strip()] if self._epilog else []),
                f'Use "{self.name} help COMMAND" for more about a command.\n',
            ]
        )

    def _version(self) -> str:
        from importlib.metadata import version

        return f"{self.name} version {version('jsched')}\n"

    @staticmethod
    def _print(text: str) -> int:
        sys.stdout.write(text)
        return 0

    def _fail(self, error: JschedError) -> int:
        lines = [f"Error: {error.message}"]
        if isinstance(error, UsageError):
            if error.suggestions:
                lines += ["", "Did you mean this?", *(f"\t{name}" for name in error.suggestions), ""]
            lines.append(f"Run '{' '.join(filter(None, (self.name, self._verb)))} --help' for usage.")
        elif error.hint:
            lines.append(error.hint)
        report("\n".join(lines))
        try:
            # What was printed before the error is the user's, too.
            if sys.stdout is not None:
                sys.stdout.flush()
        except OSError:
            _silence(sys.stdout)
        if isinstance(error, UsageError):
            return EXIT_USAGE
        return self._exit_code(self._verb, error) if self._exit_code is not None else EXIT_FAILURE


def report(text: str) -> None:
    """Write lines to stderr; a stderr that is closed or full is nobody's error.

    Control characters other than line breaks and tabs are escaped: messages quote what
    others chose.
    """
    try:
        sys.stderr.write("".join(c if c.isprintable() or c in "\n\t" else _escape(c) for c in text) + "\n")
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        _silence(sys.stderr)


def _explain(error: argparse.ArgumentError) -> str:
    name = (error.argument_name or "").rpartition("/")[2]
    ignored = "ignored explicit argument "
    message = error.message.replace(ignored, "takes no value, but was given ").replace(
        "expected one argument", "a value is missing"
    )
    return f"{name}: {message}" if name else message


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _unexpected(error: Exception) -> JschedError:
    if os.environ.get(DEBUG_VARIABLE) == "1":
        import traceback

        report(traceback.format_exc().rstrip())
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return Internal(f"{where}{error.strerror}")
    text = " ".join(str(error).split())
    return Internal(
        f"internal error: {type(error).__name__}{': ' if text else ''}{text}",
        hint="" if os.environ.get(DEBUG_VARIABLE) == "1" else f"{DEBUG_VARIABLE}=1 shows where",
    )


def _silence(stream: TextIO | None) -> None:
    """Point a dead stream's descriptor at /dev/null: the interpreter flushes it once more at exit."""
    if stream is None:
        return
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
    except (OSError, ValueError):
        return


def _flag(action: argparse.Action) -> str:
    short = next((name for name in action.option_strings if not name.startswith("--")), "")
    long = next((name for name in action.option_strings if name.startswith("--")), "")
    value = "" if action.nargs == 0 else f" {action.metavar or action.dest.upper()}"
    return (f"{short}, {long}" if short and long else short or f"    {long}") + value


def _columns(rows: Sequence[tuple[str, str]]) -> str:
    """Lay out names and texts in two columns, the texts wrapped to the terminal's width."""
    import shutil
    import textwrap

    left = max(len(name) for name, _ in rows) + 3
    right = max(min(shutil.get_terminal_size((_COLUMNS, 24)).columns, 120) - left - 2, 30)
    lines = []
    for name, text in rows:
        wrapped = textwrap.wrap(text, right) or [""]
        lines.append(f"  {name:<{left}}{wrapped[0]}".rstrip())
        lines += [" " * (left + 2) + line for line in wrapped[1:]]
    return "\n".join(lines)
