"""What is typed becomes what is meant, or a usage error."""

from __future__ import annotations

import argparse
import importlib
from typing import Any

import pytest

from jsched.commandline import Parser, UsageError
from jsched.errors import Internal, NotFound, Unavailable
from jsched.job import Exited, FailedStep, Lost, Outcome, Signaled
from jsched_cli.errors import exit_code, job_exit_code
from jsched_cli.flags import duration, pairs
from jsched_cli.main import PROGRAM
from jsched_cli.spec import add_spec, spec
from tests.unit.jsched_cli.jobs import make_job

VERBS = {
    *("start", "stop", "status", "stream", "log", "list", "wait", "run", "delete"),
    "stats",
    *("rootfs upload", "rootfs list", "rootfs delete"),
}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("90", 90),
        ("1.5", 1.5),
        ("90s", 90),
        ("5m", 300),
        ("1h30m", 5400),
        ("500ms", 0.5),
        ("1m30s500ms", 90.5),
        ("2d", 172800),
        ("0.5h", 1800),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    """A duration is a number of seconds, or numbers with units, added up."""
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1", "1x", "1 s", "1s ", "1m30", "1e3", "inf", "nan", "١s", "１"])
def test_wrong_durations(text: str) -> None:
    """What is no duration is not guessed at."""
    with pytest.raises(argparse.ArgumentTypeError, match="is not a duration"):
        duration(text)


def test_pairs() -> None:
    """A value may hold an equals sign or nothing, and the last of a name wins."""
    assert pairs("--x", ["a=1", "b==", "c=", "a=2"]) == {"a": "2", "b": "=", "c": ""}
    for text in ("a", "=a", ""):
        with pytest.raises(UsageError, match=r"--x: .* is not NAME=VALUE"):
            pairs("--x", [text])


def parsed(*words: str) -> Any:
    """Return the spec that `words` ask for."""
    parser = Parser("p")
    add_spec(parser)
    return spec(parser.parse(words, argparse.Namespace()))


def test_a_whole_spec(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every flag ends up in its field; a variable without a value has the caller's."""
    monkeypatch.setenv("MINE", "from here")
    found = parsed(
        "--timeout", "1m", "--grace=0", "-e", "A=1", "--env", "MINE", "-w", "/srv", "-n", "nightly", "-l", "a=b",
        "--label", "c=", "make", "-j4", "--", "--timeout",
    )  # fmt: skip
    assert found.argv == ("make", "-j4", "--", "--timeout")
    assert (found.timeout, found.grace, found.workdir, found.name) == (60, 0, "/srv", "nightly")
    assert dict(found.env) == {"A": "1", "MINE": "from here"}
    assert dict(found.labels) == {"a": "b", "c": ""}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--timeout", "soon", "x"], "--timeout: 'soon' is not a duration"),
        (["--timeout", "0", "x"], "timeout is 0 seconds"),
        (["--name", "no name", "x"], "name 'no name' is not"),
        (["--workdir", "here", "x"], "workdir 'here' is not an absolute path"),
        (["--env", "NOT_SET_ANYWHERE", "x"], "'NOT_SET_ANYWHERE' has no value"),
        (["--label", "k", "x"], "--label: 'k' is not NAME=VALUE"),
        ([""], r"argv\[0\] is an empty string"),
        (["--request-id", "", "x"], "request_id is not 1 to 128 characters"),
        (["--request-id", "r" * 129, "x"], "request_id is not 1 to 128 characters"),
        (["--request-id", "\udcff", "x"], "request_id is not valid UTF-8"),
        (["--nmae", "x", "y"], "unknown flag: --nmae"),
        ([], "missing argument: COMMAND"),
    ],
)
def test_a_job_that_cant_be_is_a_usage_error(words: list[str], message: str) -> None:
    """What no server could accept is refused as usage, before there is a connection."""
    with pytest.raises(UsageError, match=message):
        parsed(*words)


def test_every_verb_is_registered_and_documented() -> None:
    """Each verb has a module of its name with a help text, examples, arguments and a run function."""
    assert {verb.name for verb in PROGRAM.verbs} == VERBS
    for verb in PROGRAM.verbs:
        assert verb.module == f"jsched_cli.commands.{verb.name.replace(' ', '.')}"
        module = importlib.import_module(verb.module)
        assert module.__doc__
        assert module.EXAMPLES.strip().splitlines()[0].startswith(f"jsched-cli {verb.name}")
        module.add_arguments(Parser(verb.name))
        assert callable(module.run)


@pytest.mark.parametrize("verb", [*sorted(VERBS), ""])
def test_own_failures(verb: str) -> None:
    """What jsched-cli fails at itself is 125 where the job's exit code is passed on, and 1 elsewhere."""
    for error in (NotFound("x"), Unavailable("x"), Internal("x")):
        assert exit_code(verb, error) == (125 if verb in ("run", "wait") else 1)


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Exited(0), 0),
        (Exited(255), 255),
        (Signaled(9), 137),
        (Signaled(15), 143),
        (Lost(), 125),
        (FailedStep("exec", 2), 125),
    ],
)
def test_a_jobs_end_as_an_exit_code(outcome: Outcome, code: int) -> None:
    """A job's exit code is passed on, a signal is 128+n, and what is not known is 125."""
    assert job_exit_code(make_job(outcome=outcome)) == code
