"""Every error that jsched raises on purpose, as one tree.

    JschedError
    ├── InvalidArgument      the request itself is wrong; sending it again won't help
    │   └── StartFailed      the command could not be executed (step and errno)
    ├── OutOfRange           an offset beyond the end of a log, or not the one to go on at
    ├── NotFound             no such job, log or file
    ├── AlreadyExists        a name or request id that is taken
    ├── FailedPrecondition   right request, wrong moment (deleting a running job)
    ├── Unauthenticated      no acceptable identity
    ├── PermissionDenied     the identity may not do this
    ├── ResourceExhausted    a limit of the server or the host was reached
    ├── Unavailable          not now; try again (draining, not reachable)
    ├── Unimplemented        the server has no such method
    ├── DataLoss             something that was promised to be kept is gone
    └── Internal             a defect of jsched, or of its host

Clients branch on the class or on `kind`, never on the text.
"""

from __future__ import annotations

import os


class JschedError(Exception):
    """An error with a kind, the object it is about, a message and, where the user can act, a hint.

    `message` is one lower-case sentence without a full stop; `hint` says what to do.
    """

    kind = "internal"

    def __init__(self, message: str, *, obj: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.obj = obj
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class InvalidArgument(JschedError):
    """The request itself is wrong."""

    kind = "invalid_argument"


class StartFailed(InvalidArgument):
    """A job's command could not be executed: the step that failed and its errno.

    Source of the numbers: errno(3).
    """

    kind = "start_failed"

    def __init__(self, message: str, *, step: str, errno: int, job_id: str = "", obj: str = "", hint: str = "") -> None:
        super().__init__(message, obj=obj, hint=hint)
        self.step = step
        self.errno = errno
        self.job_id = job_id

    @property
    def strerror(self) -> str:
        """The errno's text, as strerror(3) gives it."""
        return os.strerror(self.errno)


class OutOfRange(JschedError):
    """A position beyond the end."""

    kind = "out_of_range"


class NotFound(JschedError):
    """The object does not exist, or not for this caller."""

    kind = "not_found"


class AlreadyExists(JschedError):
    """The name or id is taken."""

    kind = "already_exists"


class FailedPrecondition(JschedError):
    """The object is not in a state that allows this."""

    kind = "failed_precondition"


class Unauthenticated(JschedError):
    """The caller has no acceptable identity."""

    kind = "unauthenticated"


class PermissionDenied(JschedError):
    """The caller's role does not allow this."""

    kind = "permission_denied"


class ResourceExhausted(JschedError):
    """A limit was reached; the message names it."""

    kind = "resource_exhausted"


class Unavailable(JschedError):
    """The service can't answer now; trying again is right."""

    kind = "unavailable"


class Unimplemented(JschedError):
    """The server has no such method."""

    kind = "unimplemented"


class DataLoss(JschedError):
    """Something that was kept is gone or damaged."""

    kind = "data_loss"


class Internal(JschedError):
    """A defect of jsched or of its host."""

    kind = "internal"
