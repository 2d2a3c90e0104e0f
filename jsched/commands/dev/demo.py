"""Run a first job on the development server of this directory, and show what to type next."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from pathlib import Path

from jsched.commands.dev import server
from jsched.commands.dev.places import Places, here
from jsched.commands.dev.up import DEFAULT_LISTEN
from jsched.errors import FailedPrecondition

# Everything that it says is looked up when it runs, on any Linux with a POSIX shell.
SCRIPT = """
echo "I am process $$ of user $(id -u) on $(uname -n), $(uname -s) $(uname -r), with $(nproc) CPUs."
echo "My output goes straight into $(readlink /proc/$$/fd/1)"
echo
echo "My whole environment:"
env | sort | sed "s/^/  /"
echo
printf "Working"
i=0
while [ $i -lt 40 ]; do sleep 0.1; printf .; i=$((i+1)); done
echo " done."
"""

_NEXT = """
Type next, in this directory:

  export PATH="$PWD/.venv/bin:$PATH" {variables}

  jsched-cli status {job}
  jsched-cli list -a
  grep environment {log}

A job that runs until it is stopped:

  jsched-cli start --name ticker -- sh -c 'while :; do date; sleep 1; done'
  jsched-cli stream ticker                      # Ctrl-C leaves the stream, the job runs on
  tail -f "$(ls -t {logs}/*.log | head -n 1)"     # the same as a plain file
  jsched-cli stop ticker

Stream it, and in another terminal kill the server and start it again: nothing is lost.

  kill -9 $(cat {pid_file})
  {again}

When you are done: make stop stops the server and leaves jobs running, make clean ends and removes everything.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing: the server is the one of this directory."""


def run(args: argparse.Namespace) -> int:
    """Start the job, stream it, and print what to type next."""
    places = here()
    running = server.find(places)
    if running is None:
        raise FailedPrecondition("no server runs here", hint="make run starts one")
    # Variables that the caller has set for another server must not lead away from this one.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("JSCHED_")}
    environ |= {"JSCHED_CONFIG": str(places.admin), "JSCHED_SERVER": running.address}
    cli = str(Path(sys.executable).with_name("jsched-cli"))

    print(f"\n$ jsched-cli start -- sh -c '{SCRIPT}'", flush=True)
    command = [cli, "start", "-q", "--", "sh", "-c", SCRIPT]
    started = subprocess.run(command, env=environ, stdout=subprocess.PIPE, check=False)
    if started.returncode != 0:
        return started.returncode
    job = started.stdout.decode().strip()
    print(f"JobID: {job} started\n\n$ jsched-cli stream {job}", flush=True)
    streamed = subprocess.run([cli, "stream", job], env=environ, check=False)
    if streamed.returncode != 0:
        return streamed.returncode
    print(what_next(places, running.address, job), end="")
    return 0


def what_next(places: Places, address: str, job: str) -> str:
    """Return the commands that go on from here, all of them fit to be pasted."""
    variables = f'JSCHED_CONFIG="$PWD/{places.show(places.admin)}"'
    again = "make run"
    if address != DEFAULT_LISTEN:
        variables += f" JSCHED_SERVER={shlex.quote(address)}"
        again += f" LISTEN={shlex.quote(address)}"
    return _NEXT.format(
        variables=variables,
        again=again,
        job=job,
        log=places.show(places.logs / f"{job}.log"),
        logs=places.show(places.logs),
        pid_file=places.show(places.pid_file),
    )
