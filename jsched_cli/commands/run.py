"""Start a job, show its output, and end as it ends.

COMMAND and its arguments are given to the host as they are: no shell is involved.
Flags end at COMMAND; what follows it is the command's own. On a terminal, what it would act on
in the output is shown as text, colours apart; --raw leaves it in.

Ctrl-C (and SIGTERM, and a closed terminal) stops the job; a second time kills it at once; a
third time leaves it. A closed stdout (| head) stops the job, too. If the server goes away,
the job runs on, and the output goes on at the byte where it was once the server is back.

The exit code is the job's own, 128+n if signal n ended it, 141 if stdout was closed, and
125 if the job could not be started, if nobody recorded how it ended, or if jsched-cli
itself failed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jsched.errors import JschedError, PermissionDenied
from jsched_cli.errors import CLOSED_PIPE, job_exit_code
from jsched_cli.flags import add_raw, add_reconnect, connect
from jsched_cli.interrupts import Interrupts
from jsched_cli.output import say
from jsched_cli.spec import add_spec, spec
from jsched_cli.streaming import copy_output, say_ending

if TYPE_CHECKING:
    import argparse

    from jsched.client import Client
    from jsched.commandline import Parser
    from jsched.job import Job

EXAMPLES = """
jsched-cli run make test
jsched-cli run --timeout 5m --env DEBUG -- ./check.sh --verbose
"""


def add_arguments(parser: Parser) -> None:
    """Add the flags of `run`."""
    add_raw(parser)
    add_reconnect(parser)
    add_spec(parser)


def run(args: argparse.Namespace) -> int:
    """Run a job."""
    wanted = spec(args)
    with connect(args) as client, Interrupts(client) as interrupts:
        try:
            job = client.start(wanted, request_id=args.request_id)
        except KeyboardInterrupt:
            say("the job may have been started; jsched-cli list shows it")
            raise
        interrupts.started(job.id)
        ended = _output(client, job.id, args.raw)
    if ended is None:
        return CLOSED_PIPE
    say_ending(ended)
    return job_exit_code(ended)


def _output(client: Client, job_id: str, raw: bool) -> Job | None:
    """Show the job's output and return the ended job, or None if stdout was closed."""
    where = f"the job may run on; its output: jsched-cli stream {job_id}"
    try:
        return _copy(client, job_id, raw)
    except KeyboardInterrupt:
        say(where)
        raise
    except JschedError as error:
        error.hint = f"{error.hint}; {where}" if error.hint else where
        raise


def _copy(client: Client, job_id: str, raw: bool) -> Job | None:
    try:
        return copy_output(client, job_id, raw=raw)
    except BrokenPipeError:
        pass
    try:
        client.stop(job_id)
    except PermissionDenied as error:
        say(f"job {job_id} runs on: {error}")
    except JschedError as error:
        say(f"job {job_id} may run on: {error}")
    return None
