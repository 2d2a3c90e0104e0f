from __future__ import annotations

import ssl
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from jsched.certificates import Issued, make_ca, make_client
from jsched.errors import FailedPrecondition
from jsched.server.authorities import authorities_in
from jsched.server.revocations import NO_REVOCATIONS, Revocations, revocations_in
from tests.helpers.trust import make_list

HERE = Path("/certs/client-ca.crl")
OTHER = make_ca("another CA")


@pytest.fixture(scope="module")
def ca() -> Issued:
    return make_ca("test CA")


@pytest.fixture(scope="module")
def revoked(ca: Issued) -> x509.Certificate:
    return make_client(ca, "mallory", "user").certificate


def read(pem: bytes, *cas: Issued, before: Revocations = NO_REVOCATIONS) -> Revocations:
    bundle = b"".join(one.certificate_pem for one in cas)
    return revocations_in(pem, HERE, authorities_in(bundle, Path("/certs/client-ca.crt")), before)


def serials(found: Revocations) -> list[set[int]]:
    return [set(one.serials) for one in found.by_authority.values()]


def test_lists_of_several_cas_stand_in_one_file(ca: Issued, revoked: x509.Certificate) -> None:
    """Each list belongs to the CA that has signed it; of two of one CA the newer one counts."""
    pem = make_list(ca, [revoked], number=2) + make_list(OTHER) + make_list(ca, number=1)
    assert serials(read(pem, ca, OTHER)) == [{revoked.serial_number}, set()]


def test_a_ca_without_a_list_keeps_its_last_one(ca: Issued, revoked: x509.Certificate) -> None:
    """A list that is missing in a new file takes nothing back."""
    before = read(make_list(ca, [revoked]), ca, OTHER)
    assert serials(read(make_list(OTHER), ca, OTHER, before=before)) == [{revoked.serial_number}, set()]


def with_other_serial(ca: Issued) -> bytes:
    revoked = make_client(ca, "mallory", "user").certificate
    pem = make_list(ca, [revoked]).decode()
    der = bytearray(ssl.PEM_cert_to_DER_cert(pem.replace("X509 CRL", "CERTIFICATE")))
    der[der.index(revoked.serial_number.to_bytes(20, "big")) + 19] ^= 1
    return ssl.DER_cert_to_PEM_cert(bytes(der)).replace("CERTIFICATE", "X509 CRL").encode()


DAMAGED: dict[str, tuple[str, Callable[[Issued], bytes]]] = {
    "empty": ("no revocation list", lambda ca: b""),
    "something else": ("no revocation list", lambda ca: ca.certificate_pem),
    "cut off": ("damaged", lambda ca: make_list(ca)[:-30]),
    "the second cut off": ("damaged", lambda ca: make_list(ca) + make_list(OTHER)[:-30]),
    "another serial number": ("not signed by a CA", lambda ca: with_other_serial(ca)),
    "no CA's of ours": ("not signed by a CA", lambda ca: make_list(make_ca("a stranger"))),
    "signed with another key": ("not signed by a CA", lambda ca: make_list(ca, signer=OTHER)),
    "one good, one of a stranger": ("not signed by a CA", lambda ca: make_list(ca) + make_list(make_ca("x"))),
    "a delta": ("critical extension 2.5.29.27", lambda ca: make_list(ca, critical=x509.DeltaCRLIndicator(1))),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_file_with_anything_wrong_is_refused(ca: Issued, name: str) -> None:
    """A file is taken whole or not at all, and what is wrong is said with its name."""
    wrong, make = DAMAGED[name]
    with pytest.raises(FailedPrecondition, match=wrong) as caught:
        read(make(ca), ca, OTHER)
    assert str(HERE) in caught.value.message


def test_an_older_list_is_refused(ca: Issued, revoked: x509.Certificate) -> None:
    """A list from before the one in use is refused: by number where both have one, by time otherwise."""
    now = datetime.now(UTC)
    earlier = now - timedelta(hours=1)
    numbered = read(make_list(ca, [revoked], number=7, made=now), ca)
    with pytest.raises(FailedPrecondition, match="is older than the one in use"):
        read(make_list(ca, number=6, made=now), ca, before=numbered)
    # A clock that was set back is no reason not to take the next list.
    assert serials(read(make_list(ca, number=8, made=earlier), ca, before=numbered)) == [set()]
    with pytest.raises(FailedPrecondition, match="is older than the one in use"):
        read(make_list(ca, made=earlier), ca, before=numbered)
    assert serials(read(make_list(ca, [revoked], number=7, made=now), ca, before=numbered)) == serials(numbered)


def test_a_number_stands_for_one_list(ca: Issued, revoked: x509.Certificate) -> None:
    """A list with the number of the one in use that says something else is refused, and one without a number."""
    now = datetime.now(UTC)
    later = now + timedelta(minutes=1)
    in_use = read(make_list(ca, [revoked], number=2, made=now), ca)
    with pytest.raises(FailedPrecondition, match="has number 2, as the one in use, and says something else"):
        read(make_list(ca, number=2, made=later), ca, before=in_use)
    with pytest.raises(FailedPrecondition, match="has no number, and the one in use has number 2"):
        read(make_list(ca, made=later), ca, before=in_use)
    with pytest.raises(FailedPrecondition, match="have number 2 and say different things"):
        read(make_list(ca, [revoked], number=2, made=now) + make_list(ca, number=2, made=later), ca)


def test_a_list_by_openssl_works_the_same(ca: Issued, revoked: x509.Certificate, tmp_path: Path) -> None:
    """A revocation list made by plain openssl commands is read, and its text says what is in it."""
    (tmp_path / "ca.crt").write_bytes(ca.certificate_pem)
    (tmp_path / "ca.key").write_bytes(ca.key_pem)
    (tmp_path / "mallory.crt").write_bytes(revoked.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "index").touch()
    (tmp_path / "number").write_text("1A\n")
    (tmp_path / "ca.cnf").write_text(
        "[ca]\ndefault_ca=x\n[x]\ndatabase=index\ncrlnumber=number\ncertificate=ca.crt\nprivate_key=ca.key\n"
        "default_md=sha256\ndefault_crl_days=30\n"
    )
    for command in ("-revoke mallory.crt", "-gencrl -out list.crl"):
        subprocess.run(
            ["openssl", "ca", "-config", "ca.cnf", *command.split()], cwd=tmp_path, check=True, capture_output=True
        )
    found = read((tmp_path / "list.crl").read_bytes(), ca)
    assert serials(found) == [{revoked.serial_number}]
    (text,) = map(str, found.by_authority.values())
    assert text.startswith("1 certificate of CN=test CA revoked, number 26, the next is due ")
