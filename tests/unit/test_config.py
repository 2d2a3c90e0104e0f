from __future__ import annotations

from pathlib import Path

import pytest

from jsched import config
from jsched.errors import InvalidArgument


def test_flag_variable_file_default(tmp_path: Path) -> None:
    """A flag wins over a variable, a variable over the file, the file over the default."""
    file = tmp_path / "jsched.toml"
    file.write_text('listen = "127.0.0.1:1"\nlog_dir = "logs"\ndata_dir = "/file"\ndrain_timeout = 3\n')
    environ = {"JSCHED_LISTEN": "127.0.0.1:2", "JSCHED_DATA_DIR": "/variable", "HOME": str(tmp_path)}
    loaded = config.load({"listen": "127.0.0.1:3", "log_dir": None}, config_file=str(file), environ=environ)
    assert loaded.listen == "127.0.0.1:3"
    assert loaded.data_dir == Path("/variable")
    assert loaded.log_dir == tmp_path / "logs"
    assert loaded.drain_timeout == 3.0
    assert loaded.chunk_size == 512 * 1024


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("lissten = 1", "unknown key 'lissten'"),
        ("listen = ", "not TOML"),
        ('listen = "nowhere"', "'nowhere' is not an address"),
        ('listen = "a:99999"', "'a:99999' is not an address"),
        ('chunk_size = "big"', "chunk_size is 'big', not a whole number"),
        ("chunk_size = 0", "chunk_size is 0, and has to be more than 0"),
        ("max_rootfs_size = 0", "max_rootfs_size is 0, and has to be more than 0"),
        ("start_timeout = nan", "start_timeout is nan, not a number"),
        ("start_timeout = inf", "start_timeout is inf, not a number"),
        ("chunk_size = 1.5", "chunk_size is 1.5, not a whole number"),
        ("max_rootfs_size = true", "max_rootfs_size is True, not a whole number"),
        ("[limits]\nmemory = nan", "limits: memory is nan, not a number"),
        (f"start_timeout = 1{'0' * 400}", "not a number"),
        ("drain_timeout = -1", "drain_timeout is -1.0, and has to be 0 or more"),
        ('start_timeout = "soon"', "start_timeout is 'soon', not a number"),
        ("chunk_size = 4194304", "chunk_size"),
        ("handshake_timeout = -1", "handshake_timeout"),
    ],
)
def test_a_wrong_file_is_refused_with_the_key(tmp_path: Path, content: str, named: str) -> None:
    """A configuration file is right in every key, or an error names the file and the wrong one."""
    file = tmp_path / "jsched.toml"
    file.write_text(content)
    with pytest.raises(InvalidArgument, match=named) as caught:
        config.load({}, config_file=str(file), environ={"HOME": str(tmp_path)})
    assert caught.value.message.startswith(f"config file {file}")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A missing file is an error, not an empty configuration."""
    with pytest.raises(InvalidArgument, match=r"missing\.toml"):
        config.load({}, config_file=str(tmp_path / "missing.toml"), environ={})


def test_a_wrong_variable_is_named() -> None:
    """The message says which variable is wrong."""
    with pytest.raises(InvalidArgument, match="JSCHED_CHUNK_SIZE"):
        config.load({}, environ={"JSCHED_CHUNK_SIZE": "many"})


def test_a_value_that_can_not_be_is_said_to_be_where_it_is(tmp_path: Path) -> None:
    """A variable that wins over the file is named in its place, and a flag is nobody else's mistake."""
    file = tmp_path / "jsched.toml"
    file.write_text('listen = "file"\n')
    environ = {"JSCHED_LISTEN": "variable"}
    with pytest.raises(InvalidArgument, match=r"^variable JSCHED_LISTEN: 'variable' is not an address"):
        config.load({}, config_file=str(file), environ=environ)
    with pytest.raises(InvalidArgument, match=r"^'flag' is not an address"):
        config.load({"listen": "flag"}, config_file=str(file), environ=environ)


def test_an_ipv6_address_is_split() -> None:
    """An IPv6 host stands in brackets."""
    assert config.split_address("[::1]:50051") == ("::1", 50051)


def test_a_policy_is_a_preset_or_a_file(tmp_path: Path) -> None:
    """A preset's name stays, a path begins at the configuration file, and in a variable at the working directory."""
    file = tmp_path / "jsched.toml"
    assert config.load({}, environ={}).policy == "jsched"
    for written, meant in (
        ("owner", "owner"),
        ("owner.toml", str(tmp_path / "owner.toml")),
        ("./owner", str(tmp_path / "owner")),
        ("/etc/jsched/policy.toml", "/etc/jsched/policy.toml"),
    ):
        file.write_text(f'policy = "{written}"\n')
        assert config.load({}, config_file=str(file), environ={}).policy == meant
    assert config.load({}, environ={"JSCHED_POLICY": "./p.toml"}).policy == str(Path.cwd() / "p.toml")
    assert config.load({"policy": "open"}, config_file=str(file), environ={}).policy == "open"


def test_what_is_the_servers_own(tmp_path: Path) -> None:
    """Jobs may not see the server's directories, nor the files that it was told by; of /etc/jsched nothing at all."""
    file = tmp_path / "jsched.toml"
    file.write_text('data_dir = "data"\nlog_dir = "logs"\ncerts_dir = "certs"\npolicy = "policies/ours.toml"\n')
    directories = tuple(tmp_path / name for name in ("data", "logs", "certs"))
    loaded = config.load({}, config_file=str(file), environ={})
    assert loaded.private == (*directories, file, tmp_path / "policies/ours.toml")
    loaded = config.load({"policy": "/etc/jsched/policy.toml"}, config_file=str(file), environ={})
    assert loaded.private == (*directories, file, Path("/etc/jsched"))
    assert config.Config(data_dir=tmp_path, log_dir=tmp_path).private == (tmp_path, tmp_path)
