"""The callers: who each is, how much they may hold open, and whether they are still who they were."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, Protocol

from jsched.errors import JschedError
from jsched.policy.access import authorize
from jsched.policy.grant import OWNED, Refused
from jsched.policy.verbs import Verb
from jsched.server.audit_entry import Entry
from jsched.server.call import CallContext
from jsched.server.identity import InvalidIdentity, check_certificate, client_certificate, identity_of
from jsched.server.leaf import Identity, Leaf
from jsched.server.methods import METHODS, OPEN_METHODS
from jsched.server.open_calls import OpenCalls
from jsched.server.policy_source import PolicySource
from jsched.server.trust import Trust

if TYPE_CHECKING:
    import grpc

    Context = grpc.aio.ServicerContext[Any, Any]

# The calls that may last as long as their callers like.
_LASTING = frozenset((Verb.STREAM, Verb.WAIT, Verb.ROOTFS_UPLOAD))
# And one that is about no job: each has room in the audit held for it, as a stream has.
_WATCH = "/grpc.health.v1.Health/Watch"
_STREAMS_LIMIT = "max_streams_per_user"
_REQUESTS_LIMIT = "max_requests_per_user"


class Trusted(Protocol):
    """Whatever knows what is trusted now."""

    @property
    def current(self) -> Trust:
        """What is trusted now."""


class Callers:
    """Checks callers by what is trusted, and by the policy, at that moment; `calls` has the calls that were let in.

    A user may have `max_streams` streams, waits and uploads open at once, if the policy does not
    say how many, and a certificate as many watches of health; 0 is no limit. `max_requests` is how
    many streams of reflection a user may have open.
    """

    def __init__(self, trusted: Trusted, policies: PolicySource, *, max_streams: int, max_requests: int) -> None:
        self.calls = OpenCalls()
        self._trusted = trusted
        self._policies = policies
        self._max_streams = max_streams
        self._max_requests = max_requests
        # Of the last look: what was trusted, when it was, and when the first open call's certificate ends.
        self._seen: Trust | None = None
        self._looked = 0.0
        self._first_end = math.inf
        self._policy_changed = False

    def check_identity(self, call: CallContext, context: Context) -> None:
        """Find out who calls; raises InvalidIdentity.

        Open methods take a good certificate, whomever it names.
        """
        certificate = client_certificate(context.auth_context())
        try:
            leaf = check_certificate(certificate, self._trusted.current)
        except InvalidIdentity as error:
            self._note_refused(call.entry, error.leaf)
            raise
        if call.entry.method in OPEN_METHODS:
            call.entry.serial = leaf.serial
        else:
            call.identity = identity_of(leaf, self._policies.policy.role_source)
        call.certificate = certificate
        self.calls.enter(call)
        self._first_end = min(self._first_end, _good_until(leaf))

    def _note_refused(self, entry: Entry, leaf: Leaf | None) -> None:
        """Have the line of a refused call say whom the certificate names, for it may do nothing."""
        if leaf is None or entry.method in OPEN_METHODS:
            return
        named = leaf.named(self._policies.policy.role_source)
        if isinstance(named, Identity):
            entry.user, entry.role = named.user, named.role

    def check_policy(self, call: CallContext, _: Context) -> None:
        """Decide whether the caller may; raises Refused, also for a method that no table knows."""
        entry = call.entry
        if entry.method in OPEN_METHODS:
            entry.decision, entry.rule = "allow", "health is open to every client certificate"
            return
        verb = METHODS.get(entry.method)
        if verb is None:
            raise Refused("this method may not be called", "the method is in no table", obj=entry.method)
        call.policy = self._policies.policy
        call.access = authorize(call.policy, call.identity.user, call.identity.role, verb)

    def check_streams(self, call: CallContext, _: Context) -> None:
        """Count a call that lasts; raises ResourceExhausted if its user has too many of them."""
        if call.entry.method == _WATCH:
            self.calls.enter_watch(call, self._max_streams or None, _STREAMS_LIMIT)
            return
        verb = METHODS.get(call.entry.method)
        if verb is Verb.REFLECTION:
            self.calls.enter_questions(call, self._max_requests, _REQUESTS_LIMIT)
        if verb is Verb.STOP:
            self.calls.enter_stop(call, self._max_streams or None, _STREAMS_LIMIT)
        if verb not in _LASTING:
            return
        most = call.access.grant.max_streams
        if most is not None:
            self.calls.enter_stream(call, most, "max_streams")
        else:
            self.calls.enter_stream(call, self._max_streams or None, _STREAMS_LIMIT)

    def look(self) -> None:
        """End the calls of callers whose certificates are not good any more, or that may not any more.

        Costs nothing while there can be none.
        """
        trust, now = self._trusted.current, time.time()
        before, self._looked = self._looked, now
        # A clock that was set back may have gone to before a certificate's beginning.
        if trust is not self._seen or not before <= now <= self._first_end:
            self._seen = trust
            self._first_end = math.inf
            self.calls.end_certificates(self._refusal)
        if self._policy_changed:
            self._policy_changed = False
            self.calls.end_where(self._verdict)

    def look_at_policy(self) -> None:
        """Hold the calls that run against the policy, which has just changed."""
        self._policy_changed = True
        self.look()

    def _refusal(self, certificate: bytes) -> InvalidIdentity | None:
        try:
            leaf = check_certificate(certificate, self._trusted.current)
        except InvalidIdentity as error:
            # A handler may take no notice of being ended: the next look is for it, too.
            self._seen = None
            return error
        self._first_end = min(self._first_end, _good_until(leaf))
        return None

    def _verdict(self, call: CallContext) -> JschedError | None:
        """Return why a call may not go on, if the policy has changed since it was last held against it."""
        policy = self._policies.policy
        if call.policy is None or call.policy is policy:
            return None
        try:
            leaf = check_certificate(call.certificate, self._trusted.current)
            # The role may stand elsewhere now.
            identity = identity_of(leaf, policy.role_source)
            access = authorize(policy, identity.user, identity.role, call.access.verb)
            if call.owner is not None:
                access.check(call.owner, call.entry.job)
        except (InvalidIdentity, Refused) as error:
            # Again at the next look, if its handler takes no notice.
            self._policy_changed = True
            return error
        if call.owner is None and access.verb in OWNED:
            # Whose job it is about is not known yet: looked at again.
            self._policy_changed = True
        else:
            call.policy = policy
        return None


def _good_until(leaf: Leaf) -> float:
    return min(leaf.ends, *(signer.ends for signer in leaf.signers))
