"""The callers: who each is, how much they may hold open, and whether they are still who they were."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, Protocol

from jsched.server import policy
from jsched.server.call import CallContext
from jsched.server.identity import InvalidIdentity, check_certificate, client_certificate, identity_of
from jsched.server.leaf import Leaf, RoleSource
from jsched.server.open_calls import OpenCalls
from jsched.server.policy import Verb
from jsched.server.trust import Trust

if TYPE_CHECKING:
    import grpc

    Context = grpc.aio.ServicerContext[Any, Any]

# The calls that may last as long as their callers like.
_LASTING = frozenset((Verb.STREAM, Verb.WAIT, Verb.ROOTFS_UPLOAD))
_STREAMS_LIMIT = "max_streams_per_user"


class Trusted(Protocol):
    """Whatever knows what is trusted now."""

    @property
    def current(self) -> Trust:
        """What is trusted now."""


class Callers:
    """Checks callers by what is trusted at that moment; `calls` has the calls of those that were let in.

    A user may have `max_streams` streams, waits and uploads open at once; 0 is no limit.
    """

    def __init__(self, trusted: Trusted, *, max_streams: int, role_source: RoleSource = RoleSource.EXTENSION) -> None:
        self.calls = OpenCalls()
        self.role_source = role_source
        self._trusted = trusted
        self._max_streams = max_streams
        # Of the last look: what was trusted, when it was, and when the first open call's certificate ends.
        self._seen: Trust | None = None
        self._looked = 0.0
        self._first_end = math.inf

    def check_identity(self, call: CallContext, context: Context) -> None:
        """Find out who calls; raises InvalidIdentity.

        Open methods take a good certificate, whomever it names.
        """
        certificate = client_certificate(context.auth_context())
        leaf = check_certificate(certificate, self._trusted.current)
        if call.entry.method in policy.OPEN_METHODS:
            call.entry.serial = leaf.serial
        else:
            call.identity = identity_of(leaf, self.role_source)
        call.certificate = certificate
        self.calls.enter(call)
        self._first_end = min(self._first_end, _good_until(leaf))

    def check_streams(self, call: CallContext, _: Context) -> None:
        """Count a call that lasts; raises ResourceExhausted if its user has too many of them."""
        if policy.METHODS.get(call.entry.method) in _LASTING:
            self.calls.enter_stream(call, self._max_streams, _STREAMS_LIMIT)

    def look(self) -> None:
        """End the calls of callers whose certificates are not good any more; costs nothing while none can be."""
        trust, now = self._trusted.current, time.time()
        before, self._looked = self._looked, now
        # A clock that was set back may have gone to before a certificate's beginning.
        if trust is self._seen and before <= now <= self._first_end:
            return
        self._seen = trust
        self._first_end = math.inf
        self.calls.end_certificates(self._refusal)

    def _refusal(self, certificate: bytes) -> InvalidIdentity | None:
        try:
            leaf = check_certificate(certificate, self._trusted.current)
        except InvalidIdentity as error:
            # A handler may take no notice of being ended: the next look is for it, too.
            self._seen = None
            return error
        self._first_end = min(self._first_end, _good_until(leaf))
        return None


def _good_until(leaf: Leaf) -> float:
    return min(leaf.ends, *(signer.ends for signer in leaf.signers))
