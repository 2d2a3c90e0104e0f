"""Which directories are homes, and which the system needs."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from jsched.isolation.homes import HOMES, MOST, homes_to_cover, is_systems
from jsched.isolation.sandbox import Bind
from jsched.isolation.view import hidden_directories
from tests.helpers import walled
from tests.helpers.walled import ORDINARY_USER, for_ordinary_user, make_sandbox, needs_root

pytestmark = needs_root

ALICE = 1234


@pytest.fixture
def host() -> Iterator[Path]:
    """A directory of the host that a job sees, with one in it that is no home."""
    # Not where a job has a directory of its own.
    with TemporaryDirectory(prefix="jsched-", dir="/srv") as directory:
        os.chmod(directory, 0o755)
        (Path(directory) / "tools").mkdir()
        yield Path(directory)


def home(path: Path, *, owner: int = ALICE, mode: int = 0o755) -> str:
    path.mkdir(parents=True)
    os.chown(path, owner, owner)
    path.chmod(mode)
    return str(path)


def covered(own: str, *regular: str) -> set[str]:
    found = homes_to_cover(own, regular)
    assert found[: len(HOMES)] == HOMES
    return set(map(str, found[len(HOMES) :]))


def test_homes_that_lie_elsewhere(host: Path) -> None:
    """The own home is covered whoever owns it, and those of regular users where they are the user's."""
    own, alice = home(host / "own", owner=0), home(host / "alice")
    private = home(host / "private", owner=0, mode=0o700)
    assert covered(own, alice, private) == {own, alice, private}


@pytest.mark.parametrize(
    "place",
    [
        *("/", "//", "/bin", "/sbin", "/lib", "/boot", "/dev", "/etc", "/opt", "/proc", "/run", "/srv", "/sys"),
        *("/tmp", "/usr", "/usr/", "/usr/bin", "/usr/sbin", "/usr/games", "/usr/local", "/usr/local/bin"),
        *("/var", "/var/lib", "/var/mail", "/var/run", "/var/tmp", "/usr/../var"),
        *("/nonexistent", "", "data", "~", "/etc/passwd", "/data\0"),
    ],
)
def test_what_the_system_needs_is_no_home(place: str) -> None:
    """Whatever is called somebody's home, what the system needs or holds that stays in sight."""
    assert covered(place, place) == set()


def test_what_was_laid_out_for_all_is_no_regular_users_home(host: Path) -> None:
    """A directory of root's that is open to all is in sight, whosoever home it is called."""
    assert covered("/", home(host / "www", owner=0)) == set()


@pytest.mark.parametrize("place", ["/usr", "/var", "/", "/usr/local", "/nix", "/gnu", "/bin"])
def test_system_directories(place: str) -> None:
    """What holds a directory that the system needs is needed, too."""
    assert is_systems(Path(place))
    assert not is_systems(Path("/data", place.strip("/")))


@pytest.mark.parametrize("place", ["/home/alice", "/root", "/root/x", "/home", "//home/x"])
def test_homes_where_homes_are_need_nothing(place: str) -> None:
    """What is covered in any case is not looked at."""
    assert covered(place, place) == set()


def test_a_link_is_where_it_leads_to(host: Path) -> None:
    """A home that is a link is covered where it really is, and one that leads to a directory of the system's not."""
    (host / "alice").symlink_to(home(host / "disk"))
    (host / "bob").symlink_to("/usr")
    assert covered("/", str(host / "alice"), str(host / "bob")) == {str(host / "disk")}


def test_a_directory_of_homes_alone_stands_for_them(host: Path) -> None:
    """Homes with nothing else beside them are covered by one directory; others, and a single one, each."""
    together = [home(host / "homes" / name) for name in ("alice", "bob")]
    (host / "homes/lost+found").mkdir()
    assert covered("/", *together) == {str(host / "homes")}
    assert covered("/", together[0]) == {together[0]}
    beside = [home(host / name) for name in ("carol", "dave")]
    assert covered("/", *together, *beside) == {str(host / "homes"), *beside}


def test_more_homes_than_can_be_covered(host: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Of very many homes the directory that they lie in is covered as a whole, and the log says so."""
    homes = [home(host / f"user{number}") for number in range(MOST)]
    assert covered("/", *homes) == set(homes)
    with caplog.at_level(logging.WARNING):
        assert covered("/", *homes, home(host / "one-more")) == {str(host)}
    assert f"{host} is hidden from jobs as a whole" in caplog.text


def test_homes_that_have_nothing_in_common(host: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The number of covers is bound, the own home is among them, and the log tells of the rest."""
    homes = [home(host / f"{number}/user") for number in range(MOST + 5)]
    own = home(host / "zzz/own")
    found = covered(own, *homes)
    assert len(found) == MOST and own in found
    assert f"{MOST + 6} homes are more than can be hidden from jobs: {MOST} are" in caplog.text


def test_the_own_home_of_a_server_that_is_not_root(host: Path, tmp_path: Path) -> None:
    """A job that is the server's user sees nothing of that user's home but what is bound there."""
    own = home(host / "own", owner=ORDINARY_USER, mode=0o700)
    for name in ("key", "data"):
        (Path(own) / name).write_text(f"{name}\n")
        os.chown(Path(own) / name, ORDINARY_USER, ORDINARY_USER)
    tmp_path.chmod(0o777)
    hidden = hidden_directories([], homes=homes_to_cover(own, []))
    for binds, seen in (((), "tools\n"), ((Bind(f"{own}/data", f"{own}/data"),), "data\ndata\ntools\n")):
        sandbox = for_ordinary_user(make_sandbox(hidden=hidden, binds=binds))
        script = f"ls -A {own}; cat {own}/key {own}/data 2>/dev/null; ls {host} | grep tools"
        outcome = walled.run(sandbox, ["/bin/sh", "-c", script], log=tmp_path / "log", user=ORDINARY_USER)
        assert outcome.output == seen
