"""A job's output on its way to stdout, harmless if that is a terminal, and what is said when the connection breaks."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from jsched_cli.output import say, summary, write_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jsched.client import Client
    from jsched.errors import JschedError
    from jsched.job import Job


def lost(error: JschedError, attempt: int) -> None:
    """Say once that the connection, or the stream alone, is gone."""
    if attempt == 1:
        say("connection lost, reconnecting …" if error.kind == "unavailable" else f"{error.message}; reconnecting …")


def back(offset: int) -> None:
    """Say that the connection is there again, and where the output goes on."""
    say(f"reconnected at offset {offset}")


def copy_output(client: Client, ref: str, *, offset: int = 0, follow: bool = True, raw: bool = False) -> Job | None:
    """Write a job's output to stdout as it comes, and return the job if it has ended.

    The bytes are written as they are, but to a terminal only with `raw`: without, it gets nothing
    to act on but colours. Raises BrokenPipeError when nobody reads any more.
    """
    with client.follow(ref, offset, follow, on_reconnect=lost, on_resume=back) as stream:
        if raw or not os.isatty(1):
            for chunk in stream:
                write_bytes(chunk.data)
        else:
            _show(chunk.data for chunk in stream)
        return stream.ended


def _show(pieces: Iterable[bytes]) -> None:
    """Write to a terminal, and leave it between any two pieces as it was: messages must stay readable."""
    from jsched_cli.terminal import RESET, TerminalFilter

    shown = TerminalFilter(sys.stdout.encoding or "ascii")
    for piece in pieces:
        before = shown.colours
        text = shown.feed(piece)
        write_bytes(before + text + RESET if before or shown.colours else text)
    write_bytes(shown.finish())


def say_ending(job: Job) -> None:
    """Say how a job ended that did not end by itself: its exit code alone would not tell."""
    from jsched.job import Exited

    if not isinstance(job.outcome, Exited) or job.reason is not None:
        say(f"job {job.id[:8]}: {summary(job)}")
