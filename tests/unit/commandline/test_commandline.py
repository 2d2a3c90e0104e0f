"""The command line that both programs share."""

from __future__ import annotations

import argparse
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jsched.commandline import Parser, Program, Verb, report, split_flags
from jsched.errors import JschedError, NotFound

VERB_SOURCE = '''
"""Greet somebody.

Twice if wanted.
"""
EXAMPLES = "prog greet me"
def add_arguments(parser):
    parser.add_argument("who", metavar="WHO", help="whom to greet")
    parser.add_argument("-t", "--twice", action="store_true", help="say it twice")
    parser.add_argument("--times", type=int, metavar="N", help="how often")
def run(args):
    import os, errno
    from jsched.errors import NotFound
    match args.who:
        case "missing": raise NotFound("no such job: \\x1b[31mred\\nError: x", hint="look\\tagain")
        case "bug": raise RuntimeError("what\\never")
        case "pipe": raise BrokenPipeError
        case "interrupt": raise KeyboardInterrupt
        case "full": raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    print("hello", args.who, args.twice, args.server)
    return 7 if args.who == "seven" else 0
'''
RUN_SOURCE = '''
"""Run it."""
def add_arguments(parser):
    parser.add_argument("-q", "--quiet", action="store_true", help="less")
    parser.add_argument("-n", "--name", metavar="NAME", help="name")
    parser.add_command("command", "COMMAND [ARG...]")
def run(args):
    print(args.command, args.quiet, args.name, args.server)
    return 0
'''


def flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--server", metavar="HOST:PORT", help="where")


Run = Callable[..., int]


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Iterator[Program]:
    for name, source in (("verb_greet", VERB_SOURCE), ("verb_run", RUN_SOURCE)):
        module = types.ModuleType(name)
        exec(source, module.__dict__)
        monkeypatch.setitem(sys.modules, name, module)
    yield Program(
        "prog",
        "Does things.",
        [
            Verb("greet", "verb_greet", "greet somebody"),
            Verb("run", "verb_run", "run a command"),
            Verb("certs dev", "verb_that_is_not_there", "make certificates"),
        ],
        add_global_flags=flags,
        exit_code=lambda verb, error: 5 if isinstance(error, NotFound) else 9,
    )


@pytest.mark.parametrize("argv", [[], ["help"], ["--help"], ["-h"]])
def test_alone_it_lists_the_verbs(program: Program, capsys: pytest.CaptureFixture[str], argv: list[str]) -> None:
    """Without a verb the list of verbs goes to stdout, and no verb's module is imported for it."""
    assert program.run(argv) == 0
    out, err = capsys.readouterr()
    assert out.startswith("Does things.\n\nUsage:\n  prog [command] [flags]\n\nCommands:\n  greet")
    assert "--server HOST:PORT" in out
    assert "certs dev" in out
    assert err == ""


@pytest.mark.parametrize("argv", [["help", "greet"], ["greet", "--help"], ["greet", "-h"], ["greet", "a", "b", "-h"]])
def test_help_of_a_verb(program: Program, capsys: pytest.CaptureFixture[str], argv: list[str]) -> None:
    """A verb's help has its docstring, usage, examples, own and global flags."""
    assert program.run(argv) == 0
    assert capsys.readouterr().out == (
        "Greet somebody.\n\nTwice if wanted.\n\nUsage:\n  prog greet [flags] WHO\n\n"
        "Arguments:\n  WHO   whom to greet\n\nExamples:\n  prog greet me\n\n"
        "Flags:\n  -h, --help      help for greet\n  -t, --twice     say it twice\n      --times N   how often\n\n"
        "Global Flags:\n      --server HOST:PORT   where\n"
    )


@pytest.mark.parametrize(
    "argv", [["--server", "a:1", "greet", "you", "-t"], ["greet", "--twice", "you", "--server=a:1"]]
)
def test_global_flags_stand_before_or_after_the_verb(
    program: Program, capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    """A global flag means the same before and after the verb."""
    assert program.run(argv) == 0
    assert capsys.readouterr().out == "hello you True a:1\n"


@pytest.mark.parametrize(("nargs", "usage"), [("+", "FILE..."), ("*", "[FILE...]"), ("?", "[FILE]"), (None, "FILE")])
def test_usage_says_how_many(nargs: str | None, usage: str) -> None:
    """An argument that may be given several times shows so in the usage, and one that may be left out."""
    parser = Parser("verb")
    parser.add_argument("files", metavar="FILE", nargs=nargs)
    assert f"  verb [flags] {usage}\n" in parser.format_help()


def test_the_later_global_flag_wins(program: Program, capsys: pytest.CaptureFixture[str]) -> None:
    """A global flag after the verb wins over the same before it."""
    program.run(["--server", "a:1", "greet", "you", "--server", "b:2"])
    assert capsys.readouterr().out == "hello you False b:2\n"


def test_exit_code_of_the_verb(program: Program) -> None:
    """The verb's return value is the exit code."""
    assert program.run(["greet", "seven"]) == 7


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["greet"], "missing argument: WHO"),
        (["greet", "a", "b"], 'unexpected argument "b"'),
        (["greet", "a", "--color=red"], "unknown flag: --color"),
        (["greet", "a", "--times", "x"], "--times: invalid int value: 'x'"),
        (["greet", "a", "--twi"], "unknown flag: --twi"),
        (["run", "--color", "ls"], "unknown flag: --color"),
        (["run", "-qx", "ls"], "--quiet: takes no value, but was given 'x'"),
        (["run", "--name"], "--name: a value is missing"),
        (["run", "-q"], "missing argument: COMMAND"),
        (["run", "-q", "--"], "missing argument: COMMAND"),
    ],
)
def test_usage_errors(program: Program, capsys: pytest.CaptureFixture[str], argv: list[str], message: str) -> None:
    """A usage error is one line, where to read more is the next, and the exit code is 2."""
    assert program.run(argv) == 2
    out, err = capsys.readouterr()
    assert err == f"Error: {message}\nRun 'prog {argv[0]} --help' for usage.\n"
    assert out == ""


def test_mistyped_verb(program: Program, capsys: pytest.CaptureFixture[str]) -> None:
    """A mistyped verb is named, with the one that was probably meant."""
    assert program.run(["gret", "x"]) == 2
    assert capsys.readouterr().err == (
        "Error: unknown command \"gret\"\n\nDid you mean this?\n\tgreet\n\nRun 'prog --help' for usage.\n"
    )


def test_half_of_a_verb_of_two_words(program: Program, capsys: pytest.CaptureFixture[str]) -> None:
    """The first word of a verb of two words lists its family; a wrong second word is an error."""
    assert program.run(["certs"]) == 0
    assert "certs dev" in capsys.readouterr().out
    assert program.run(["certs", "dve"]) == 2
    assert "\tcerts dev\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["ls", "-l", "--", "-q"], "['ls', '-l', '--', '-q'] False None None"),
        (["-q", "--", "ls", "--name"], "['ls', '--name'] True None None"),
        (["--", "-q"], "['-q'] False None None"),
        (["--name", "-x", "ls"], "['ls'] False -x None"),
        (["-qn", "x", "ls"], "['ls'] True x None"),
        (["-nx", "--server=s:1", "ls", "--server=t:2"], "['ls', '--server=t:2'] False x s:1"),
        (["-"], "['-'] False None None"),
        (["--", "--"], "['--'] False None None"),
        (["ls", "--help"], "['ls', '--help'] False None None"),
        (["", "x"], "['', 'x'] False None None"),
    ],
)
def test_a_command_is_left_untouched(
    program: Program, capsys: pytest.CaptureFixture[str], words: list[str], command: str
) -> None:
    """Flags end at the first word that is none; every word after that belongs to the command."""
    assert program.run(["run", *words]) == 0
    assert capsys.readouterr().out == command + "\n"


def test_an_error_shows_message_and_hint(program: Program, capsys: pytest.CaptureFixture[str]) -> None:
    """An error is its message and its hint on stderr, control characters escaped, and the program's exit code."""
    assert program.run(["greet", "missing"]) == 5
    out, err = capsys.readouterr()
    assert (out, err) == ("", "Error: no such job: \\x1b[31mred\\nError: x\nlook\\tagain\n")


def test_a_defect_is_one_line(program: Program, capsys: pytest.CaptureFixture[str]) -> None:
    """A defect is one line without a traceback."""
    assert program.run(["greet", "bug"]) == 9
    assert capsys.readouterr().err == "Error: internal error: RuntimeError: what ever\nJSCHED_DEBUG=1 shows where\n"


def test_a_defect_with_debugging_shows_where(
    program: Program, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With JSCHED_DEBUG=1 the traceback comes before the line."""
    monkeypatch.setenv("JSCHED_DEBUG", "1")
    program.run(["greet", "bug"])
    assert capsys.readouterr().err.startswith("Traceback (most recent call last)")


@pytest.mark.parametrize(
    ("who", "code", "err"), [("interrupt", 130, ""), ("full", 9, "Error: No space left on device\n")]
)
def test_interrupts_and_failed_writes(
    program: Program, capsys: pytest.CaptureFixture[str], who: str, code: int, err: str
) -> None:
    """Ctrl-C ends quietly with 130; a failed write says what the system said."""
    assert program.run(["greet", who]) == code
    assert capsys.readouterr().err == err


def test_without_a_chooser_errors_are_1(program: Program) -> None:
    """Without exit_code every error that is no usage error exits with 1."""
    plain = Program("prog", "", program.verbs, add_global_flags=flags)
    assert plain.run(["greet", "missing"]) == 1


def test_version(program: Program, capsys: pytest.CaptureFixture[str]) -> None:
    """--version and version print the installed version."""
    from importlib.metadata import version

    for argv in (["--version"], ["version"]):
        assert program.run(argv) == 0
        assert capsys.readouterr().out == f"prog version {version('jsched')}\n"


CLOSED = """
import sys
from jsched.commandline import Program, Verb
sys.exit(Program("prog", "Does things.", [Verb("run", "x", "y")]).run([]))
"""


def test_a_closed_pipe_ends_quietly() -> None:
    """A reader that is gone before anything was written causes neither message nor failure, at exit neither."""
    with subprocess.Popen([sys.executable, "-c", CLOSED], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 0


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    """Output that can't be written is an error, although it was buffered until the end."""
    with open("/dev/full", "wb") as full:
        done = subprocess.run([sys.executable, "-c", CLOSED], stdout=full, stderr=subprocess.PIPE, timeout=30)
    assert (done.returncode, done.stderr) == (1, b"Error: can't write to stdout: No space left on device\n")


def test_report_survives_a_closed_stderr() -> None:
    """A message that nobody can read does no harm."""
    code = "import os, sys; os.close(2); from jsched.commandline import report; report('x'); sys.exit(3)"
    assert subprocess.run([sys.executable, "-c", code], timeout=30).returncode == 3


def test_no_heavy_import() -> None:
    """Importing the command line costs no gRPC, no protobuf, no TOML and no help-page modules."""
    code = "import sys, jsched.commandline; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"grpc", "google.protobuf", "tomllib", "difflib", "textwrap", "dataclasses", "asyncio"} & set(loaded)


def test_split_flags_stops_at_the_first_plain_word() -> None:
    """A flag's value goes with its flag, and nothing behind the first plain word is looked at."""
    parser = Parser("p")
    parser.add_argument("-v", "--value")
    assert split_flags(parser, ["-v", "1", "--value", "2", "w", "-v", "3"]) == (["-v1", "--value=2"], ["w", "-v", "3"])


def test_errors_are_not_raised_further(program: Program) -> None:
    """JschedError stays inside run()."""
    assert isinstance(program.run(["greet", "missing"]), int)
    assert issubclass(NotFound, JschedError)
    report("")
