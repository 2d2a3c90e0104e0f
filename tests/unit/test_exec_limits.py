from __future__ import annotations

import os
import subprocess
from typing import Any

import pytest

from jsched.confinement import Bind, Confinement
from jsched.errors import InvalidArgument
from jsched.exec_limits import MAX_PATH, MAX_STRING, MAX_TOTAL, check_sizes
from jsched.job import JobSpec


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"argv": ["x", "y" * (MAX_STRING + 1)]}, "argv"),
        ({"argv": ["x", "ä" * ((MAX_STRING + 1) // 2)]}, "argv"),
        ({"env": {"A": "y" * (MAX_STRING - 1)}}, "env"),
        ({"env": {"A" * 200_000: ""}}, "env"),
        ({"argv": ["y" * 100_000] * 21}, "argv"),
        ({"argv": ["x", *[""] * (MAX_TOTAL // 9)]}, "argv"),
        ({"env": {f"A{n}": "y" * 100_000 for n in range(21)}}, "env"),
        ({"workdir": "/" + "x" * MAX_PATH}, "workdir"),
        ({"confinement": Confinement(binds=(Bind("/" + "x" * MAX_PATH, "/b"),))}, "binds"),
        ({"confinement": Confinement(binds=(Bind("/b", "/" + "x" * MAX_PATH),))}, "binds"),
    ],
)
def test_what_is_too_large_is_named(fields: dict[str, Any], field: str) -> None:
    """What no kernel would execute for its size is refused, with the field's name and a short message."""
    with pytest.raises(InvalidArgument) as caught:
        check_sizes(JobSpec(**({"argv": ["true"]} | fields)))
    assert caught.value.obj == field
    assert len(caught.value.message) < 200


def test_what_passes_is_executed_by_the_kernel() -> None:
    """The largest single argument and variable that pass are accepted by this kernel, and one byte more is not."""
    argument, variable = "x" * MAX_STRING, "x" * (MAX_STRING - 2)
    check_sizes(JobSpec(["true", argument], env={"A": variable}))
    subprocess.run(["/bin/true", argument], env={"A": variable}, check=True, timeout=30)
    for argv, env in ((["/bin/true", argument + "x"], {}), (["/bin/true"], {"A": variable + "x"})):
        with pytest.raises(OSError, match=os.strerror(7)):
            subprocess.run(argv, env=env, check=False, timeout=30)


def test_paths_as_long_as_they_may_be() -> None:
    """A working directory of the largest size that a path may have passes."""
    check_sizes(JobSpec(["true"], workdir="/" + "x" * (MAX_PATH - 1)))
