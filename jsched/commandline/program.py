"""A command with verbs, each imported only when it is asked for."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jsched.commandline.layout import columns
from jsched.commandline.parser import HelpWanted, Parser, UsageError, flag, split_flags
from jsched.commandline.stderr import one_line, report, silence
from jsched.commandline.stdout import written
from jsched.errors import Internal, JschedError

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 128 + 2
DEBUG_VARIABLE = "JSCHED_DEBUG"


class Verb(NamedTuple):
    """A verb (one word or several), the module that does it, and what it does in a few words.

    The module has `add_arguments(parser)` and `run(args) -> int`, and may have `EXAMPLES`
    (lines for the help page) and a docstring, whose text is the page's beginning.
    """

    name: str
    module: str
    summary: str


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
            with written():
                pass
        except KeyboardInterrupt:
            return EXIT_INTERRUPTED
        except BrokenPipeError:
            silence(sys.stdout)
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
        except HelpWanted:
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
        except HelpWanted:
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
        flags = [(flag(action), action.help or "") for action in self._global_parser()._actions]
        prefix = " ".join([self.name, *family])
        return "\n\n".join(
            [
                self.summary,
                f"Usage:\n  {prefix} [command] [flags]",
                f"Commands:\n{columns(rows)}",
                f"Flags:\n{columns(flags)}",
                *([self._epilog.strip()] if self._epilog else []),
                f'Use "{self.name} help COMMAND" for more about a command.\n',
            ]
        )

    def _version(self) -> str:
        from importlib.metadata import version

        return f"{self.name} version {version('jsched')}\n"

    @staticmethod
    def _print(text: str) -> int:
        with written():
            sys.stdout.write(text)
        return 0

    def _fail(self, error: JschedError) -> int:
        lines = [f"Error: {one_line(error.message)}"]
        if isinstance(error, UsageError):
            if error.suggestions:
                lines += ["", "Did you mean this?", *(f"\t{name}" for name in error.suggestions), ""]
            lines.append(f"Run '{' '.join(filter(None, (self.name, self._verb)))} --help' for usage.")
        elif error.hint:
            lines.append(one_line(error.hint))
        report("\n".join(lines))
        try:
            # What was printed before the error is the user's, too.
            if sys.stdout is not None:
                sys.stdout.flush()
        except OSError:
            silence(sys.stdout)
        if isinstance(error, UsageError):
            return EXIT_USAGE
        return self._exit_code(self._verb, error) if self._exit_code is not None else EXIT_FAILURE


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
