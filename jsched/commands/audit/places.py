"""Which audit trail a verb is about: files, a data directory, or the configured one."""

from __future__ import annotations

import argparse
from pathlib import Path

from jsched import config_sources
from jsched.audit.trail import Trail
from jsched.errors import NotFound

NAME = "audit.jsonl"


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say where the server's data are."""
    parser.add_argument("--config", metavar="FILE", help="the server's settings (JSCHED_SERVER_CONFIG)")
    parser.add_argument("--data-dir", metavar="DIR", type=Path, help="where its state is kept (JSCHED_DATA_DIR)")


def trail_of(args: argparse.Namespace) -> Trail:
    """Return the trail of the server that the flags name."""
    return Trail(config_sources.load({"data_dir": args.data_dir}, config_file=args.config).audit_log)


def check(trail: Trail) -> None:
    """Raise NotFound if there is no such trail."""
    where = trail.path.parent
    if not where.is_dir() or not trail.files():
        raise NotFound(f"there is no audit trail in {where}", obj=str(where), hint="give the server's --data-dir")
