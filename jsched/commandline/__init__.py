"""The command line of both programs: a registry of verbs, parsing by argparse, manners as cobra's."""

from __future__ import annotations

from jsched.commandline.parser import Parser, UsageError, split_flags
from jsched.commandline.program import Program, Verb
from jsched.commandline.stderr import one_line, report

__all__ = ["Parser", "Program", "UsageError", "Verb", "one_line", "report", "split_flags"]
