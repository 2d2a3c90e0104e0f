"""Print what a policy says: verbs by roles, what else is set for whom, and where."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jsched.policy.policy import Policy

EXAMPLES = """
jsched policy show
jsched policy show owner
jsched policy show /etc/jsched/policy.toml
"""

_SOURCES = {"extension": "role extension", "ou": "organizational unit (OU)"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `policy show`."""
    parser.add_argument(
        "policy", metavar="FILE|PRESET", nargs="?", help="the policy; without it, that of the server's configuration"
    )
    parser.add_argument("--config", metavar="FILE", help="the server's TOML file (JSCHED_SERVER_CONFIG)")


def run(args: argparse.Namespace) -> int:
    """Print the policy; raises InvalidArgument for one that is wrong."""
    from jsched import config_sources
    from jsched.policy.load import load
    from jsched.policy.table import verb_table

    policy = load(args.policy or config_sources.load({}, config_file=args.config).policy)
    print(f"policy {policy.source}: the role is the {_SOURCES[policy.role_source.value]} of a certificate\n")
    rows = verb_table(policy)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
    if not policy.roles:
        print("\nnobody may do anything: [roles] has no table, and [users] adds to what a role has")
    if added := list(_added(policy)):
        print("\n" + "\n".join(added))
    if more := list(dict.fromkeys(_settings(policy))):
        print("\n" + "\n".join(more))
    return 0


def _added(policy: Policy) -> Iterator[str]:
    """Yield a line for each role that the preset does not have: it may be a new one, or one that is misspelled."""
    from jsched.policy.rules import EVERY_ROLE

    if policy.extended is None or EVERY_ROLE in policy.extended.roles:
        return
    known = ", ".join(policy.extended.roles)
    for role, place in policy.roles.items():
        if role not in policy.extended.roles:
            shown = "every role without a table" if role == EVERY_ROLE else f"role {role}"
            yield f"{shown} is new here ({place}), and has nothing of those of {policy.extended.preset}: {known}"


def _settings(policy: Policy) -> Iterator[str]:
    """Yield a line for each thing that is set besides the roles' verbs."""
    from jsched.limits import Limits
    from jsched.policy.limit_sets import in_words
    from jsched.policy.rules import KEYS

    for (_, user), grant in policy.grants.items():
        rules = grant.rules
        if user:
            for verb, reach in rules.verbs.items():
                if reach.subject == rules.subject:
                    yield f"{rules.subject}: {verb.value} {reach.value.word} ({reach.place})"
        for key in KEYS:
            setting = getattr(rules, key)
            if setting is not None and setting.subject == rules.subject:
                yield f"{rules.subject}: {key} {_text(setting.value)} ({setting.place})"
    for name, limits in policy.profiles.items():
        words = in_words(Limits(**limits.changes))
        without = [key for key, value in limits.changes.items() if not value and value != 0]
        yield f"profile {name}: {words}" + (f"; no limit of {', '.join(without)}" if without else "")


def _text(value: Any) -> str:
    from jsched.policy.env_names import EnvNames

    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, EnvNames):
        value = value.patterns
    if isinstance(value, frozenset):
        value = tuple(sorted(one.value for one in value))
    if isinstance(value, tuple):
        return ", ".join(map(_text, value)) or "none"
    return str(value)
