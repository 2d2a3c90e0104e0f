from __future__ import annotations

import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jsched.certificate_files import read_key
from jsched.certificates.keys import hash_for
from tests.helpers.certs_command import Set, new_set

FILES = {"server-ca.crt", "server-ca.key", "client-ca.crt", "client-ca.key"}


@pytest.mark.parametrize("key", ["p256", "rsa:2048", "ed25519"])
def test_two_cas_are_made(tmp_path: Path, key: str) -> None:
    """Two CAs with a key of the type that was asked for, each named for what it signs, and nothing else."""
    made = new_set(tmp_path / "new" / "ca", "--key", key, "--days", "30", "--name", "example.com")
    assert set(made.contents()) == FILES
    for name in ("server-ca", "client-ca"):
        certificate = made.certificate(f"{name}.crt")
        assert certificate.subject.rfc4514_string() == f"CN=example.com {name.replace('-ca', ' CA')}"
        assert abs(certificate.not_valid_after_utc - datetime.now(UTC) - timedelta(days=30)) < timedelta(minutes=5)
        own = read_key(made.root / f"{name}.key")
        assert own.public_key() == certificate.public_key()
        assert (hash_for(own) is None) is (key == "ed25519")  # type: ignore[arg-type]
    assert made.certificate("server-ca.crt").public_key() != made.certificate("client-ca.crt").public_key()


def test_what_is_made_is_closed_to_others(tmp_path: Path) -> None:
    """The directory is 0700, keys are 0600, though the umask would let others in."""
    before = os.umask(0)
    try:
        made = new_set(tmp_path / "ca")
        made.ok("client", "--user", "alice", "--role", "user")
    finally:
        os.umask(before)
    directories = [made.root, *(one for one in made.root.rglob("*") if one.is_dir())]
    assert {stat.S_IMODE(one.stat().st_mode) for one in directories} == {0o700}
    keys = list(made.root.rglob("*.key"))
    assert len(keys) == 3
    assert {stat.S_IMODE(one.stat().st_mode) for one in keys} == {0o600}


def test_nothing_is_overwritten(ca: Set) -> None:
    """In a directory with a set, or a part of one, init changes nothing and names what is there."""
    said = ca.refused("init")
    assert "server-ca.crt, server-ca.key, client-ca.crt, client-ca.key, server.crt, server.key, issued are in" in said
    for one in FILES - {"client-ca.key"}:
        (ca.root / one).unlink()
    assert "client-ca.key" in ca.refused("init")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--key", "rsa:1024"), "2048 to 8192"),
        (("--key", "p384"), "not known"),
        (("--days", "0"), "0 days are not 1 to"),
        (("--days", "99999"), "99999 days"),
        (("--days", "x"), "--days"),
        (("--name", ""), "name ''"),
        (("--name", "a\nb"), "printable"),
        (("--name", "x" * 41), "40 printable"),
    ],
)
def test_what_no_ca_can_have_is_refused(tmp_path: Path, words: tuple[str, str], said: str) -> None:
    """A weak key, a lifetime or a name that no CA can have is refused, and no file is made."""
    made = Set(tmp_path / "ca")
    assert said in made.refused("init", *words)
    assert made.contents() == {}


def test_a_directory_that_others_write_to_is_no_place(tmp_path: Path) -> None:
    """Where every user of the host may put files in place of the CA's, none is made."""
    (tmp_path / "ca").mkdir()
    (tmp_path / "ca").chmod(0o777)
    assert "every user of this host may write" in Set(tmp_path / "ca").refused("init")
    (tmp_path / "file").write_text("")
    assert str(tmp_path / "file") in Set(tmp_path / "file").refused("init")
