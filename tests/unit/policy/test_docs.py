from __future__ import annotations

import re
from pathlib import Path

from jsched.policy.document import PRESETS
from jsched.policy.load import load, parse
from jsched.policy.rules import EVERY_ROLE
from jsched.policy.table import verb_table
from jsched.policy.verbs import Verb

PAGE = (Path(__file__).parents[3] / "docs" / "policies.md").read_text()


def preset_table() -> str:
    """The presets as the documentation has them, made from the presets."""
    head, roles, rows = ["preset"], ["role"], [[verb.value] for verb in Verb]
    more = [["role from"], ["limits of their own"], ["commands"]]
    for name in PRESETS:
        policy = load(name)
        (_, *columns), *cells = verb_table(policy)
        head += [f"`{name}`"] * len(columns)
        roles += [f"`{role}`" if role in policy.roles else role for role in columns]
        for row, found in zip(rows, cells, strict=True):
            row += found[1:]
        for role in policy.roles:
            grant = policy.grants[role, ""]
            more[0].append({"extension": "extension", "ou": "OU"}[policy.role_source.value])
            more[1].append("yes" if grant.own_limits else "no")
            more[2].append("any" if grant.commands is None else "as listed")
            assert role != EVERY_ROLE or grant.subject == "every role"
    lines = [head, ["---"] * len(head), roles, *rows, *more]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def test_the_table_of_presets() -> None:
    """The table in the documentation is the presets, cell by cell."""
    assert preset_table() in PAGE


def test_every_key_and_verb_is_explained() -> None:
    """No key of a policy file, and no verb, is missing in the documentation."""
    from jsched.policy.rules import KEYS

    for word in (*KEYS, *(verb.key for verb in Verb), "extends", "role_from", "verbs", "profiles", "users", "roles"):
        assert f"`{word}`" in PAGE, word


def test_the_examples_are_policies() -> None:
    """Every policy in the documentation can be loaded."""
    examples = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert examples
    for example in examples:
        parse("policy.toml", example)
