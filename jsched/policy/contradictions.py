"""What can't be meant: keys of one caller that leave nothing of each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from jsched.confinement import Mode, Network
from jsched.limits import Limits
from jsched.policy.grant import Grant
from jsched.policy.limit_sets import LimitSet, excess
from jsched.policy.rules import Setting
from jsched.policy.verbs import Reach, Verb


class Contradiction(NamedTuple):
    """The setting that is wrong, in which way, and what to do."""

    setting: Setting[Any]
    message: str
    hint: str


def contradiction(grant: Grant) -> Contradiction | None:
    """Return what contradicts itself in what a caller is granted, whoever that may be, None if nothing does."""
    return _useless_ceiling(grant) or _blind(grant) or _choosing_env(grant)


def emptiness(grant: Grant) -> Contradiction | None:
    """Return which key has no effect because of another, None if none has.

    It harms nobody, so that it is wrong for a user only if it is so whatever the user's role.
    """
    return _low_ceiling(grant) or _nothing_starts(grant)


def _useless_ceiling(grant: Grant) -> Contradiction | None:
    rules = grant.rules
    if rules.ceiling is None or rules.own_limits is None or grant.own_limits:
        return None
    return Contradiction(
        rules.ceiling,
        f"{rules.subject} has a ceiling, and may not ask for limits of its own",
        f"own_limits is false at {rules.own_limits.place}: set it to true here, or leave the ceiling out",
    )


def _low_ceiling(grant: Grant) -> Contradiction | None:
    rules = grant.rules
    if rules.profile is None or rules.ceiling is None or grant.profile is None or grant.ceiling is None:
        return None
    name = _above(grant.profile, grant.ceiling)
    if name is None:
        return None
    return Contradiction(
        rules.profile,
        f"{rules.subject} has profile {grant.profile.name!r}, and its {name} is above ceiling {grant.ceiling.name!r}",
        f"the ceiling is at {rules.ceiling.place}: lower {name} in the one, or raise it in the other",
    )


def _above(profile: LimitSet, ceiling: LimitSet) -> str | None:
    """Return the name of a limit that a profile names and that is above the ceiling."""
    bounds = ceiling.bounds
    for name, value in profile.changes.items():
        if value is None and getattr(bounds, name) is not None:
            return name
    return excess(Limits(**profile.changes), bounds)


def _blind(grant: Grant) -> Contradiction | None:
    for verb, seen, look in (
        (Verb.STOP, grant.sees, "status"),
        (Verb.DELETE, grant.sees, "status"),
        (Verb.ROOTFS_DELETE, grant.decisions[Verb.ROOTFS_LIST].reach, "rootfs_list"),
    ):
        if grant.decisions[verb].reach is Reach.ANY and seen is not Reach.ANY:
            return Contradiction(
                grant.rules.verbs[verb],
                f"{grant.rules.subject} has {verb.value} any, and can't see what is another's",
                f"give {look} any too",
            )
    return None


def _choosing_env(grant: Grant) -> Contradiction | None:
    rules = grant.rules
    if rules.commands is None or rules.env is None or not (name := rules.env.value.choosing):
        return None
    return Contradiction(
        rules.env,
        f"{rules.subject} has commands, and env {name!r}",
        "with that variable a caller chooses what is executed: name the variables one by one",
    )


def _nothing_starts(grant: Grant) -> Contradiction | None:
    """An empty list says that nothing is to be started; one whose every mode another key forbids does not."""
    rules = grant.rules
    if rules.isolation is None or grant.decisions[Verb.START].reach is Reach.NONE:
        return None
    reasons = _forbidden(grant)
    modes = [mode for mode in Mode if mode in rules.isolation.value]
    if not modes or any(mode not in reasons for mode in modes):
        return None
    words = "; ".join(f"isolation {mode.value} {reasons[mode]}" for mode in modes)
    return Contradiction(
        rules.isolation, f"{rules.subject} has start, and can start nothing: {words}", 'add a mode, such as "host"'
    )


def _forbidden(grant: Grant) -> Mapping[Mode, str]:
    """Return the modes that no job of the caller's can have, each with why."""
    rules = grant.rules
    found = {}
    if rules.network is not None and rules.network.value and Network.HOST not in rules.network.value:
        found[Mode.NONE] = f"has the host's network, which is not in network at {rules.network.place}"
    if rules.commands is not None:
        found[Mode.ROOTFS] = f"is not for who has commands, at {rules.commands.place}"
    elif grant.decisions[Verb.ROOTFS_LIST].reach is Reach.NONE:
        found[Mode.ROOTFS] = "needs verb rootfs_list"
    return found
