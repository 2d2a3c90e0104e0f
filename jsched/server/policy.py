"""Who may do what: a table from roles to verbs. What is not in it is denied."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jsched.server.identity import Identity


class Verb(enum.Enum):
    """What a caller can ask for."""

    START = "start"
    STOP = "stop"
    STATUS = "status"
    LIST = "list"
    STREAM = "stream"
    WAIT = "wait"
    DELETE = "delete"
    ROOTFS_UPLOAD = "rootfs upload"
    ROOTFS_LIST = "rootfs list"
    ROOTFS_DELETE = "rootfs delete"
    STATS = "stats"
    REFLECTION = "reflection"


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a call is allowed, and the rule that says so."""

    allowed: bool
    rule: str


JOB_SERVICE = "/jsched.v1.JobService/"
ROOTFS_SERVICE = "/jsched.v1.RootfsService/"

# The verb that each method is; a method that stands neither here nor in OPEN_METHODS is denied.
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

ROLES: Mapping[str, frozenset[Verb]] = MappingProxyType(
    {
        "admin": frozenset(Verb),
        "user": frozenset(Verb) - {Verb.STOP, Verb.DELETE, Verb.ROOTFS_UPLOAD, Verb.ROOTFS_DELETE},
    }
)


def authorize(identity: Identity, verb: Verb) -> Decision:
    """Return whether the identity's role has the verb, and by which rule."""
    verbs = ROLES.get(identity.role)
    if verbs is None:
        return Decision(False, f"no rule for role {identity.role}")
    if verb not in verbs:
        return Decision(False, f"role {identity.role} has no verb {verb.value}")
    return Decision(True, f"role {identity.role} has verb {verb.value}")
