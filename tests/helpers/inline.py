"""Python programs of several files as one argument of a command, for where no file of ours can be seen."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_START = """
import base64, json, sys, types, zlib
def add(name):
    module = sys.modules[name] = types.ModuleType(name)
    package, _, last = name.rpartition(".")
    if package:
        setattr(sys.modules.get(package) or add(package), last, module)
    return module
for name, text in json.loads(zlib.decompress(base64.b85decode({packed!r}))):
    exec(compile(text, name + ".py", "exec"), add(name).__dict__)
"""


def command(modules: Sequence[str], *arguments: str, python: str = "python3") -> list[str]:
    """Return a command that executes these modules one after the other, the last one as __main__.

    Each may import those before it. It needs nothing but an interpreter, and fits into an
    argument, of which the kernel allows 128 KiB, execve(2).
    """
    names = [*modules[:-1], "__main__"]
    sources = [(_ROOT / (module.replace(".", "/") + ".py")).read_text("utf-8") for module in modules]
    packed = base64.b85encode(zlib.compress(json.dumps(list(zip(names, sources, strict=True))).encode(), 9))
    return [python, "-c", _START.format(packed=packed), *arguments]
