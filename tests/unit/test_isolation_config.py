"""The table [isolation]: deny by default, and an error for what is not understood."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jsched import config_sources
from jsched.confinement import ACCOUNTS, Mode, Network
from jsched.errors import InvalidArgument
from jsched.isolation import ids
from jsched.isolation_config import AllowedBind, IsolationConfig, parse_isolation

KNOWN = "default, modes, network, networks, binds, users, groups, scratch, required"


def test_the_default_denies() -> None:
    """A server that is told nothing walls jobs in, and allows neither less nor the host's network, files or users."""
    rules = parse_isolation({})
    assert rules == IsolationConfig()
    assert (rules.default, rules.network, rules.required) == (Mode.HOST, Network.NONE, True)
    assert Mode.NONE not in rules.modes
    assert Network.HOST not in rules.networks
    assert (rules.binds, rules.users, rules.groups) == ((), frozenset(), frozenset())


def test_all_keys() -> None:
    """Every key means what it says, and what is the default is allowed."""
    rules = parse_isolation(
        {
            "default": "none",
            "modes": ["rootfs"],
            "network": "host",
            "networks": ["none"],
            "binds": ["/srv/data", "/etc:ro"],
            "users": ["root", "1000"],
            "groups": ["100"],
            "scratch": "1GiB",
            "required": False,
        }
    )
    assert rules == IsolationConfig(
        default=Mode.NONE,
        modes=frozenset({Mode.NONE, Mode.ROOTFS}),
        network=Network.HOST,
        networks=frozenset({Network.NONE, Network.HOST}),
        binds=(AllowedBind(Path("/srv/data"), writable=True), AllowedBind(Path("/etc"), writable=False)),
        users=frozenset({"root", "1000"}),
        groups=frozenset({"100"}),
        scratch=1 << 30,
        required=False,
    )


@pytest.mark.parametrize(
    ("table", "obj", "message"),
    [
        ({"defualt": "host"}, "isolation", "unknown key 'defualt' in isolation"),
        ({"default": "rootfs"}, "default", "default is 'rootfs', and which one is each job's to say"),
        ({"default": "HOST"}, "default", "default is 'HOST', not one of 'none', 'host', 'rootfs'"),
        ({"default": ["host"]}, "default", "default is ['host'], not one of 'none', 'host', 'rootfs'"),
        ({"network": True}, "network", "network is True, not one of 'none', 'host'"),
        ({"modes": "none"}, "modes", "modes is not a list of texts"),
        ({"modes": ["all"]}, "modes", "modes is 'all', not one of 'none', 'host', 'rootfs'"),
        ({"networks": [1]}, "networks", "networks is not a list of texts"),
        ({"networks": ["bridge"]}, "networks", "networks is 'bridge', not one of 'none', 'host'"),
        ({"binds": "/srv"}, "binds", "binds is not a list of texts"),
        ({"binds": ["srv"]}, "binds", "binds has 'srv', not an absolute path, with or without :ro"),
        ({"binds": [":ro"]}, "binds", "binds has ':ro', not an absolute path, with or without :ro"),
        ({"binds": ["/srv/../etc"]}, "binds", "binds has '/srv/../etc', not an absolute path, with or without :ro"),
        ({"binds": ["/srv\0"]}, "binds", r"binds has '/srv\x00', not an absolute path, with or without :ro"),
        ({"users": "root"}, "users", "users is not a list of texts"),
        ({"users": [0]}, "users", "users is not a list of texts"),
        ({"groups": {"a": 1}}, "groups", "groups is not a list of texts"),
        ({"users": ["root", "nobody"]}, "users", "users: user 'nobody' is neither root nor a number below 65536"),
        ({"groups": ["65536"]}, "groups", "groups: group '65536' is neither root nor a number below 65536"),
        ({"users": ["-1"]}, "users", "users: user '-1' is neither root nor a number below 65536"),
        ({"users": ["٣"]}, "users", "users: user '٣' is neither root nor a number below 65536"),
        ({"scratch": 4096}, "scratch", "scratch is 4096, not a size of 1 MiB and up"),
        ({"scratch": 1.5e9}, "scratch", "scratch is 1500000000.0, not a size of 1 MiB and up"),
        ({"scratch": True}, "scratch", "scratch is True, not a size of 1 MiB and up"),
        ({"scratch": "1k"}, "scratch", "scratch is '1k', not a size of 1 MiB and up"),
        ({"required": 1}, "required", "required is 1, not true or false"),
        ({"required": "no"}, "required", "required is 'no', not true or false"),
        (["host"], "isolation", "isolation is not a table"),
        (True, "isolation", "isolation is not a table"),
    ],
)
def test_what_is_not_understood_is_refused(table: Any, obj: str, message: str) -> None:
    """A wrong key, type or value is an error that names it, never a wall less."""
    with pytest.raises(InvalidArgument) as caught:
        parse_isolation(table)
    assert (caught.value.obj, caught.value.message) == (obj, message)


def test_ids_that_are_accepted_are_those_that_jobs_have() -> None:
    """The configuration knows no number to be right that a job's range of ids does not have."""
    assert ACCOUNTS == ids.RANGE_SIZE


def test_known_keys_are_told() -> None:
    """Whoever misspells a key is told which there are."""
    with pytest.raises(InvalidArgument) as caught:
        parse_isolation({"bind": []})
    assert caught.value.hint == f"known are {KNOWN}"


def test_scratch_that_is_no_size_names_the_key() -> None:
    """A text that is no size is refused with the key's name."""
    with pytest.raises(InvalidArgument, match="scratch"):
        parse_isolation({"scratch": "much"})


def test_the_file_is_named(tmp_path: Path) -> None:
    """An error in the table says in which file it is."""
    file = tmp_path / "jsched.toml"
    file.write_text('[isolation]\nmodes = ["everything"]\n')
    with pytest.raises(InvalidArgument) as caught:
        config_sources.load({}, config_file=str(file), environ={"HOME": str(tmp_path)})
    assert caught.value.message.startswith(f"config file {file}: isolation: modes is 'everything', not one of")


def test_from_the_file(tmp_path: Path) -> None:
    """A table in the file is the server's configuration, and no variable can be one."""
    file = tmp_path / "jsched.toml"
    file.write_text('[isolation]\nnetworks = ["host"]\nusers = ["root"]\nscratch = "64m"\n')
    environ = {"HOME": str(tmp_path), "JSCHED_ISOLATION": "none"}
    rules = config_sources.load({}, config_file=str(file), environ=environ).isolation
    assert rules == IsolationConfig(
        networks=frozenset({Network.NONE, Network.HOST}), users=frozenset({"root"}), scratch=64 << 20
    )
