"""One RPC while it runs, as its handler and everything before the handler know it."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

from jsched.errors import Internal, JschedError
from jsched.policy.access import Access
from jsched.policy.policy import Policy
from jsched.server.audit import Entry
from jsched.server.identity import Identity


class CallContext:
    """Who calls, and the line that the audit will get.

    `entry.job` may be set by the handler as soon as it knows the job (`job_id` is the same), and
    so may `entry.rootfs`. `task` runs the call; `certificate` is the caller's, as PEM, once it was
    found to be good; `ending` is the error that the call is ended with, if it is. `policy` is what
    the caller was last held against, and `owner` may be set by the handler of a call that lasts, as
    soon as it knows whose job that is about.
    """

    __slots__ = (
        "_access",
        "_identity",
        "cancellations",
        "certificate",
        "ending",
        "entry",
        "owner",
        "policy",
        "stream_of",
        "task",
    )

    def __init__(self, entry: Entry, task: asyncio.Task[object] | None = None) -> None:
        self.entry = entry
        self.task = task
        self.certificate = b""
        self.stream_of = ""
        self.ending: JschedError | None = None
        self.cancellations = 0
        self.policy: Policy | None = None
        self.owner: str | None = None
        self._identity: Identity | None = None
        self._access: Access | None = None

    @property
    def identity(self) -> Identity:
        """The caller; raises Internal in a call that needs none."""
        if self._identity is None:
            raise Internal("the call has no identity", obj=self.entry.method)
        return self._identity

    @identity.setter
    def identity(self, identity: Identity) -> None:
        self._identity = identity
        self.entry.user, self.entry.role, self.entry.serial = identity.user, identity.role, identity.serial

    @property
    def access(self) -> Access:
        """What the caller may see and reach; raises Internal in a call that needs no rule."""
        if self._access is None:
            raise Internal("the call has no rule", obj=self.entry.method)
        return self._access

    @access.setter
    def access(self, access: Access) -> None:
        self._access = access
        self.entry.decision, self.entry.rule = "allow", access.decision.rule

    @property
    def user(self) -> str:
        """The caller's user name."""
        return self.identity.user

    @property
    def caller(self) -> str:
        """The caller as messages have it: the user, or the certificate if the call needs no user."""
        return f"user {self.entry.user}" if self.entry.user else f"certificate {self.entry.serial}"

    @property
    def job_id(self) -> str:
        """The job that the call is about, as the audit will have it."""
        return self.entry.job

    @job_id.setter
    def job_id(self, job_id: str) -> None:
        self.entry.job = job_id


_current: ContextVar[CallContext] = ContextVar("call")


def begin_call(entry: Entry) -> CallContext:
    """Return the RPC that the current task runs from now on."""
    call = CallContext(entry, asyncio.current_task())
    _current.set(call)
    return call


def current_call() -> CallContext:
    """Return the RPC that this code runs for; raises Internal outside of one."""
    try:
        return _current.get()
    except LookupError:
        raise Internal("there is no current call") from None
