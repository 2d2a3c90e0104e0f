"""Where a client's settings come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jsched.client.settings import ClientConfig, default_file, load, split_address
from jsched.errors import InvalidArgument

FLAGS = {"server": "flag:1", "ca": "/flag/ca", "cert": "/flag/cert", "key": "/flag/key"}


def environment(home: Path, **variables: str) -> dict[str, str]:
    return {"HOME": str(home), **variables}


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_flag_wins_over_a_variable_over_the_file(tmp_path: Path) -> None:
    """Each setting comes from the nearest place that has it."""
    file = write(tmp_path / "c.toml", 'server="file:3"\nca="ca"\ncert="/c"\nkey="../k"\nreconnect_timeout=5\n')
    variables = environment(tmp_path, JSCHED_SERVER="variable:2", JSCHED_CA="/variable/ca", JSCHED_CONFIG=str(file))
    assert load({"server": "flag:1", "ca": None}, variables) == ClientConfig(
        "flag:1", Path("/variable/ca"), Path("/c"), tmp_path / "../k", 5
    )


def test_the_config_flag_wins_over_the_variable(tmp_path: Path) -> None:
    """--config names the file even if JSCHED_CONFIG does."""
    one, two = (write(tmp_path / name, f'server="{name}:1"') for name in ("one", "two"))
    found = load({**FLAGS, "server": None, "config": str(one)}, environment(tmp_path, JSCHED_CONFIG=str(two)))
    assert found.server == "one:1"


@pytest.mark.parametrize("variable", ["HOME", "XDG_CONFIG_HOME"])
def test_the_users_own_file(tmp_path: Path, variable: str) -> None:
    """Without a named file the one in the user's configuration directory counts, its paths relative to it."""
    place = tmp_path / (".config" if variable == "HOME" else "") / "jsched"
    write(place / "config.toml", 'server="h:1"\nca="ca.pem"\ncert="c.pem"\nkey="k.pem"\n')
    found = load({}, {"HOME": "/nonexistent", variable: str(tmp_path)})
    assert (found.ca, found.cert, found.key) == tuple(f"{place}/{name}.pem" for name in ("ca", "c", "k"))
    assert default_file({"HOME": "/nonexistent", variable: str(tmp_path)}) == f"{place}/config.toml"


def test_paths_in_a_file_stay_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path in a file that is named relatively is absolute afterwards, and `~` is the home directory."""
    write(tmp_path / "here/c.toml", 'server="h:1"\nca="ca.pem"\ncert="~/c.pem"\nkey="../k.pem"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/of/mine")
    found = load({"config": "here/c.toml"}, environment(tmp_path))
    assert (found.ca, found.cert, found.key) == (
        f"{tmp_path}/here/ca.pem",
        "/home/of/mine/c.pem",
        f"{tmp_path}/here/../k.pem",
    )
    assert ClientConfig("h:1", Path("~/ca"), "c", "k").ca == "/home/of/mine/ca"


def test_without_a_file_flags_are_enough(tmp_path: Path) -> None:
    """The user's own file need not be there, nor its directory."""
    assert load(FLAGS, environment(tmp_path / "nowhere")).server == "flag:1"


@pytest.mark.parametrize(
    ("left_out", "message"),
    [
        (["server"], "server is not set"),
        (["cert", "key"], "cert and key are not set"),
        (["server", "ca", "cert", "key"], "server, ca, cert and key are not set"),
    ],
)
def test_a_missing_setting_is_named(tmp_path: Path, left_out: list[str], message: str) -> None:
    """What is missing is named, with every way to give it."""
    with pytest.raises(InvalidArgument) as caught:
        load({name: value for name, value in FLAGS.items() if name not in left_out}, environment(tmp_path))
    assert caught.value.message == message
    for name in left_out:
        assert f"--{name} or JSCHED_{name.upper()}" in caught.value.hint
    assert str(tmp_path / ".config/jsched/config.toml") in caught.value.hint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('sever="h:1"', "unknown key 'sever'"),
        ("server=1", "server is 1, not a text"),
        ('cert=""', "cert is '', not a text"),
        ('reconnect_timeout="60s"', "reconnect_timeout is '60s', not a number of seconds"),
        ("reconnect_timeout=true", "reconnect_timeout is True, not a number of seconds"),
        ("server=", "is not TOML"),
        ("\udcff", "is not TOML"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    """A fault in the file is told with the file's name and the key."""
    file = tmp_path / "c.toml"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InvalidArgument) as caught:
        load({**FLAGS, "config": str(file)}, environment(tmp_path))
    assert caught.value.message.startswith(f"config file {file}")
    assert message in caught.value.message


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    """A file that was asked for is never passed over, even if nothing in it is needed."""
    with pytest.raises(InvalidArgument, match=r"config file .*/gone: No such file or directory"):
        load({**FLAGS, "config": str(tmp_path / "gone")}, environment(tmp_path))


def test_a_wrong_reconnect_variable_is_named(tmp_path: Path) -> None:
    """JSCHED_RECONNECT_TIMEOUT has to be a number of seconds."""
    assert load(FLAGS, environment(tmp_path, JSCHED_RECONNECT_TIMEOUT="2.5")).reconnect_timeout == 2.5
    for text in ("soon", "-1", "inf", "nan"):
        with pytest.raises(InvalidArgument, match=r"(?i)reconnect_timeout"):
            load(FLAGS, environment(tmp_path, JSCHED_RECONNECT_TIMEOUT=text))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("localhost:1", ("localhost", 1)),
        ("10.0.0.1:65535", ("10.0.0.1", 65535)),
        ("[::1]:50051", ("::1", 50051)),
        ("a.b-c.example:443", ("a.b-c.example", 443)),
    ],
)
def test_addresses(text: str, parts: tuple[str, int]) -> None:
    """HOST:PORT is taken apart, brackets of IPv6 aside."""
    assert split_address(text) == parts


@pytest.mark.parametrize(
    "text", ["", "host", ":1", "host:", "host:0", "host:65536", "::1:5", "h:1\n", "dns:///h:1", "h:x"]
)
def test_wrong_addresses(text: str) -> None:
    """Whatever is not HOST:PORT is refused before anything is sent anywhere."""
    with pytest.raises(InvalidArgument, match="is not HOST:PORT"):
        split_address(text)


def test_a_config_is_checked_when_made(tmp_path: Path) -> None:
    """A wrong address or time never becomes a configuration."""
    settings: dict[str, Any] = {"ca": tmp_path, "cert": tmp_path, "key": tmp_path}
    with pytest.raises(InvalidArgument):
        ClientConfig("nowhere", **settings)
    with pytest.raises(InvalidArgument):
        ClientConfig("host:1", **settings, reconnect_timeout=float("nan"))
