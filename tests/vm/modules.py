"""Which files of a kernel package are needed for some modules, and in which order they are loaded."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

# A module says in its .modinfo section what it needs, as modinfo(8) shows it.
_DEPENDS = re.compile(rb"\0depends=([^\0]*)")


def in_loading_order(tree: Path, wanted: Iterable[str]) -> list[Path]:
    """Return the files of the `wanted` modules and of all that they need, each after what it needs.

    A name that has no file under `tree` is taken to be built into the kernel.
    """
    files = {_name(path.stem): path for path in tree.rglob("*.ko")}
    order: dict[str, Path] = {}

    def need(name: str) -> None:
        if name not in files or name in order:
            return
        depends = _DEPENDS.search(files[name].read_bytes())
        for dependency in depends[1].decode().split(",") if depends else ():
            need(_name(dependency))
        order[name] = files[name]

    for name in wanted:
        need(_name(name))
    return list(order.values())


def _name(stem: str) -> str:
    return stem.replace("-", "_")
