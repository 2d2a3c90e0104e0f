from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from jsched.certificate_expiries import expiries
from jsched.certificates import Issued, make_ca, make_server
from jsched.errors import FailedPrecondition
from tests.helpers.certificates import write_server_files


def revocation_list(ca: Issued, lifetime: timedelta) -> bytes:
    now = datetime.now(UTC)
    builder = x509.CertificateRevocationListBuilder(ca.certificate.subject, now, now + lifetime)
    return builder.sign(ca.key, hashes.SHA256()).public_bytes(Encoding.PEM)


def test_all_that_a_server_uses_is_among_them(tmp_path: Path) -> None:
    """The server's certificate, each of two CAs and each of two revocation lists have their own line and date."""
    lives = [timedelta(days=100), timedelta(days=20)]
    cas = [make_ca(f"CA {number}", lifetime=life) for number, life in enumerate(lives)]
    server_ca = make_ca("server CA")
    write_server_files(tmp_path, make_server(server_ca, lifetime=timedelta(days=40)), cas)
    (tmp_path / "client-ca.crl").write_bytes(b"".join(revocation_list(ca, timedelta(days=1.5)) for ca in cas))
    now = datetime.now(UTC)
    found = expiries(tmp_path)
    assert [one.what for one in found] == [
        "server's certificate",
        "CA CN=CA 0",
        "CA CN=CA 1",
        "revocation list of CN=CA 0",
        "revocation list of CN=CA 1",
    ]
    assert [one.is_soon(now) for one in found] == [False, False, True, True, True]
    assert found[2].describe(now).endswith("in 19 days")
    assert found[3].describe(now).endswith("in 1 day")
    assert found[3].describe(now + timedelta(days=1)).endswith("today")
    assert "expired on" in found[0].describe(now + timedelta(days=41))


def test_without_a_revocation_list_there_is_none(tmp_path: Path) -> None:
    """A revocation list that is missing is no error; one that is cut off is, naming the file."""
    ca = make_ca("CA")
    write_server_files(tmp_path, make_server(ca), [ca])
    assert len(expiries(tmp_path)) == 2
    whole = revocation_list(ca, timedelta(days=9))
    for damaged in (b"", b"junk", whole[:-40], whole + whole[:-40]):
        (tmp_path / "client-ca.crl").write_bytes(damaged)
        with pytest.raises(FailedPrecondition, match=r"client-ca\.crl"):
            expiries(tmp_path)


def test_a_name_can_not_break_the_line(tmp_path: Path) -> None:
    """Line breaks and escape sequences in a CA's name are shown as what they are."""
    ca = make_ca("evil\n\x1b[2J")
    write_server_files(tmp_path, make_server(make_ca("CA")), [ca])
    what = expiries(tmp_path)[1].what
    assert what.isascii()
    assert what.isprintable()
