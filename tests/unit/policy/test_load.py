from __future__ import annotations

from importlib import resources

import pytest

from jsched.config import is_policy_file
from jsched.confinement import Mode, Network
from jsched.errors import InvalidArgument
from jsched.policy.commands import Command
from jsched.policy.document import PRESETS, Place
from jsched.policy.load import load, parse
from jsched.policy.policy import RoleSource
from jsched.policy.verbs import Reach, Verb

WHOLE = """\
extends = "owner"

[identity]
role_from = "ou"

[profiles.small]
cpus = 1
memory = "256m"
[[profiles.small.disk]]
device = "all"
write_bps = "10m"

[profiles.big]
memory = "4g"
pids = 0

[roles.user]
profile = "small"
ceiling = "big"
own_limits = true
isolation = ["host"]
network = ["none"]
binds = ["/srv/data:ro"]
env = ["MY_*"]
max_jobs = 10
max_streams = 50

[roles.user.verbs]
stop = "none"
status = "any"
rootfs_list = "own"

[users."alice@example.com"]
commands = [
  "/usr/bin/make",
  { path = "/usr/bin/git", args = ["pull", "**"] },
]
max_jobs = 1
verbs = { stop = "own" }
"""


def test_every_key() -> None:
    """A file adds to the preset that it extends, key by key and verb by verb, and a user's keys replace the role's."""
    policy = parse("policy.toml", WHOLE)
    assert policy.role_source is RoleSource.OU
    user = policy.grant("bob", "user")
    alice = policy.grant("alice@example.com", "user")
    assert user is not None
    assert alice is not None
    assert user.profile is policy.profiles["small"]
    assert user.ceiling is policy.profiles["big"]
    assert dict(user.ceiling.changes) == {"memory": 4 << 30, "pids": None}
    assert user.own_limits
    assert (user.modes, user.max_jobs, user.max_streams) == (frozenset({Mode.HOST}), 10, 50)
    assert user.rules.network is not None
    assert user.rules.network.value == {Network.NONE}
    assert user.rules.binds is not None
    assert [(str(one.directory), one.writable) for one in user.rules.binds.value] == [("/srv/data", False)]
    assert user.env is not None
    assert user.env.patterns == ("MY_*",)
    assert user.commands is None
    assert alice.commands == (Command("/usr/bin/make"), Command("/usr/bin/git", ("pull", "**")))
    assert (alice.max_jobs, alice.max_streams) == (1, 50)
    reaches = {verb: decision.reach for verb, decision in user.decisions.items()}
    assert reaches[Verb.STATUS] is Reach.ANY
    assert reaches[Verb.ROOTFS_LIST] is Reach.OWN
    assert reaches[Verb.STOP] is Reach.NONE
    assert reaches[Verb.STREAM] is Reach.OWN
    assert alice.decisions[Verb.STOP].reach is Reach.OWN
    assert alice.decisions[Verb.STATUS].reach is Reach.ANY


def test_a_rule_is_named_with_its_place() -> None:
    """A decision says by which rule, of whom, and on which line of which file, the preset included."""
    policy = parse("policy.toml", WHOLE)
    owner = resources.files("jsched.policy").joinpath("presets", "owner.toml").read_text()
    alice = "alice@example.com"
    cells = (
        ("bob", "user", Verb.STOP, "role user has no verb stop", WHOLE, 'stop = "none"'),
        ("bob", "user", Verb.STATUS, "role user has verb status", WHOLE, 'status = "any"'),
        ("bob", "user", Verb.STREAM, "role user has verb stream for its own", owner, 'stream = "own"'),
        ("bob", "user", Verb.START, "role user has verb start", owner, 'start = "own"'),
        ("bob", "user", Verb.DELETE, "role user has no verb delete", WHOLE, "[roles.user]"),
        (alice, "user", Verb.STOP, f"user {alice} has verb stop for its own", WHOLE, 'verbs = { stop = "own" }'),
        ("bob", "admin", Verb.STOP, "role admin has verb stop", owner, 'verbs = "any"'),
        ("bob", "guest", Verb.STOP, "no rule for role guest", WHOLE, "extends"),
    )
    for user, role, verb, rule, text, mark in cells:
        decision = policy.decide(user, role, verb)
        assert decision.rule == rule
        source = "owner" if text is owner else "policy.toml"
        assert decision.place == Place(source, text[: text.index(mark)].count("\n") + 1)


def test_a_user_that_is_named_has_nothing_without_a_role_that_is() -> None:
    """A table of users gives nothing to a certificate of a role for which there is no rule."""
    policy = parse("policy.toml", '[roles.user]\n[users.alice]\nverbs = "any"\n')
    assert policy.decide("alice", "user", Verb.STOP).reach is Reach.ANY
    assert policy.decide("alice", "guest", Verb.STOP).reach is Reach.NONE
    assert policy.grant("alice", "guest") is None
    assert policy.decide("bob", "user", Verb.STOP).reach is Reach.NONE


def test_every_other_role() -> None:
    """`*` is the roles that have no table of their own, and only those."""
    policy = parse("policy.toml", '[roles."*"]\nverbs = "own"\n[roles.user.verbs]\nstop = "own"\n')
    assert policy.decide("alice", "whatever", Verb.STATUS).rule == "every role has verb status for its own"
    assert policy.decide("alice", "user", Verb.STATUS).reach is Reach.NONE


def test_an_empty_policy_allows_nothing() -> None:
    """Who is not named gets nothing."""
    policy = parse("policy.toml", "")
    assert all(policy.decide("admin", "admin", verb).reach is Reach.NONE for verb in Verb)
    assert policy.sees("admin", "admin") is Reach.NONE


def test_what_is_seen_is_the_widest() -> None:
    """Whose jobs there are is said by status, stream, list and wait together."""
    for verb in ("status", "stream", "list", "wait"):
        policy = parse("policy.toml", f'[roles.user.verbs]\nstop = "own"\n{verb} = "any"\n')
        assert policy.sees("a", "user") is Reach.ANY
    assert parse("policy.toml", '[roles.user.verbs]\nstop = "own"\n').sees("a", "user") is Reach.NONE


def test_who_may_ask_for_limits() -> None:
    """Who is given a profile gets just that; without one, or with a ceiling, limits may be asked for."""
    cases = {"": True, 'profile = "p"': False, 'ceiling = "p"': True, 'profile = "p"\nceiling = "p"': True}
    cases |= {"own_limits = false": False, 'profile = "p"\nown_limits = true': True}
    for keys, allowed in cases.items():
        grant = parse("policy.toml", f"[roles.user]\n{keys}\n[profiles.p]\ncpus = 1\n").grant("a", "user")
        assert grant is not None
        assert grant.own_limits is allowed, keys


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_policies(name: str) -> None:
    """Each preset can be loaded by its name, names its rules by it, and can be extended without a change."""
    policy = load(name)
    assert policy.source == name
    extended = parse("policy.toml", f'extends = "{name}"')
    assert {
        key: {verb: one.reach for verb, one in grant.decisions.items()} for key, grant in policy.grants.items()
    } == {key: {verb: one.reach for verb, one in grant.decisions.items()} for key, grant in extended.grants.items()}
    assert policy.role_source is extended.role_source
    assert policy.digest != extended.digest


def test_names_of_presets_and_of_files() -> None:
    """What has a slash or ends in .toml is a file, all else a preset; a preset that there is none of says which are."""
    assert is_policy_file("./owner")
    assert is_policy_file("owner.toml")
    assert not is_policy_file("owner")
    with pytest.raises(InvalidArgument) as caught:
        load("ownr")
    assert caught.value.message == "there is no policy preset 'ownr'"
    assert "jsched, viewer, owner, commands, open" in caught.value.hint
