from __future__ import annotations

from datetime import UTC, datetime

import pytest

from jsched.server.identity import Identity
from jsched.server.policy import JOB_SERVICE, METHODS, OPEN_METHODS, ROOTFS_SERVICE, Verb, authorize
from jsched.v1 import jobs_pb2, rootfs_pb2

ALLOWED = {
    "admin": {
        *("start", "stop", "status", "list", "stream", "wait", "delete", "stats", "reflection"),
        *("rootfs upload", "rootfs list", "rootfs delete"),
    },
    "user": {"start", "status", "list", "stream", "wait", "stats", "reflection", "rootfs list"},
    "operator": set(),
    "root": set(),
}


@pytest.mark.parametrize("role", ALLOWED)
@pytest.mark.parametrize("verb", Verb)
def test_every_cell_of_the_table(role: str, verb: Verb) -> None:
    """A role has exactly the verbs that the documentation promises, and every decision names its rule."""
    decision = authorize(Identity("alice", role, "1", datetime.now(UTC)), verb)
    assert decision.allowed == (verb.value in ALLOWED[role])
    assert role in decision.rule


def test_every_method_of_the_api_is_a_verb() -> None:
    """Each method of JobService is one verb of its own, each of RootfsService is one, and none of them is open."""
    methods = {JOB_SERVICE + method.name for method in jobs_pb2.DESCRIPTOR.services_by_name["JobService"].methods}
    listed = {method for method in METHODS if method.startswith(JOB_SERVICE)}
    assert methods == listed
    assert len({METHODS[method] for method in listed}) == len(listed)
    rootfs = rootfs_pb2.DESCRIPTOR.services_by_name["RootfsService"].methods
    assert {ROOTFS_SERVICE + method.name for method in rootfs} == {
        method for method, verb in METHODS.items() if verb.value.startswith("rootfs ")
    }
    assert not METHODS.keys() & OPEN_METHODS
