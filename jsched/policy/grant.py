"""What one caller may do: the rules of its role, and of itself, put together and made definite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jsched.confinement import Mode
from jsched.errors import PermissionDenied
from jsched.policy.commands import Command
from jsched.policy.document import Place
from jsched.policy.env_names import HARMLESS, EnvNames
from jsched.policy.limit_sets import LimitSet
from jsched.policy.rules import Rules
from jsched.policy.verbs import SIGHT, Reach, Verb


class Refused(PermissionDenied):
    """A policy does not allow it.

    `rule` is the reason for the audit, which may tell more than the message, and `place` where the
    rule stands, None for one that stands nowhere.
    """

    def __init__(self, message: str, rule: str, place: Place | None = None, *, obj: str = "", hint: str = "") -> None:
        super().__init__(message, obj=obj, hint=hint)
        self.rule = rule
        self.place = place


@dataclass(frozen=True, slots=True)
class Decision:
    """How far a caller's verb reaches, the rule that says so, and where that stands."""

    reach: Reach
    rule: str
    place: Place


@dataclass(frozen=True, slots=True)
class Grant:
    """What a caller may do. `decisions` has every verb, `sees` the widest reach of those that show jobs.

    `subject` is whom the rules are about, as messages to the caller have it: the caller's own role
    or name, also where the rules are those of every role.

    `profile` and `ceiling` are the limits that jobs get that ask for none, and up to which they
    may ask if they may (`own_limits`). None for a list is all that the server's configuration
    allows, for a number no limit.
    """

    subject: str
    rules: Rules
    decisions: Mapping[Verb, Decision]
    sees: Reach
    profile: LimitSet | None
    ceiling: LimitSet | None
    own_limits: bool

    @property
    def commands(self) -> tuple[Command, ...] | None:
        """The commands that may be started, None for any."""
        return None if self.rules.commands is None else self.rules.commands.value

    @property
    def env(self) -> EnvNames | None:
        """The names of the environment variables that may be set, None for any."""
        if self.rules.env is not None:
            return self.rules.env.value
        return None if self.rules.commands is None else HARMLESS

    @property
    def modes(self) -> frozenset[Mode] | None:
        """The modes of isolation that may be chosen."""
        return None if self.rules.isolation is None else self.rules.isolation.value

    @property
    def max_jobs(self) -> int | None:
        """How many jobs may run at once."""
        return None if self.rules.max_jobs is None else self.rules.max_jobs.value

    @property
    def max_streams(self) -> int | None:
        """How many streams, waits and uploads may be open at once."""
        return None if self.rules.max_streams is None else self.rules.max_streams.value


def make_grant(rules: Rules, profiles: Mapping[str, LimitSet]) -> Grant:
    """Return what rules come to; raises KeyError for a profile that there is none of."""
    decisions = {verb: _decision(rules, verb) for verb in Verb}
    profile = None if rules.profile is None else profiles[rules.profile.value]
    ceiling = None if rules.ceiling is None else profiles[rules.ceiling.value]
    # Who is given a profile gets just that, unless it is said how far they may go.
    own_limits = rules.own_limits.value if rules.own_limits is not None else ceiling is not None or profile is None
    return Grant(
        subject=rules.subject,
        rules=rules,
        decisions=decisions,
        sees=max(decisions[verb].reach for verb in SIGHT),
        profile=profile,
        ceiling=ceiling,
        own_limits=own_limits,
    )


def _decision(rules: Rules, verb: Verb) -> Decision:
    setting = rules.verbs.get(verb)
    if setting is None:
        return Decision(Reach.NONE, f"{rules.subject} has no verb {verb.value}", rules.place)
    if setting.value is Reach.NONE:
        return Decision(Reach.NONE, f"{setting.subject} has no verb {verb.value}", setting.place)
    own = " for its own" if setting.value is Reach.OWN and verb in OWNED else ""
    return Decision(setting.value, f"{setting.subject} has verb {verb.value}{own}", setting.place)


# Verbs that tell one's own from another's.
OWNED = frozenset(Verb) - {Verb.START, Verb.ROOTFS_UPLOAD, Verb.REFLECTION}
