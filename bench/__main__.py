"""`python -m bench`: measure, and print a table; ends with 1 only if something can't be measured."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import signal
import sys
import traceback
from typing import Any

from bench.figure import Figure, table
from bench.harness import Bench

# In the order of the table; each is a module with `measure(bench)`.
MEASUREMENTS = (
    "start_to_end",
    "walls",
    "in_flight",
    "one_follower",
    "shared_connection",
    "many_followers",
    "large_log",
    "idle_followers",
    "under_stress",
    "command_line",
    "footprint",
)


def main() -> int:
    args = _parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    before = os.getloadavg()[0]
    figures: list[Figure] = []
    broken = 0
    try:
        with Bench(quick=args.quick) as bench:
            for name in args.names or MEASUREMENTS:
                print(f"measuring {name} ...", file=sys.stderr, flush=True)
                try:
                    figures += importlib.import_module(f"bench.{name}").measure(bench)
                except Exception:  # noqa: BLE001 - what the others have found is still worth a table
                    broken = 1
                    traceback.print_exc()
    except KeyboardInterrupt:
        broken = 130
    host = _host(before)
    if args.output == "json":
        print(json.dumps({"host": host, "figures": [figure.as_dict() for figure in figures]}, indent=2))
    else:
        print(", ".join(f"{name} {value}" for name, value in host.items()))
        print()
        print(table(figures))
    return broken


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"what to measure: {', '.join(MEASUREMENTS)} (all)")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    parser.add_argument("--quick", action="store_true", help="shorter runs, for a first look: noisier figures")
    args = parser.parse_args()
    if unknown := set(args.names) - set(MEASUREMENTS):
        parser.error(f"no such measurement: {', '.join(sorted(unknown))}")
    return args


def _host(load_before: float) -> dict[str, Any]:
    import grpc

    return {
        "cores": len(os.sched_getaffinity(0)),
        "Linux": platform.release().split("-")[0],
        "Python": platform.python_version(),
        "grpcio": grpc.__version__,
        "load before": round(load_before, 2),
    }


if __name__ == "__main__":
    sys.exit(main())
