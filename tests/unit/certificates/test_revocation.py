from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from jsched.certificates import Issued, make_ca
from jsched.certificates.keys import ED25519
from jsched.certificates.revocation import REASONS, is_revoked, is_signed_by, make_revocation_list, number
from jsched.errors import FailedPrecondition
from tests.helpers.certificates import make_odd_client


@pytest.fixture(scope="module", params=["p256", "ed25519"])
def ca(request: pytest.FixtureRequest) -> Issued:
    return make_ca("test CA", key_type=ED25519) if request.param == "ed25519" else make_ca("test CA")


def test_a_list_is_a_version_2_crl_of_its_ca(ca: Issued) -> None:
    """A list names its CA, by name and key, has number 1, is valid at once and as long as the CA is."""
    crl = make_revocation_list(ca, serials=[7])
    now = datetime.now(UTC)
    assert crl.issuer == ca.certificate.subject
    assert is_signed_by(crl, ca.certificate)
    assert number(crl) == 1
    assert timedelta(minutes=4) < now - crl.last_update_utc < timedelta(minutes=6)
    assert crl.next_update_utc == ca.certificate.not_valid_after_utc
    key_id = crl.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    own = ca.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert key_id == own.digest
    assert is_revoked(crl, 7)
    assert not is_revoked(crl, 8)


def test_the_next_list_has_all_of_the_last(ca: Issued) -> None:
    """What was revoked stays revoked, with its date and reason, and the number grows by one."""
    first = make_revocation_list(ca, serials=[7], reason=REASONS["key-compromise"])
    second = make_revocation_list(ca, first, [8])
    assert number(second) == 2
    assert second.last_update_utc >= first.last_update_utc
    kept, new = (second.get_revoked_certificate_by_serial_number(serial) for serial in (7, 8))
    assert kept is not None
    assert new is not None
    assert kept.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.key_compromise
    assert list(new.extensions) == []


def test_a_list_of_another_ca_is_not_taken_for_its_own(ca: Issued) -> None:
    """A list that another CA of the same name has signed is not this one's."""
    assert not is_signed_by(make_revocation_list(make_ca("test CA")), ca.certificate)
    assert not is_signed_by(make_revocation_list(ca), make_odd_client(ca).certificate)


def test_a_ca_that_has_expired_makes_no_list() -> None:
    """After its end a CA's list would say nothing; the message says when it ended."""
    good = make_ca("test CA")
    gone = make_odd_client(None, is_ca=True, starts_in=timedelta(days=-9), ends_in=timedelta(days=-1))
    with pytest.raises(FailedPrecondition, match="expired on"):
        make_revocation_list(Issued(gone.certificate, good.key))
