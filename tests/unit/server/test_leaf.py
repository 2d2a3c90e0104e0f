from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from jsched.certificates import Extension, Issued, issue, make_ca, make_client
from jsched.policy.policy import RoleSource
from jsched.server.identity import Identity, InvalidIdentity, identify
from jsched.server.trust import Trust
from tests.helpers.certificates import Client, make_odd_client, utf8_string
from tests.helpers.trust import make_list, trusting


@pytest.fixture(scope="module")
def ca() -> Issued:
    return make_ca("test CA")


def look(client: Client | Issued, trust: Trust, source: RoleSource = RoleSource.EXTENSION) -> Identity | str:
    """Whom a certificate names, or why it names nobody."""
    context = {"ssl_tls_version": [b"TLSv1.3"], "x509_pem_cert": [client.certificate_pem]}
    try:
        return identify(context, trust, source)
    except InvalidIdentity as error:
        assert error.serial == f"{client.certificate.serial_number:x}"
        return error.reason


def is_good(found: Identity | str) -> bool:
    return isinstance(found, Identity)


def test_either_of_two_cas_will_do_and_no_third(ca: Issued) -> None:
    """During a rollover, clients of both CAs have an identity; those of another of the same name have not."""
    new, same_name = make_ca("the next CA"), make_ca("test CA")
    trust = trusting(ca, new)
    assert is_good(look(make_client(ca, "alice", "user"), trust))
    assert is_good(look(make_client(new, "alice", "user"), trust))
    assert look(make_client(same_name, "alice", "user"), trust) == (
        "the certificate is not signed by a CA that is trusted now"
    )
    assert not is_good(look(make_client(ca, "alice", "user"), trusting(new)))


def test_two_cas_of_one_name_are_told_apart_by_their_keys(ca: Issued) -> None:
    """A CA that has a new key under its old name does not stand in the way of the old one's clients."""
    same_name = make_ca("test CA")
    trust = trusting(same_name, ca, lists=[make_list(same_name, [])])
    client = make_client(ca, "alice", "user")
    assert is_good(look(client, trust))
    assert not is_good(look(client, trusting(same_name, ca, lists=[make_list(ca, [client.certificate])])))


def test_a_ca_below_the_ca_signs_no_clients(ca: Issued) -> None:
    """A certificate signed by an intermediate CA is refused, though its chain leads to a CA of ours."""
    below = issue(ca, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "below")]), ca_extensions(ca))
    client = make_client(below, "alice", "user")
    assert look(client, trusting(ca)) == "the certificate is not signed by a CA that is trusted now"
    assert is_good(look(client, trusting(ca, below)))


def test_a_ca_counts_while_it_is_valid(ca: Issued) -> None:
    """A CA that has ended ends its clients, unless its certificate was renewed with the same key."""
    ended = issue(None, ca.certificate.subject, ca_extensions(ca), key=ca.key, lifetime=timedelta(seconds=-1))
    other = make_ca("another CA")
    client = make_client(ca, "alice", "user")
    assert look(client, trusting(ended, other)) == "the CA that has signed the certificate is not valid now"
    assert is_good(look(client, trusting(ended, ca)))


def ca_extensions(ca: Issued) -> list[Extension]:
    wanted = (x509.BasicConstraints, x509.KeyUsage)
    return [Extension(one.value, one.critical) for one in ca.certificate.extensions if isinstance(one.value, wanted)]


def test_a_revoked_certificate_names_nobody(ca: Issued) -> None:
    """What a CA has revoked is refused; the same serial number of another CA is not."""
    client, other = make_client(ca, "alice", "user"), make_ca("another CA")
    assert (
        look(client, trusting(ca, other, lists=[make_list(ca, [client.certificate])])) == "the certificate is revoked"
    )
    assert is_good(look(client, trusting(ca, other, lists=[make_list(other, [client.certificate])])))


def test_weak_signatures_are_refused(ca: Issued) -> None:
    """A certificate whose signature hashes with SHA-1 is refused."""
    key = rsa.generate_private_key(65537, 2048)
    weak = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "alice")]))
        .issuer_name(ca.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ca.certificate.not_valid_before_utc)
        .not_valid_after(ca.certificate.not_valid_after_utc)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(ca.key, hashes.SHA224())
    )
    assert look(Client(weak, key), trusting(ca)) == "the certificate is signed with sha224"


UNITS: list[tuple[list[str], str]] = [
    (["viewer"], ""),
    ([], "0 organizational units"),
    (["viewer", "admin"], "2 organizational units"),
    (["Viewer"], "characters"),
    (["viewer\0"], "characters"),
    (["\u0430dmin"], "characters"),
    ([" admin"], "characters"),
]


@pytest.mark.parametrize(("units", "wrong"), UNITS)
def test_the_role_may_stand_in_the_organizational_unit(ca: Issued, units: list[str], wrong: str) -> None:
    """Where a policy takes the role from there, exactly one unit that is a role counts, whatever the extension says."""
    client = make_odd_client(ca, units=units, roles=[utf8_string("admin")])
    found = look(client, trusting(ca), RoleSource.OU)
    if wrong:
        assert isinstance(found, str)
        assert wrong in found
    else:
        assert isinstance(found, Identity)
        assert (found.user, found.role) == ("alice", "viewer")


def test_the_extension_does_not_count_where_the_unit_does_and_the_other_way_round(ca: Issued) -> None:
    """A certificate with a role in one place alone names nobody under a policy that looks in the other."""
    assert is_good(look(make_odd_client(ca, units=["admin"], roles=[]), trusting(ca), RoleSource.OU))
    assert look(make_odd_client(ca, units=["admin"], roles=[]), trusting(ca)) == "the certificate has 0 role extensions"
    assert "0 organizational units" in str(look(make_odd_client(ca), trusting(ca), RoleSource.OU))
