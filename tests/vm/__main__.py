"""Run one command as root in a throw-away Linux guest with cgroup v2.

    python -m tests.vm --fetch              # once: download the guest's kernel
    python -m tests.vm [options] -- COMMAND # exits with COMMAND's status
    python -m tests.vm --suite [-- ARGS]    # the tests of suite.py, ARGS for pytest

The guest's / is this machine's, read-only under a layer in memory; $TMPDIR is on an ext4 disk;
$JSCHED_VM is the back end's name. Exit status: COMMAND's; 124 at the time limit, 125 if the guest
died, 77 if this machine can't have the guest.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

from tests.vm import fetch, suite
from tests.vm.guest import Guest, GuestDied, GuestTimeout
from tests.vm.image import CannotHaveGuest
from tests.vm.qemu import QEMU
from tests.vm.uml import UML

_BACKENDS = {backend.name: backend for backend in (UML, QEMU)}
_CANNOT, _TIMED_OUT, _DIED = 77, 124, 125


def main() -> int:
    """Run the command, and return the exit status."""
    args = _arguments()
    # So that the guest and its files go when this is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    backend = _BACKENDS[args.backend]
    try:
        if args.fetch:
            print(f"the guest's kernel is {fetch.fetch(backend).kernel}")
            return 0
        guest = Guest(
            backend=backend,
            cgroup=args.cgroup,
            memory=args.memory,
            disk=args.disk,
            cpus=args.cpus,
            timeout=args.timeout,
            parameters=args.parameters,
            environment=dict(_variable(one) for one in args.env) | (suite.ENVIRONMENT if args.suite else {}),
        )
        command = suite.command(args.command) if args.suite else args.command
        directory = suite.ROOT if args.suite else args.directory.absolute()
        return guest.run(command, directory, _print, _print_log if args.verbose else len)
    except CannotHaveGuest as error:
        print(f"no guest here, for want of {error}", file=sys.stderr)
        return _CANNOT
    except GuestTimeout as error:
        print(f"guest: {error}", file=sys.stderr)
        return _TIMED_OUT
    except GuestDied as error:
        print(f"{error}\nguest: it died before the command ended", file=sys.stderr)
        return _DIED


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("tests.vm", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("-b", "--backend", choices=_BACKENDS, default="uml", help="uml (default) or qemu")
    parser.add_argument("--cgroup", choices=("v2", "v1"), default="v2", help="the hierarchy (v2)")
    parser.add_argument("-C", "--directory", type=Path, default=Path.cwd(), help="where COMMAND runs (here)")
    parser.add_argument("-e", "--env", action="append", default=[], metavar="NAME[=VALUE]", help="a variable for it")
    parser.add_argument("-t", "--timeout", type=float, default=1800.0, help="seconds (1800)")
    parser.add_argument("-v", "--verbose", action="store_true", help="show what the guest's kernel said")
    parser.add_argument("--memory", type=int, default=2048, help="MiB (2048)")
    parser.add_argument("--disk", type=int, default=1024, help="MiB (1024)")
    parser.add_argument("--cpus", type=int, default=2, help="qemu only (2)")
    parser.add_argument("--parameters", default="quiet", help="kernel parameters")
    parser.add_argument("--fetch", action="store_true", help="download the kernel, even if it is there")
    parser.add_argument("--suite", action="store_true", help="run the tests that are meant for the guest")
    parser.add_argument("command", nargs="*", metavar="COMMAND")
    args = parser.parse_args()
    if not (args.command or args.fetch or args.suite):
        parser.error("no command")
    return args


def _variable(text: str) -> tuple[str, str]:
    name, given, value = text.partition("=")
    return name, value if given else os.environ.get(name, "")


def _print(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _print_log(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
