"""What a caller may see and reach with one verb."""

from __future__ import annotations

from dataclasses import dataclass

from jsched.policy.grant import Decision, Grant, Refused
from jsched.policy.policy import Policy
from jsched.policy.verbs import Reach, Verb

_ON_TREES = (Verb.ROOTFS_UPLOAD, Verb.ROOTFS_LIST, Verb.ROOTFS_DELETE)


@dataclass(frozen=True, slots=True)
class Access:
    """A caller with a verb and what it is granted."""

    user: str
    verb: Verb
    grant: Grant

    @property
    def decision(self) -> Decision:
        """How far the verb reaches, and by which rule."""
        return self.grant.decisions[self.verb]

    @property
    def visible_to(self) -> str | None:
        """The user whose jobs, or root file systems, are all that there are for the caller, None if all are."""
        if self.verb not in _ON_TREES:
            return self.jobs_of
        return None if self.grant.decisions[Verb.ROOTFS_LIST].reach is Reach.ANY else self.user

    @property
    def jobs_of(self) -> str | None:
        """The user whose jobs are all that there are for the caller, None if all are."""
        return None if self.grant.sees is Reach.ANY else self.user

    @property
    def limited_to(self) -> str | None:
        """The user whose things are all that the verb reaches, None if it reaches all."""
        return None if self.decision.reach is Reach.ANY else self.user

    @property
    def tells_apart(self) -> bool:
        """Whether there are jobs that the caller sees and the verb does not reach."""
        return self.visible_to is None and self.limited_to is not None

    def check(self, owner: str, name: str) -> None:
        """Raise Refused unless the verb reaches a job, or a root file system, that the caller sees."""
        if self.limited_to not in (None, owner):
            raise Refused(
                f"{self.grant.subject} may not {self.verb.deed} what is another's",
                self.decision.rule,
                self.decision.place,
                obj=name,
                hint="only what is your own",
            )


def authorize(policy: Policy, user: str, role: str, verb: Verb) -> Access:
    """Return the access of a caller; raises Refused if it does not have the verb at all."""
    grant = policy.grant(user, role)
    if grant is not None and grant.decisions[verb].reach is not Reach.NONE:
        return Access(user, verb, grant)
    decision = policy.decide(user, role, verb)
    raise Refused(
        f"role {role} may not {verb.deeds}",
        decision.rule,
        decision.place,
        obj=verb.value,
        hint="ask your administrator for a certificate with a role that may",
    )
