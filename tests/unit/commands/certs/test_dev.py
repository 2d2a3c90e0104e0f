from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tomllib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from jsched.certificate_files import read_certificates
from jsched.certificates import Issued, make_ca, make_client
from tests.helpers.certificates import make_odd_client
from tests.helpers.certs_command import Set

PAIRS = ("server-ca", "client-ca", "server", "admin", "user")


def certs_dev(*words: str | Path, umask: int = 0o022) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "jsched.commands.main", "certs", "dev", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        umask=umask,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("made") / "certs"
    result = certs_dev(directory)
    assert (result.returncode, result.stderr) == (0, "")
    return directory


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "certs"))


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_makes_the_whole_set(made: Path) -> None:
    """One run makes the two CAs, the three leaves and the two client configurations, and leaves nothing else."""
    expected = {f"{name}.{ending}" for name in PAIRS for ending in ("crt", "key")} | {"admin.toml", "user.toml"}
    assert {path.name for path in made.iterdir()} == expected | {"issued"}
    assert len(list((made / "issued").iterdir())) == 3
    assert tomllib.loads((made / "user.toml").read_text()) == {
        "server": "127.0.0.1:50051",
        "ca": "server-ca.crt",
        "cert": "user.crt",
        "key": "user.key",
    }


def test_private_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    """Private keys have mode 0600 even where the umask would let others read them."""
    assert certs_dev(tmp_path, umask=0).returncode == 0
    for name in PAIRS:
        assert stat.S_IMODE((tmp_path / f"{name}.key").stat().st_mode) == 0o600


def test_private_keys_are_never_wider_not_even_for_a_moment(tmp_path: Path) -> None:
    """Every private key is created with mode 0600; none is made wide and narrowed afterwards."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    trace = tmp_path / "trace"
    command = [sys.executable, "-m", "jsched.commands.main", "certs", "dev", str(tmp_path / "certs")]
    subprocess.run(["strace", "-f", "-e", "trace=openat,open", "-o", trace, *command], check=True, capture_output=True)
    created = [line for line in trace.read_text().splitlines() if "O_CREAT" in line and ".key" in line]
    assert len(created) == len(PAIRS)
    assert all("O_EXCL" in line and "0600" in line for line in created)


def test_a_complete_set_is_used_as_it_is(copy: Path) -> None:
    """A second run changes no byte and says in one line what it uses."""
    before = contents(copy)
    result = certs_dev(copy)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.count("\n") == 1
    assert str(copy) in result.stdout
    assert contents(copy) == before


def test_readme_and_gitignore_stay(tmp_path: Path) -> None:
    """Files that are not part of the set don't count as one and are left alone."""
    (tmp_path / "README.md").write_text("about")
    (tmp_path / ".gitignore").write_text("*")
    assert certs_dev(tmp_path).returncode == 0
    assert (tmp_path / "README.md").read_text() == "about"
    assert (tmp_path / ".gitignore").read_text() == "*"


def test_a_half_made_set_is_refused_and_left_alone(copy: Path) -> None:
    """Where files are missing, the message names them and what to remove, and nothing is written."""
    (copy / "user.key").unlink()
    (copy / "server-ca.crt").unlink()
    before = contents(copy)
    result = certs_dev(copy)
    assert result.returncode == 1
    assert "server-ca.crt" in result.stderr
    assert "user.key" in result.stderr
    assert f"remove {copy}/*.crt {copy}/*.key {copy}/*.toml and run this again" in result.stderr
    assert contents(copy) == before


def client_ca(directory: Path) -> Issued:
    from cryptography.hazmat.primitives.asymmetric import ec

    from jsched.certificate_files import read_key

    key = read_key(directory / "client-ca.key")
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return Issued(read_certificates(directory / "client-ca.crt")[0], key)


def expire(directory: Path) -> None:
    odd = make_odd_client(client_ca(directory), ends_in=timedelta(minutes=-1))
    (directory / "admin.crt").write_bytes(odd.certificate_pem)
    (directory / "admin.key").write_bytes(odd.key_pem)


def start_tomorrow(directory: Path) -> None:
    odd = make_odd_client(client_ca(directory), starts_in=timedelta(hours=1))
    (directory / "admin.crt").write_bytes(odd.certificate_pem)
    (directory / "admin.key").write_bytes(odd.key_pem)


def swap_key(directory: Path) -> None:
    shutil.copy(directory / "user.key", directory / "admin.key")


def sign_by_another_ca(directory: Path) -> None:
    other = make_client(make_ca("jsched development client CA"), "admin", "admin")
    (directory / "admin.crt").write_bytes(other.certificate_pem)
    (directory / "admin.key").write_bytes(other.key_pem)


def empty_certificate(directory: Path) -> None:
    (directory / "admin.crt").write_bytes(b"")


def spoil_key(directory: Path) -> None:
    (directory / "admin.key").write_bytes(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")


def spoil_config(directory: Path) -> None:
    (directory / "admin.toml").write_bytes(b"server = \xff")


@pytest.mark.parametrize(
    ("spoil", "file", "what"),
    [
        (expire, "admin.crt", "expired on"),
        (start_tomorrow, "admin.crt", "not valid before"),
        (swap_key, "admin.key", "does not belong to"),
        (sign_by_another_ca, "admin.crt", "not signed by client-ca.crt"),
        (empty_certificate, "admin.crt", "no certificate"),
        (spoil_key, "admin.key", "no private key"),
        (spoil_config, "admin.toml", "can't be used"),
    ],
)
def test_a_set_that_would_not_work_is_refused(copy: Path, spoil: Callable[[Path], None], file: str, what: str) -> None:
    """A set with a file that would not work is refused, naming the file and what is wrong with it."""
    spoil(copy)
    before = contents(copy)
    result = certs_dev(copy)
    assert result.returncode == 1
    assert str(copy / file) in result.stderr
    assert what in result.stderr
    assert "Traceback" not in result.stderr
    assert contents(copy) == before


def test_a_set_for_other_hosts_is_refused(copy: Path) -> None:
    """A host that the existing server certificate does not name is an error, not a promise broken in silence."""
    result = certs_dev(copy, "--host", "build7.example.com")
    assert result.returncode == 1
    assert "is not for build7.example.com" in result.stderr
    result = certs_dev(copy, "--server", "127.0.0.1:50052")
    assert result.returncode == 1
    assert "127.0.0.1:50052" in result.stderr


def test_hosts_and_server_go_into_the_set(tmp_path: Path) -> None:
    """--host and --server reach the certificate's names and the client configurations, and match on a second run."""
    words = (tmp_path, "--host", "10.1.2.3", "--server", "build7.example.com:7")
    assert certs_dev(*words).returncode == 0
    assert tomllib.loads((tmp_path / "admin.toml").read_text())["server"] == "build7.example.com:7"
    shown = subprocess.check_output(["openssl", "x509", "-in", tmp_path / "server.crt", "-noout", "-text"], text=True)
    assert "DNS:build7.example.com" in shown
    assert "IP Address:10.1.2.3" in shown
    assert certs_dev(*words).returncode == 0


def test_two_runs_at_once_make_one_set(tmp_path: Path) -> None:
    """Runs at the same moment all end well, and what is there belongs together."""
    command = [sys.executable, "-m", "jsched.commands.main", "certs", "dev", str(tmp_path / "certs")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    said = [process.communicate(timeout=60)[0] for process in running]
    assert [process.returncode for process in running] == [0] * 4
    assert sum(line.startswith("made") for line in said) == 1
    assert certs_dev(tmp_path / "certs").returncode == 0


def test_what_a_crash_left_is_removed(tmp_path: Path) -> None:
    """A directory of half-made keys that a killed run left behind goes with the next run."""
    (tmp_path / ".making-x").mkdir()
    (tmp_path / ".making-x" / "server.key").write_text("secret")
    assert certs_dev(tmp_path).returncode == 0
    assert not (tmp_path / ".making-x").exists()


def test_a_directory_that_can_not_be_used_is_said_clearly(tmp_path: Path) -> None:
    """A file in the directory's place is named in one line."""
    (tmp_path / "file").write_text("")
    result = certs_dev(tmp_path / "file")
    assert result.returncode == 1
    assert str(tmp_path / "file") in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_is_read_only_is_said_clearly(tmp_path: Path) -> None:
    """A directory that can't be written is named with the reason."""
    tmp_path.chmod(0o500)
    result = certs_dev(tmp_path)
    tmp_path.chmod(0o700)
    assert result.returncode == 1
    assert "Permission denied" in result.stderr


def test_the_other_verbs_work_on_such_a_set(copy: Path) -> None:
    """What dev has made is listed, renewed in its place and revoked, and a second run still takes it for whole."""
    certs = Set(copy)
    assert [line.split()[0] for line in certs.ok("list").out.splitlines()[1:]] == list(PAIRS)
    before = (copy / "admin.crt").read_bytes()
    certs.ok("renew", "admin")
    assert (copy / "admin.crt").read_bytes() != before
    certs.ok("revoke", "user")
    certs.ok("renew", "client-ca")
    certs.ok("client", "--user", "alice", "--role", "user")
    assert not (copy / "clients" / "admin").exists()
    result = certs_dev(copy)
    assert (result.returncode, result.stderr) == (0, "")
