"""What the console script imports first: from here on Ctrl-C ends the process without a word.

Most of a short command's time goes into imports, and an interrupt that is raised in the middle of
one is a traceback, or is swallowed by a compiled module. What an interrupt is to do besides (`run`
stops its job) is said by whoever has something to do.
"""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import NoReturn

_INTERRUPTED = 128 + signal.SIGINT


def _end(number: int, frame: FrameType | None) -> NoReturn:
    del number, frame
    os._exit(_INTERRUPTED)


def raise_interrupts() -> None:
    """From here on let Ctrl-C raise KeyboardInterrupt: for a verb that has something to tidy up."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def main() -> NoReturn:
    """Run `jsched-cli` with the process's arguments and end the process with its exit code."""
    # What is ignored (nohup, a shell's background job) stays ignored.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)
    from jsched_cli.main import main as run

    run()
