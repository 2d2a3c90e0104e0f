from __future__ import annotations

from typing import Any

import pytest

from jsched.errors import InvalidArgument
from jsched.job import JobFilter, JobSpec, Signaled


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"argv": []}, "argv is empty"),
        ({"argv": [""]}, r"argv\[0\]"),
        ({"argv": "ls -l"}, "argv"),
        ({"argv": ["a", "b\0c"]}, r"argv\[1\].*NUL"),
        ({"argv": ["\udc80"]}, r"argv\[0\].*UTF-8"),
        ({"env": {"A=B": "c"}}, "A=B"),
        ({"env": {"": "c"}}, "environment variable ''"),
        ({"env": {"A": "\0"}}, "environment variable A.*NUL"),
        ({"env": {"JSCHED_JOB_ID": "x"}}, "JSCHED_JOB_ID"),
        ({"workdir": "tmp"}, "'tmp' is not an absolute path"),
        ({"workdir": "/a\0b"}, "workdir.*NUL"),
        ({"name": ""}, "name ''"),
        ({"name": "-x"}, "name '-x'"),
        ({"name": "a/b"}, "name 'a/b'"),
        ({"name": "a" * 64}, "name"),
        ({"name": "deadbeef"}, "looks like a job id"),
        ({"name": "DEADBEEF-0"}, "looks like a job id"),
        ({"labels": {"a b": "c"}}, "label 'a b'"),
        ({"labels": {"a": "c" * 257}}, "label a"),
        ({"labels": {str(n): "" for n in range(65)}}, "65 labels"),
        ({"timeout": 0}, "timeout is 0"),
        ({"timeout": -1}, "timeout is -1"),
        ({"timeout": float("nan")}, "timeout is nan"),
        ({"grace": float("inf")}, "grace is inf"),
        ({"grace": -0.1}, "grace is -0.1"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], named: str) -> None:
    """A spec that can't be meant is refused with the name of what is wrong."""
    with pytest.raises(InvalidArgument, match=named):
        JobSpec(**{"argv": ["true"], **fields})


def test_a_list_by_more_labels_than_a_job_can_have() -> None:
    """A filter may have as many labels as a job; more would be more conditions than the database takes."""
    JobFilter(labels={str(n): "" for n in range(64)})
    with pytest.raises(InvalidArgument, match="65 labels"):
        JobFilter(labels={str(n): "" for n in range(65)})


def test_a_spec_does_not_change_with_what_it_was_made_from() -> None:
    """The caller's list and dictionaries may be used again."""
    argv, env = ["a"], {"A": "1"}
    spec = JobSpec(argv, env=env)
    argv.append("b")
    env["A"] = "2"
    assert (tuple(spec.argv), dict(spec.env)) == (("a",), {"A": "1"})


def test_names_of_signals() -> None:
    """A signal has its name, one that has none its number."""
    assert Signaled(9).name == "SIGKILL"
    assert Signaled(200).name == "signal 200"
