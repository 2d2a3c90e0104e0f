"""The command `jsched-cli`: run commands on a host over the network, from wherever you are.

Started by a person or a script.
It owns one connection, and nothing on disk.
It ends when the verb has been done; `stream`, `wait` and `run` end with the job.
The job outlives it, unless `run` was interrupted.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import NoReturn

from jsched.commandline import Program, Verb, reserve_stdout
from jsched_cli.errors import exit_code
from jsched_cli.flags import add_global_flags

VERBS = (
    Verb("start", "jsched_cli.commands.start", "start a job"),
    Verb("run", "jsched_cli.commands.run", "start a job, show its output, end as it ends"),
    Verb("status", "jsched_cli.commands.status", "show what is known of a job"),
    Verb("stream", "jsched_cli.commands.stream", "show a job's output from its first byte to its end"),
    Verb("log", "jsched_cli.commands.log", "show what a job has printed up to now"),
    Verb("list", "jsched_cli.commands.list", "list jobs"),
    Verb("wait", "jsched_cli.commands.wait", "wait for a job's end, and end as it did"),
    Verb("stop", "jsched_cli.commands.stop", "end a job and everything that it started"),
    Verb("delete", "jsched_cli.commands.delete", "remove an ended job and its log"),
    Verb("stats", "jsched_cli.commands.stats", "show in numbers what the server is doing"),
    Verb("rootfs upload", "jsched_cli.commands.rootfs.upload", "upload a root file system for jobs"),
    Verb("rootfs list", "jsched_cli.commands.rootfs.list", "list root file systems"),
    Verb("rootfs delete", "jsched_cli.commands.rootfs.delete", "remove a root file system"),
)

EPILOG = """
A job is named by its id, by the first 8 or more digits of it, or by its name.

The server and your certificate come from flags, from the variables JSCHED_SERVER, JSCHED_CA,
JSCHED_CERT and JSCHED_KEY, or from a TOML file with the keys server, ca, cert and key.
"""

PROGRAM = Program(
    "jsched-cli",
    "Run commands on a host, follow all they print, know how they ended.",
    VERBS,
    add_global_flags=add_global_flags,
    exit_code=exit_code,
    epilog=EPILOG,
)


# Importing gRPC makes some ten thousand objects, all to stay: looking through them again and
# again for garbage is a tenth of the time that `jsched-cli status` takes.
_GARBAGE_THRESHOLD = 100_000


def main() -> NoReturn:
    """Run `jsched-cli` with the process's arguments and end the process with its exit code."""
    gc.set_threshold(_GARBAGE_THRESHOLD)
    # gRPC writes its view of a failed handshake to stderr, before ours and less readable.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    reserve_stdout()
    code = PROGRAM.run()
    # Without the interpreter's own way out: taking gRPC apart costs another tenth, and has to
    # wait for threads of gRPC that wait for the network.
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue
    os._exit(code)


if __name__ == "__main__":
    main()
