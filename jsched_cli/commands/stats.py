"""Show in numbers what the server is doing.

Of all jobs, or of your own alone if you may see no others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jsched.state import JobState
from jsched_cli.flags import add_output, connect
from jsched_cli.output import now, print_json, print_text, rfc3339, short_duration, visible

if TYPE_CHECKING:
    import argparse
    from datetime import datetime

    from jsched.commandline import Parser
    from jsched.stats import Stats

EXAMPLES = """
jsched-cli stats
jsched-cli stats -o json | jq .jobs.running
"""
_MEBIBYTE = 1024 * 1024


def add_arguments(parser: Parser) -> None:
    """Add the flags of `stats`."""
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Show the numbers."""
    with connect(args) as client:
        stats = client.stats()
    if args.output == "json":
        print_json(_as_json(stats))
    else:
        print_text(_text(stats, now()))
    return 0


def _as_json(stats: Stats) -> dict[str, Any]:
    load = stats.load
    return {
        "jobs": {state.value: stats.jobs.get(state, 0) for state in JobState},
        "load": {"jobs": load.jobs, "cpu": load.cpu, "memory": load.memory, "pids": load.pids},
        "followers": stats.followers,
        "owner": stats.owner,
        "server_version": stats.version,
        "server_started_at": rfc3339(stats.started_at),
    }


def _text(stats: Stats, moment: datetime) -> str:
    load = stats.load
    running = stats.jobs.get(JobState.RUNNING, 0)
    counts = ", ".join(f"{stats.jobs[state]} {state.value}" for state in JobState if stats.jobs.get(state))
    since = f", up {short_duration(moment - stats.started_at)}" if stats.started_at else ""
    rows = [
        ("jobs", (counts or "none") + (f" (of {stats.owner} alone)" if stats.owner else "")),
        ("cpu time", "" if load.cpu is None else f"{load.cpu:.2f} s"),
        ("memory", "" if load.memory is None else f"{load.memory / _MEBIBYTE:.1f} MiB"),
        ("processes", "" if load.pids is None else str(load.pids)),
        ("known of", f"{load.jobs} of {running} running jobs" if load.jobs != running else ""),
        ("followers", str(stats.followers)),
        ("server", f"version {stats.version}{since}"),
    ]
    return "".join(f"{name + ':':<13}{visible(text)}\n" for name, text in rows if text)
