"""Which verb each method of the API is. What is not in the table is denied."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from jsched.policy.verbs import Verb

JOB_SERVICE = "/jsched.v1.JobService/"
ROOTFS_SERVICE = "/jsched.v1.RootfsService/"

# A method that stands neither here nor in OPEN_METHODS is denied.
METHODS: Mapping[str, Verb] = MappingProxyType(
    {
        f"{JOB_SERVICE}StartJob": Verb.START,
        f"{JOB_SERVICE}StopJob": Verb.STOP,
        f"{JOB_SERVICE}GetJob": Verb.STATUS,
        f"{JOB_SERVICE}ListJobs": Verb.LIST,
        f"{JOB_SERVICE}StreamOutput": Verb.STREAM,
        f"{JOB_SERVICE}WaitJob": Verb.WAIT,
        f"{JOB_SERVICE}DeleteJob": Verb.DELETE,
        f"{JOB_SERVICE}GetStats": Verb.STATS,
        f"{ROOTFS_SERVICE}UploadRootfs": Verb.ROOTFS_UPLOAD,
        f"{ROOTFS_SERVICE}GetRootfsUpload": Verb.ROOTFS_UPLOAD,
        f"{ROOTFS_SERVICE}ListRootfs": Verb.ROOTFS_LIST,
        f"{ROOTFS_SERVICE}DeleteRootfs": Verb.ROOTFS_DELETE,
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": Verb.REFLECTION,
    }
)

# Health needs no role, and of the certificate only what the handshake has checked.
OPEN_METHODS = frozenset(f"/grpc.health.v1.Health/{name}" for name in ("Check", "List", "Watch"))
