"""A policy: who may do what. Who is not named gets nothing."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace

from jsched.policy.document import Place
from jsched.policy.grant import Decision, Grant
from jsched.policy.limit_sets import LimitSet
from jsched.policy.rules import EVERY_ROLE
from jsched.policy.verbs import Reach, Verb


class RoleSource(enum.Enum):
    """What of a certificate is its role; the values are those of a policy file."""

    EXTENSION = "extension"
    OU = "ou"


@dataclass(frozen=True, slots=True)
class Extended:
    """The preset that a policy begins with, and the roles that this has."""

    preset: str
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may do what, made by `jsched.policy.load`.

    `source` is the file's path or the preset's name, `digest` the SHA-256 of all that it was read
    from. `extended` is None for a policy that begins with nothing. `grants` has every role, alone
    (user "") and with every user that is named; `users` and `roles` are those that are. A user that
    is named has no more than others of a role that is not.
    """

    source: str
    digest: str
    extended: Extended | None
    role_source: RoleSource
    profiles: Mapping[str, LimitSet]
    roles: Mapping[str, Place]
    users: Mapping[str, Place]
    grants: Mapping[tuple[str, str], Grant]

    def grant(self, user: str, role: str) -> Grant | None:
        """Return what a caller may do, None for nothing."""
        named = user if user in self.users else ""
        if role in self.roles:
            return self.grants[role, named]
        grant = self.grants.get((EVERY_ROLE, named))
        return grant if grant is None or named else replace(grant, subject=f"role {role}")

    def decide(self, user: str, role: str, verb: Verb) -> Decision:
        """Return how far a caller's verb reaches, and the rule that says so."""
        grant = self.grant(user, role)
        if grant is None:
            return Decision(Reach.NONE, f"no rule for role {role}", Place(self.source, 1))
        return grant.decisions[verb]

    def sees(self, user: str, role: str) -> Reach:
        """Return whose jobs there are for a caller: the widest reach of status, stream, list and wait."""
        grant = self.grant(user, role)
        return Reach.NONE if grant is None else grant.sees
