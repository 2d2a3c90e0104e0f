"""The command line of both programs: a registry of verbs, parsing by argparse, manners as cobra's."""

from __future__ import annotations

from jsched.commandline.parser import Parser, UsageError, split_flags
from jsched.commandline.program import Program, Verb
from jsched.commandline.stderr import one_line, report
from jsched.commandline.stdout import reserve_stdout, unwritable, written

__all__ = [
    "Parser",
    "Program",
    "UsageError",
    "Verb",
    "one_line",
    "report",
    "reserve_stdout",
    "split_flags",
    "unwritable",
    "written",
]
