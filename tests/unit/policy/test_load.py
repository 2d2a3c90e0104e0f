from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

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


def refused(text: str) -> InvalidArgument:
    """The error with which a policy is refused."""
    with pytest.raises(InvalidArgument) as caught:
        parse("policy.toml", text)
    return caught.value


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


WRONG = [
    ("x = 1", 1, "unknown key 'x'", "known are extends"),
    ('extends = "nothing"', 1, "there is no policy preset 'nothing'", "viewer"),
    ("extends = 1", 1, "extends is 1, not a text", ""),
    ("a = 1\n[b", 2, "not TOML: ", ""),
    ("[roles]\n[roles]", 2, "not TOML: ", ""),
    ("[roles]\nuser = 1", 2, "roles.user is not a table", ""),
    ("roles = 1", 1, "roles is not a table", ""),
    ("\n[identity]\nrole_from = 'cn'", 3, "identity.role_from is 'cn', not 'extension' or 'ou'", ""),
    ("[identity]\nrole = 'ou'", 2, "unknown key 'role' in identity", "role_from"),
    ("[roles.User]", 1, "no certificate has a role 'User'", "lower-case"),
    ("[users.'al ice']", 1, "no certificate has a user 'al ice'", "common name"),
    ("[roles.user]\nverb = 1", 2, "unknown key 'verb' in roles.user", "verbs"),
    (
        "[roles.user.verbs]\nstart = 'own'\nstrat = 'own'",
        3,
        "unknown verb 'strat' in roles.user.verbs",
        "rootfs_upload",
    ),
    ("[roles.user.verbs]\nstart = 'all'", 2, "roles.user.verbs.start is 'all', not 'none', 'own' or 'any'", ""),
    ("[roles.user.verbs]\nstart = true", 2, "roles.user.verbs.start is true, not 'none', 'own' or 'any'", ""),
    ("[roles.user]\nverbs = 'every'", 2, "roles.user.verbs is 'every', not 'none', 'own' or 'any'", ""),
    ("[roles.user]\nverbs = 3", 2, "roles.user.verbs is 3, not a table", ""),
    ("[roles.user]\nprofile = 'big'", 2, "there is no profile 'big'", "there is no table"),
    ("[roles.user]\nceiling = 'big'\n[profiles.b]\n", 2, "there is no profile 'big'", "profiles are b"),
    ("[roles.user]\nprofile = 1", 2, "roles.user.profile is 1, not a text", ""),
    ("[roles.user]\nown_limits = 1", 2, "roles.user.own_limits is 1, not true or false", ""),
    ("[roles.user]\ncommands = '/bin/ls'", 2, "roles.user.commands is '/bin/ls', not a list", ""),
    ("[roles.user]\ncommands = [\n  '/bin/ls',\n  'ls']", 4, "roles.user.commands[1]: 'ls' is not the absolute", ""),
    ("[roles.user]\ncommands = [\n  { args = [] }]", 3, "roles.user.commands[0] has no path", ""),
    ("[roles.user]\ncommands = [{ path = '/x', arg = [] }]", 2, "unknown key 'arg' in roles.user.commands[0]", "args"),
    (
        "[roles.user]\ncommands = [{ path = '/x', args = [1] }]",
        2,
        "roles.user.commands[0].args[0] is 1, not a text",
        "",
    ),
    ("[roles.user]\ncommands = [3]", 2, "roles.user.commands[0] is 3, not a path", ""),
    ("[roles.user]\nisolation = ['host',\n'jail']", 3, "roles.user.isolation[1] is 'jail', not 'none', 'host' or", ""),
    ("[roles.user]\nnetwork = ['all']", 2, "roles.user.network[0] is 'all', not 'none' or 'host'", ""),
    ("[roles.user]\nbinds = ['data']", 2, "binds has 'data', not an absolute path", ""),
    ("[roles.user]\nenv = ['A-B']", 2, "roles.user.env[0]: 'A-B' is not the name of a variable", ""),
    ("[roles.user]\nmax_jobs = -1", 2, "roles.user.max_jobs is -1, not a whole number from 0", ""),
    ("[roles.user]\nmax_jobs = true", 2, "roles.user.max_jobs is true, not a whole number", ""),
    ("[roles.user]\nmax_streams = 1.5", 2, "roles.user.max_streams is 1.5, not a whole number", ""),
    ("[profiles.p]\ncpu = 1", 2, "unknown key 'cpu' in profiles.p", "cpus"),
    ("[profiles.p]\nenabled = false", 2, "unknown key 'enabled' in profiles.p", "cpus"),
    ("[profiles.p]\ncpus = 1\nmemory = '1q'", 3, "memory '1q' is not a size", ""),
    ("[profiles.p]\nmemory = '1k'", 2, "memory is 1 KiB, less than 8 MiB", ""),
    ("[profiles.p]\n[[profiles.p.disk]]\nwrite_bps = 1", 2, "an entry of disk is not a table with a device", ""),
    ("[profiles.p]\ncpus = 'two'", 2, "cpus is 'two', not a number", ""),
    (
        "[profiles.p]\n[roles.user]\nown_limits = false\nceiling = 'p'",
        4,
        "role user has a ceiling, and may not ask for limits of its own",
        "own_limits is false at policy.toml:3",
    ),
    (
        "[roles.user.verbs]\nstatus = 'own'\nstop = 'any'",
        3,
        "role user has stop any, and can't see what is another's",
        "status any",
    ),
    (
        "[roles.user.verbs]\nstatus = 'any'\nrootfs_delete = 'any'",
        3,
        "role user has rootfs delete any, and can't see what is another's",
        "rootfs_list any",
    ),
    (
        "[roles.user]\ncommands = []\nenv = ['LANG', 'LD_PRELOAD']",
        3,
        "role user has commands, and env 'LD_PRELOAD'",
        "one by one",
    ),
    (
        "[roles.user]\nenv = ['*']\n[users.alice]\ncommands = []",
        2,
        "user alice has commands, and env '*'",
        "one by one",
    ),
    (
        "[[profiles.p.disk]]\ndevice = '8:0'\n[[profiles.p.disk]]\ndevice = '8:1'\nread = 1",
        5,
        "unknown key 'read'",
        "device",
    ),
    ("[[profiles.p.disk]]\ndevice = '8:0'\n[[profiles.p.disk]]\nread_bps = 1", 3, "an entry of disk is not", ""),
    (
        "[[profiles.p.disk]]\ndevice = '8:0'\n[[profiles.p.disk]]\nread_bps = 1\ndevice = ''",
        5,
        "disk '' is not the name",
        "",
    ),
    (
        "[[profiles.p.disk]]\ndevice = '8:0'\n[[profiles.p.disk]]\ndevice = '8:1'\nread_bps = '1q'",
        5,
        "read_bps '1q' is not a size",
        "",
    ),
    (
        "[roles.user]\nverbs = 'own'\ncommands = ['/bin/ls']\nisolation = ['rootfs']",
        4,
        "role user has start, and can start nothing: isolation rootfs is not for who has commands, at policy.toml:3",
        "add a mode",
    ),
    (
        "[roles.user]\nverbs = 'own'\nisolation = ['none']\nnetwork = ['none']",
        3,
        "role user has start, and can start nothing: isolation none has the host's network",
        "add a mode",
    ),
    (
        "[roles.user]\nverbs = 'own'\nisolation = ['none', 'rootfs']\nnetwork = ['none']\ncommands = []",
        3,
        "role user has start, and can start nothing: isolation none has the host's network, which is not in network at "
        "policy.toml:4; isolation rootfs is not for who has commands",
        "add a mode",
    ),
    (
        "[roles.user]\nverbs.start = 'own'\nisolation = ['rootfs']",
        3,
        "role user has start, and can start nothing: isolation rootfs needs verb rootfs_list",
        "add a mode",
    ),
    (
        "[profiles.a]\ncpus = 4\n[profiles.b]\ncpus = 2\n[roles.user]\nprofile = 'a'\nceiling = 'b'",
        6,
        "role user has profile 'a', and its cpus is above ceiling 'b'",
        "the ceiling is at policy.toml:7",
    ),
    (
        "[profiles.a]\npids = 0\n[profiles.b]\npids = 2\n[roles.user]\nprofile = 'a'\nceiling = 'b'",
        6,
        "role user has profile 'a', and its pids is above ceiling 'b'",
        "",
    ),
    (
        "[profiles.a]\ncpus = 4\n[profiles.b]\ncpus = 2\n[roles.user]\nceiling = 'b'\n[users.al]\nprofile = 'a'",
        8,
        "user al has profile 'a', and its cpus is above ceiling 'b'",
        "the ceiling is at policy.toml:6",
    ),
    ("\n[users.alice]\nverbs = 'any'", 2, "user alice is in a policy without roles, and gets nothing", "[roles.NAME]"),
]


def test_what_may_be_meant_is_no_contradiction() -> None:
    """A user's keys are wrong only if they are so with every role, and who may start nothing may have any walls."""
    for text in (
        "[roles.admin]\nverbs = 'any'\nisolation = ['rootfs']\n[roles.user]\nverbs.start = 'own'\n"
        "[users.alice]\ncommands = ['/bin/ls']",
        "[roles.user]\nverbs.status = 'own'\nisolation = ['rootfs']",
        "[roles.user]\nverbs.start = 'own'\nisolation = []",
        "[profiles.a]\nmemory = '64m'\n[roles.user]\nprofile = 'a'\nceiling = 'a'",
    ):
        parse("policy.toml", text)


def test_what_is_unsafe_with_one_role_is_refused() -> None:
    """A user with commands who could choose what is executed in one role of two is an error."""
    text = "[roles.a]\nenv = ['LANG']\n[roles.b]\nenv = ['LD_*']\n[users.alice]\ncommands = []"
    assert "user alice has commands, and env 'LD_*'" in refused(text).message


@pytest.mark.parametrize(("text", "line", "message", "hint"), WRONG)
def test_what_is_wrong_is_named_with_its_line(text: str, line: int, message: str, hint: str) -> None:
    """An unknown key, verb or role source, a wrong type, an impossible value: refused, with file and line."""
    error = refused(text)
    assert error.message.startswith(f"policy policy.toml:{line}: {message}")
    assert hint in error.hint
    assert error.obj == "policy.toml"
    assert "\n" not in error.message


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    """A file that is not UTF-8 is refused on the line where that begins."""
    path = tmp_path / "policy.toml"
    path.write_bytes(b"# fine\n# \xff\n")
    with pytest.raises(InvalidArgument, match=r"policy .*/policy\.toml:2: not UTF-8$"):
        load(str(path))


def test_files_that_are_none(tmp_path: Path) -> None:
    """What is not there, is a directory, does not answer, or is far too large is refused by its path."""
    with pytest.raises(InvalidArgument, match="No such file"):
        load(str(tmp_path / "missing.toml"))
    with pytest.raises(InvalidArgument, match="Is a directory"):
        load(str(tmp_path))
    os.mkfifo(tmp_path / "fifo.toml")
    with pytest.raises(InvalidArgument, match=r"fifo\.toml: not a regular file"):
        load(str(tmp_path / "fifo.toml"))
    (tmp_path / "large.toml").write_bytes(b"#" * (5 << 20))
    with pytest.raises(InvalidArgument, match="larger than"):
        load(str(tmp_path / "large.toml"))


def test_deep_nesting() -> None:
    """A file that is made to overflow the parser's stack is refused like any other."""
    assert "nested too deeply" in refused("a = " + "[" * 100_000).message


def test_names_of_presets_and_of_files() -> None:
    """What has a slash or ends in .toml is a file, all else a preset; a preset that there is none of says which are."""
    assert is_policy_file("./owner")
    assert is_policy_file("owner.toml")
    assert not is_policy_file("owner")
    with pytest.raises(InvalidArgument) as caught:
        load("ownr")
    assert caught.value.message == "there is no policy preset 'ownr'"
    assert "jsched, viewer, owner, commands, open" in caught.value.hint


def test_a_policy_that_is_nested_too_deeply_is_wrong() -> None:
    """However deep a file is nested, it is an error of the file and not a defect of the program."""
    said = set()
    for depth in range(150, 500):
        error = refused("x = " + "{ x = " * depth + "1" + " }" * depth)
        said.add(error.message)
    assert said == {"policy policy.toml:1: unknown key 'x'", "policy policy.toml: nested too deeply"}
