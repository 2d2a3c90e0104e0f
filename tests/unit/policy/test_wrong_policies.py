"""Policies that are wrong: each is refused with its file, its line and what is wrong there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jsched.errors import InvalidArgument
from jsched.policy.load import load, parse

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


def refused(text: str) -> InvalidArgument:
    """The error with which a policy is refused."""
    with pytest.raises(InvalidArgument) as caught:
        parse("policy.toml", text)
    return caught.value


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


def test_a_policy_that_is_nested_too_deeply_is_wrong() -> None:
    """However deep a file is nested, it is an error of the file and not a defect of the program."""
    said = set()
    for depth in range(150, 500):
        error = refused("x = " + "{ x = " * depth + "1" + " }" * depth)
        said.add(error.message)
    assert said == {"policy policy.toml:1: unknown key 'x'", "policy policy.toml: nested too deeply"}
