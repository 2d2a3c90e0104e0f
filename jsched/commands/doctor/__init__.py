"""Say whether this host can run jobs as configured, one line for each thing that matters.

It changes nothing, and can be run beside a server. The exit code is 1 if anything fails.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from jsched import config_sources
from jsched.commands.doctor.finding import Finding, Level

EXAMPLES = """
jsched doctor
jsched doctor --config /etc/jsched/jsched.toml
jsched doctor --certs certs --data-dir .jsched --log-dir logs
jsched doctor --plan
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that `jsched serve` has: it is that configuration that is looked at."""
    parser.add_argument("--config", metavar="FILE", help="TOML file with the settings (JSCHED_SERVER_CONFIG)")
    parser.add_argument("--listen", metavar="HOST:PORT", help="address to serve on (JSCHED_LISTEN)")
    parser.add_argument("--certs", metavar="DIR", dest="certs_dir", type=Path, help="certificates (JSCHED_CERTS)")
    parser.add_argument("--data-dir", metavar="DIR", type=Path, help="where the state is kept (JSCHED_DATA_DIR)")
    parser.add_argument("--log-dir", metavar="DIR", type=Path, help="where the jobs' logs are (JSCHED_LOG_DIR)")
    parser.add_argument("--log-group", metavar="GROUP", help="group that may read the logs (JSCHED_LOG_GROUP)")
    parser.add_argument("--policy", metavar="FILE|PRESET", help="who may do what (JSCHED_POLICY)")
    parser.add_argument("--plan", action="store_true", help="print the walls that are built around a job, in order")


def run(args: argparse.Namespace) -> int:
    """Look at everything, and print what was found."""
    from jsched.commands.doctor import audit, certificates, files, host, limits, policy, port, walls

    if args.plan:
        walls.show_plan()
        return 0
    names = ("listen", "certs_dir", "data_dir", "log_dir", "log_group", "policy")
    config = config_sources.load({name: getattr(args, name) for name in names}, config_file=args.config)
    findings = [
        host.python(),
        host.kernel(),
        host.pidfd(),
        host.subreaper(),
        host.boot(),
        host.inotify(),
        host.open_files(),
        limits.cgroups(config),
        limits.disks(config),
        walls.filter_of_calls(config),
        walls.isolation(config),
        walls.root_file_systems(config),
        *files.data(config),
        *files.logs(config),
        files.log_group(config),
        audit.trail(config),
        audit.room(config),
        *certificates.certificates(config),
        *policy.policy(config),
        port.port(config),
    ]
    show(findings)
    return 1 if any(finding.level is Level.FAIL for finding in findings) else 0


def show(findings: list[Finding]) -> None:
    """Print each finding, and under it what to do."""
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        print(f"{finding.level.value:<4}  {finding.subject:<{width}}  {finding.text}")
        if finding.advice:
            print(f"{'':<4}  {'':<{width}}  -> {finding.advice}")
    sys.stdout.flush()
