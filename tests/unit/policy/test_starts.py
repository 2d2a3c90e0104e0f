from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jsched.confinement import Bind, Confinement, Mode, Network
from jsched.isolation_config import AllowedBind, IsolationConfig
from jsched.job import JobSpec
from jsched.limits import Limits
from jsched.policy.access import authorize
from jsched.policy.grant import Grant, Refused
from jsched.policy.load import parse
from jsched.policy.starts import Admission, Defaults, admit, looks_at_files
from jsched.policy.verbs import Verb
from jsched.terms import Terms

MIB = 1 << 20
ALL = frozenset(Mode)
DEFAULTS = Defaults(
    limits=Limits(cpus=2.0, memory=1000 * MIB, pids=512),
    isolation=IsolationConfig(modes=ALL, networks=frozenset(Network)),
    search_path="/usr/bin:/bin",
    home="/",
)
PROFILES = """
[profiles.small]
cpus = 1
memory = "100m"
[profiles.big]
cpus = 4
memory = "400m"
"""


def grant(keys: str, more: str = "") -> Grant:
    """What the role `user` is granted by some keys of its table."""
    found = parse("p.toml", f'{more}{PROFILES}\n[roles.user]\nverbs = "any"\n{keys}\n').grant("alice", "user")
    assert found is not None
    return found


def admitted(keys: str, defaults: Defaults = DEFAULTS, **fields: Any) -> Admission:
    """A start that is allowed."""
    return admit(grant(keys), "alice", JobSpec(**({"argv": ["true"]} | fields)), defaults)


def refused(keys: str, defaults: Defaults = DEFAULTS, **fields: Any) -> Refused:
    """How a start is refused."""
    with pytest.raises(Refused) as caught:
        admitted(keys, defaults, **fields)
    assert caught.value.kind == "permission_denied"
    return caught.value


def test_without_rules_all_is_the_server_s_own() -> None:
    """Who is only given verbs starts jobs as the configuration has it."""
    admission = admitted("", argv=["anything"], env={"LD_PRELOAD": "x"}, limits=Limits(cpus=100.0))
    assert admission.terms == Terms()
    assert admission.rule == "role user has verb start"
    assert admission.spec.argv == ("anything",)
    assert not looks_at_files(grant(""))


def test_limits_of_a_profile() -> None:
    """A job that asks for nothing gets what its profile names, and of the rest what the server has."""
    assert admitted('profile = "small"').terms.profile == Limits(cpus=1.0, memory=100 * MIB, pids=512)
    error = refused('profile = "small"', limits=Limits(pids=1))
    assert error.message == "role user may not ask for limits: pids"
    assert error.rule == "role user has no own limits"
    assert "leave them out" in error.hint


def test_limits_up_to_a_ceiling() -> None:
    """Limits may be asked for up to the ceiling, and what is not asked for is not above it, either."""
    keys = 'ceiling = "big"'
    assert admitted(keys, limits=Limits(cpus=4.0)).terms.profile == Limits(cpus=2.0, memory=400 * MIB, pids=512, swap=0)
    error = refused(keys, limits=Limits(cpus=4.1))
    assert error.message == "role user may not ask for so much: cpus"
    assert error.rule == "role user has ceiling big, and cpus is above it"
    assert refused(keys, limits=Limits(swap=1)).obj == "swap"
    assert admitted('profile = "small"\nceiling = "big"', limits=Limits(memory=300 * MIB)).terms.profile == Limits(
        cpus=1.0, memory=100 * MIB, pids=512, swap=0
    )


def test_isolation_is_judged_as_it_would_be() -> None:
    """What counts is the mode that a job would get, asked for or not."""
    host, none = 'isolation = ["host"]', 'isolation = ["none"]'
    rules = admitted(host).terms.rules
    assert rules is not None
    assert rules.default is Mode.HOST
    assert rules.modes == {Mode.HOST}
    admitted(host, confinement=Confinement(mode=Mode.HOST))
    error = refused(host, confinement=Confinement(mode=Mode.NONE))
    assert (error.message, error.hint) == ("role user may not have isolation none", "allowed: host")
    assert refused(host, confinement=Confinement(rootfs="debian")).message == "role user may not have isolation rootfs"
    error = refused(none)
    assert (error.message, error.hint) == ("role user may not have isolation host", "allowed: none")
    open_server = replace(DEFAULTS, isolation=IsolationConfig(default=Mode.NONE, modes=ALL))
    admitted(none, open_server)
    assert refused(host, open_server).message == "role user may not have isolation none"


def test_who_may_not_go_without_walls_does_not_where_there_are_none() -> None:
    """A server that starts jobs without walls for want of them does not do so for who is not allowed that."""
    lenient = replace(DEFAULTS, isolation=replace(DEFAULTS.isolation, required=False))
    cases = {'isolation = ["host"]': True, 'network = ["none"]': True, 'isolation = ["host", "none"]': False}
    for keys, required in cases.items():
        rules = admitted(keys, lenient).terms.rules
        assert rules is not None
        assert rules.required is required
    assert admitted("", lenient).terms.rules is None


def test_network() -> None:
    """Isolation none has the host's network, so that who may not have that may not have this."""
    keys = 'network = ["none"]'
    admitted(keys)
    assert refused(keys, confinement=Confinement(network=Network.HOST)).message == "role user may not have network host"
    error = refused(keys, confinement=Confinement(mode=Mode.NONE))
    assert error.message == "role user may not have network host, which isolation none has"
    assert refused('network = ["host"]').message == "role user may not have network none"


def test_root_file_systems() -> None:
    """A job runs in those that its owner sees: all, its own, or none."""
    spec = JobSpec(["true"], confinement=Confinement(rootfs="debian"))
    for reach, owner in (("any", None), ("own", "alice")):
        more = f'[users.alice.verbs]\nrootfs_list = "{reach}"\nrootfs_delete = "none"\n'
        assert admit(grant("", more), "alice", spec, DEFAULTS).terms.rootfs_of == owner
    with pytest.raises(Refused, match="sees no root file systems"):
        more = '[users.alice.verbs]\nrootfs_list = "none"\nrootfs_delete = "none"\n'
        admit(grant("", more), "alice", spec, DEFAULTS)


def test_binds() -> None:
    """The policy's directories go to the engine, which holds them and the configuration's against what is asked."""
    rules = admitted('binds = ["/srv/data:ro", "/srv/out"]').terms.rules
    assert rules is not None
    assert rules.binds == (AllowedBind(Path("/srv/data"), writable=False), AllowedBind(Path("/srv/out"), writable=True))


def test_environment() -> None:
    """Only variables that are named may be set."""
    admitted('env = ["MY_*"]', env={"MY_A": "1"})
    error = refused('env = ["MY_*"]', env={"MY_A": "1", "PATH": "/tmp"})
    assert error.message == "role user may not set environment variable PATH"


def test_a_command_is_started_by_its_real_path(tmp_path: Path) -> None:
    """The job that is started has the path that was checked as argv[0], and keeps the rest of what was asked."""
    tool = tmp_path / "real"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    (tmp_path / "link").symlink_to("real")
    keys = f'commands = ["/usr/bin/make", {{ path = "{tool}", args = ["a", "**"] }}]'
    admission = admitted(keys, argv=["./link", "a", "b"], workdir=str(tmp_path), env={"LC_ALL": "C"}, name="n")
    assert admission.spec.argv == (str(tool), "a", "b")
    assert (admission.spec.env, admission.spec.name, admission.spec.workdir) == ({"LC_ALL": "C"}, "n", str(tmp_path))
    assert admission.rule == f"role user has command {tool} a **: {tool}"
    assert looks_at_files(grant(keys))


def test_a_command_that_is_not_in_the_list(tmp_path: Path) -> None:
    """What is not allowed and what is not there are refused alike; the audit's rule tells them apart."""
    keys = 'commands = [{ path = "/usr/bin/env", args = [] }]'
    errors = [
        refused(keys, argv=[name, *args])
        for name, args in (("/bin/sh", ()), ("/no/such", ()), ("sh", ()), ("env", ("sh",)))
    ]
    for error, name in zip(errors, ("/bin/sh", "/no/such", "sh", "env"), strict=True):
        assert error.message == f"role user may not start {name!r}, or not with these arguments"
        assert error.hint == errors[0].hint
        assert error.obj == name
    assert errors[0].rule == f"role user has no command {os.path.realpath('/bin/sh')} with these arguments"
    assert errors[1].rule == "role user has commands, and there is no program '/no/such'"
    assert refused("commands = []", argv=["env"]).message.startswith("role user may not start 'env'")


def test_whom_a_message_is_about() -> None:
    """Rules of every role are told to a caller as those of its own role; the audit has whose they are."""
    policy = parse("p.toml", 'extends = "commands"\n[users.bob]\ncommands = ["/usr/bin/env"]\n')
    for user, subject, commands in (("alice", "role guest", "every role"), ("bob", "user bob", "user bob")):
        granted = policy.grant(user, "guest")
        assert granted is not None
        with pytest.raises(Refused) as caught:
            admit(granted, user, JobSpec(["sh"]), DEFAULTS)
        assert caught.value.message == f"{subject} may not start 'sh', or not with these arguments"
        assert caught.value.rule.startswith(f"{commands} has no command ")
    granted = policy.grant("alice", "guest")
    assert granted is not None
    with pytest.raises(Refused) as caught:
        admit(granted, "alice", JobSpec(["sh"], limits=Limits(cpus=1.0)), DEFAULTS)
    assert (caught.value.message, caught.value.rule) == (
        "role guest may not ask for limits: cpus",
        "every role has no own limits",
    )


@pytest.mark.parametrize(
    ("verb", "in_general", "of_anothers"),
    [
        (Verb.STOP, "stop", "stop"),
        (Verb.STATUS, "see the status of jobs", "see the status of"),
        (Verb.ROOTFS_DELETE, "delete root file systems", "delete"),
        (Verb.STATS, "see stats", "see"),
    ],
)
def test_verbs_in_messages(verb: Verb, in_general: str, of_anothers: str) -> None:
    """A refusal says what may not be done in words that make a sentence."""
    with pytest.raises(Refused) as caught:
        authorize(parse("p.toml", ""), "alice", "user", verb)
    assert caught.value.message == f"role user may not {in_general}"
    policy = parse("p.toml", f'[roles.user.verbs]\nlist = "any"\nrootfs_list = "any"\n{verb.key} = "own"\n')
    with pytest.raises(Refused) as caught:
        authorize(policy, "alice", "user", verb).check("bob", "x")
    assert caught.value.message == f"role user may not {of_anothers} what is another's"


def test_what_would_get_round_a_list_of_commands() -> None:
    """With a list of commands there is no rootfs, no bind, and no variable but the harmless ones."""
    keys = 'commands = ["/usr/bin/env"]'
    assert "list of commands" in refused(keys, argv=["env"], confinement=Confinement(rootfs="mine")).message
    bind = Confinement(binds=(Bind("/srv", "/usr/bin"),))
    assert "list of commands" in refused(keys, argv=["env"], confinement=bind).message
    for name in ("LD_PRELOAD", "PATH", "GCONV_PATH", "HOME"):
        assert refused(keys, argv=["env"], env={name: "x"}).message.endswith(name)
    admitted(keys, argv=["env"], env={"LANG": "C", "LC_ALL": "C", "TZ": "UTC", "TERM": "dumb"})


def test_where_a_relative_name_is_looked_for(tmp_path: Path) -> None:
    """Without a working directory a job begins at home, or where its walls say."""
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    keys = f'commands = ["{tool}"]'
    at_home = replace(DEFAULTS, home=str(tmp_path), walled_home="/nowhere")
    assert admitted(keys, at_home, argv=["./tool"], confinement=Confinement(mode=Mode.NONE)).spec.argv == (str(tool),)
    refused(keys, at_home, argv=["./tool"])
    behind_walls = replace(DEFAULTS, home="/nowhere", walled_home=str(tmp_path))
    assert admitted(keys, behind_walls, argv=["./tool"]).spec.argv == (str(tool),)


def test_how_many() -> None:
    """The number of jobs goes to the engine as it is."""
    assert admitted("max_jobs = 3").terms.max_jobs == 3
