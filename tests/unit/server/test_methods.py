from __future__ import annotations

from jsched.server.methods import JOB_SERVICE, METHODS, OPEN_METHODS, ROOTFS_SERVICE
from jsched.v1 import jobs_pb2, rootfs_pb2


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
