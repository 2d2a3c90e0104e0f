"""A process in the monitor's place: starts one command behind walls. Run by tests.helpers.walled.start_monitor()."""

from __future__ import annotations

import json
import os
import sys

from jsched.isolation.forker_process import Forker
from jsched.isolation.init_process import InitProcess, StepFailed
from jsched.isolation.reports import Reports
from jsched.isolation.sandbox import Sandbox
from jsched.isolation.site import Command
from jsched.isolation.spare import Spare
from jsched.isolation.start import start
from jsched.linux import syscalls


def main(log: int) -> None:
    fields, (argv, env, workdir), spare = json.loads(sys.stdin.readline())
    sandbox, command = Sandbox.from_fields(fields), Command(tuple(argv), env, workdir)
    syscalls.block_all_signals()
    try:
        started = _from_forker(sandbox, command, log) if spare else start(sandbox, command, log)
        print(started.pid, file=sys.stderr, flush=True)
        os.close(log)
        started.wait_until_started()
    except StepFailed as failure:
        print(json.dumps([Reports(failed_step=failure.step, errno=failure.number), None]))
        return
    _, init_status = os.waitpid(started.pid, 0)
    print(json.dumps([Reports(started=True, status=started.take_status(init_status)), init_status]))


def _from_forker(sandbox: Sandbox, command: Command, log: int) -> InitProcess:
    forker = Forker(sandbox)
    try:
        spare = Spare(sandbox, forker)
    finally:
        forker.close()
    try:
        return spare.start(command, log)
    except BaseException:
        spare.close()
        raise


if __name__ == "__main__":
    main(int(sys.argv[1]))
