"""What the caller of an RPC may see and reach, as the policy has decided when it came in."""

from __future__ import annotations

from dataclasses import dataclass

from jsched.policy.grant import Decision, Grant, Refused
from jsched.policy.verbs import Reach, Verb


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

    def check(self, owner: str, job_id: str) -> None:
        """Raise Refused unless the verb reaches a job that the caller sees."""
        if self.limited_to not in (None, owner):
            raise Refused(
                f"{self.grant.subject} may not {self.verb.value} another's job",
                self.decision.rule,
                obj=job_id,
                hint="only jobs of your own",
            )


def authorize(grant: Grant | None, user: str, role: str, verb: Verb) -> Access:
    """Return the access of a caller; raises Refused if it does not have the verb at all."""
    if grant is None:
        rule = f"no rule for role {role}"
    else:
        access = Access(user, verb, grant)
        if access.decision.reach is not Reach.NONE:
            return access
        rule = access.decision.rule
    raise Refused(
        f"role {role} may not {verb.value}",
        rule,
        obj=verb.value,
        hint="ask your administrator for a certificate with a role that may",
    )
