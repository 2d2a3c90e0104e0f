from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from jsched.ca.authorities import Authority
from jsched.ca.revoking import follow_bundle, revoke
from jsched.certificate_files import read_revocation_lists
from jsched.certificates import Issued, make_ca, make_client
from jsched.certificates.revocation import is_revoked, is_signed_by
from jsched.errors import FailedPrecondition
from tests.helpers.certificates import make_odd_client


@pytest.fixture(scope="module")
def new() -> Issued:
    return make_ca("new CA")


@pytest.fixture(scope="module")
def old() -> Issued:
    return make_ca("old CA")


def test_a_ca_whose_key_is_not_here_keeps_its_list(tmp_path: Path, new: Issued, old: Issued) -> None:
    """What an older CA has revoked stays so without its key; nothing more of it can be revoked, and that is said."""
    gone, other = make_client(old, "gone", "user").certificate, make_client(old, "other", "user").certificate
    revoke(tmp_path, Authority("client-ca", new, (old,)), [gone])
    authority = Authority("client-ca", new, without_key=(old.certificate,))
    alice = make_client(new, "alice", "user").certificate
    assert revoke(tmp_path, authority, [alice]) == [alice]
    of_new, of_old = read_revocation_lists(tmp_path / "client-ca.crl")
    assert is_revoked(of_new, alice.serial_number)
    assert is_revoked(of_old, gone.serial_number)
    before = (tmp_path / "client-ca.crl").read_bytes()
    with pytest.raises(FailedPrecondition, match="is not there"):
        revoke(tmp_path, authority, [other])
    assert (tmp_path / "client-ca.crl").read_bytes() == before


def test_a_ca_that_has_ended_needs_no_list(tmp_path: Path, new: Issued) -> None:
    """An older CA that has expired is no obstacle to the lists of the new one."""
    revoke(tmp_path, Authority("client-ca", new))
    certificate = make_odd_client(None, is_ca=True, starts_in=timedelta(days=-9), ends_in=timedelta(days=-1))
    ended = Issued(certificate.certificate, certificate.key)
    follow_bundle(tmp_path, Authority("client-ca", new, (ended,)))
    (crl,) = read_revocation_lists(tmp_path / "client-ca.crl")
    assert is_signed_by(crl, new.certificate)


def test_without_a_revocation_there_is_no_list(tmp_path: Path, new: Issued, old: Issued) -> None:
    """A CA that takes over brings no list where there was none."""
    follow_bundle(tmp_path, Authority("client-ca", new, (old,)))
    assert list(tmp_path.iterdir()) == []
