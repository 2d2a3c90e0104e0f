"""A process that makes load: `python -m bench.load MODULE TASK`, with TASK as JSON.

Started by: the harness; it runs `MODULE.load(task, parent)`.
Owns: its connections and the processes that it starts.
Ends: with that function, or at once when the benchmark ends, however that comes about.
Outlives it: nothing.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import signal
import sys
from typing import Any

from jsched.linux import syscalls


class Parent:
    """The benchmark, as its load processes see it: a line of JSON each way."""

    def say(self, value: Any) -> None:
        print(json.dumps(value), flush=True)

    def hear(self) -> Any:
        line = sys.stdin.readline()
        if not line:
            raise SystemExit(1)
        return json.loads(line)

    async def hear_async(self) -> Any:
        return await asyncio.to_thread(self.hear)


def main() -> None:
    syscalls.prctl_set_pdeathsig(signal.SIGKILL)
    importlib.import_module(sys.argv[1]).load(json.loads(sys.argv[2]), Parent())


if __name__ == "__main__":
    main()
