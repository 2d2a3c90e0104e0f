"""From a policy's name to the policy: its file and the preset that it extends, put together and checked."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from jsched.certificates import ROLE_PATTERN, USER_PATTERN
from jsched.errors import InvalidArgument
from jsched.policy import tables
from jsched.policy.contradictions import contradiction, emptiness
from jsched.policy.document import PRESETS, Document, parse_document, read_document
from jsched.policy.grant import Grant, make_grant
from jsched.policy.limit_sets import LimitSet
from jsched.policy.lines import Path
from jsched.policy.policy import Extended, Policy, RoleSource
from jsched.policy.rules import EVERY_ROLE, Rules, Setting

_KNOWN = ("extends", "identity", "roles", "users", "profiles")


def load(name: str) -> Policy:
    """Return the policy in a file (its path has a slash, or ends in .toml), or the preset of that name; blocking.

    Raises InvalidArgument naming the file, and the line where there is one.
    """
    return _from_document(read_document(name))


def parse(source: str, text: str) -> Policy:
    """Return the policy that a text is; raises InvalidArgument naming `source` and the line."""
    return _from_document(parse_document(source, text.encode()))


def _from_document(document: Document) -> Policy:
    tables.table(document, (), _KNOWN)
    documents = [document]
    if "extends" in document.tables:
        preset = tables.text(document, ("extends",), document.tables["extends"])
        if preset not in PRESETS:
            raise document.error(("extends",), f"there is no policy preset {preset!r}", f"presets are {_listed()}")
        documents.insert(0, read_document(preset))
    source = RoleSource.EXTENSION
    extended: Extended | None = None
    profiles: dict[str, LimitSet] = {}
    roles: dict[str, Rules] = {}
    users: dict[str, Rules] = {}
    for one in documents:
        source = tables.read_role_source(one) or source
        profiles |= {name: tables.read_profile(one, name) for name in tables.table(one, ("profiles",))}
        _add(roles, one, "roles")
        _add(users, one, "users")
        if one is not document:
            extended = Extended(one.source, tuple(roles))
    for name, rules in users.items():
        if not roles:
            raise InvalidArgument(
                f"policy {rules.place}: user {name} is in a policy without roles, and gets nothing",
                obj=document.source,
                hint='give the role of its certificate a table, [roles.NAME] or [roles."*"], or extend a preset',
            )
    return Policy(
        source=document.source,
        digest=hashlib.sha256("".join(one.digest for one in documents).encode()).hexdigest(),
        extended=extended,
        role_source=source,
        profiles=MappingProxyType(profiles),
        roles=MappingProxyType({name: rules.place for name, rules in roles.items()}),
        users=MappingProxyType({name: rules.place for name, rules in users.items()}),
        grants=MappingProxyType(_grants(document, roles, users, profiles)),
    )


def _listed() -> str:
    return ", ".join(PRESETS)


def _add(known: dict[str, Rules], document: Document, kind: str) -> None:
    for name in tables.table(document, (kind,)):
        path = (kind, name)
        rules = tables.read_rules(document, path, _subject(document, path, kind, name))
        known[name] = rules.over(known[name]) if name in known else rules


def _subject(document: Document, path: Path, kind: str, name: str) -> str:
    if kind == "roles":
        if name == EVERY_ROLE:
            return "every role"
        if not ROLE_PATTERN.fullmatch(name):
            hint = 'a lower-case letter, then letters, digits, "_" or "-"; "*" is every role without a table of its own'
            raise document.error(path, f"no certificate has a role {name!r}", hint)
        return f"role {name}"
    if not USER_PATTERN.fullmatch(name):
        hint = 'a user is the common name of a certificate: letters, digits, ".", "_", "@" or "-"'
        raise document.error(path, f"no certificate has a user {name!r}", hint)
    return f"user {name}"


def _grants(
    document: Document, roles: Mapping[str, Rules], users: Mapping[str, Rules], profiles: Mapping[str, LimitSet]
) -> dict[tuple[str, str], Grant]:
    """Return what each role comes to, alone and with each user; raises InvalidArgument for what contradicts itself."""
    grant = functools.partial(_grant, document, profiles)
    alone = {(role, ""): grant(rules) for role, rules in roles.items()}
    for one in alone.values():
        if (wrong := emptiness(one)) is not None:
            raise _wrong(document, *wrong)
    named = {(role, user): grant(own.over(rules)) for role, rules in roles.items() for user, own in users.items()}
    for user in users:
        found = [emptiness(named[role, user]) for role in roles]
        if all(found) and (wrong := found[0]) is not None:
            raise _wrong(document, *wrong)
    return alone | named


def _grant(document: Document, profiles: Mapping[str, LimitSet], rules: Rules) -> Grant:
    """Return what rules come to; raises InvalidArgument for what contradicts itself."""
    for setting in (rules.profile, rules.ceiling):
        if setting is not None and setting.value not in profiles:
            known = f"profiles are {', '.join(profiles)}" if profiles else "there is no table [profiles.NAME]"
            raise _wrong(document, setting, f"there is no profile {setting.value!r}", known)
    grant = make_grant(rules, profiles)
    if (wrong := contradiction(grant)) is not None:
        raise _wrong(document, *wrong)
    return grant


def _wrong(document: Document, setting: Setting[Any], message: str, hint: str) -> InvalidArgument:
    # It may stand in the preset, and be wrong only because of the file.
    return InvalidArgument(f"policy {setting.place}: {message}", obj=document.source, hint=hint)
