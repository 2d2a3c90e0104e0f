"""A policy as people read it: verbs down, roles across."""

from __future__ import annotations

from jsched.policy.grant import OWNED
from jsched.policy.policy import Policy
from jsched.policy.rules import EVERY_ROLE
from jsched.policy.verbs import Reach, Verb


def verb_table(policy: Policy) -> list[tuple[str, ...]]:
    """Return the rows of a policy's table, the first of them its head: a verb, and each role's reach.

    What has no owner is "yes" or "none", because "own" and "any" are the same there.
    """
    roles = list(policy.roles)
    rows = [("verb", *("every role" if role == EVERY_ROLE and len(roles) == 1 else role for role in roles))]
    for verb in Verb:
        reaches = (policy.grants[role, ""].decisions[verb].reach for role in roles)
        rows.append((verb.value, *(_word(verb, reach) for reach in reaches)))
    return rows


def _word(verb: Verb, reach: Reach) -> str:
    return "yes" if reach is not Reach.NONE and verb not in OWNED else reach.word
