"""What a policy says of a role or a user, as it is written: settings, each with its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from jsched.confinement import Mode, Network
from jsched.isolation_config import AllowedBind
from jsched.policy.commands import Command
from jsched.policy.document import Place
from jsched.policy.env_names import EnvNames
from jsched.policy.verbs import Reach, Verb

T = TypeVar("T")
EVERY_ROLE = "*"


@dataclass(frozen=True, slots=True)
class Setting(Generic[T]):
    """A value, of whom it is said ("role user"), and where."""

    value: T
    subject: str
    place: Place


@dataclass(frozen=True, slots=True)
class Rules:
    """The keys of a table of [roles] or [users], None for each that it does not have.

    `subject` is whom the table is about, `place` where it begins.
    """

    subject: str
    place: Place
    verbs: Mapping[Verb, Setting[Reach]] = field(default_factory=lambda: MappingProxyType({}))
    profile: Setting[str] | None = None
    own_limits: Setting[bool] | None = None
    ceiling: Setting[str] | None = None
    commands: Setting[tuple[Command, ...]] | None = None
    isolation: Setting[frozenset[Mode]] | None = None
    network: Setting[frozenset[Network]] | None = None
    binds: Setting[tuple[AllowedBind, ...]] | None = None
    env: Setting[EnvNames] | None = None
    max_jobs: Setting[int] | None = None
    max_streams: Setting[int] | None = None

    def over(self, base: Rules) -> Rules:
        """Return these rules, with those of `base` where these say nothing; verb by verb."""
        given = {name: value for name in KEYS if (value := getattr(self, name)) is not None}
        verbs: dict[str, Any] = {"verbs": MappingProxyType({**base.verbs, **self.verbs})}
        return replace(base, subject=self.subject, place=self.place, **given, **verbs)


# All keys but the verbs, which are merged one by one.
KEYS = tuple(one.name for one in fields(Rules) if one.name not in ("subject", "place", "verbs"))
