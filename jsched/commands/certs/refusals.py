"""What jsched has against a certificate, whoever has signed it and whenever."""

from __future__ import annotations

from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from jsched.ca.index import Kind, Standing, State
from jsched.certificates.client_leaf import objection
from jsched.certificates.keys import MIN_RSA_BITS
from jsched.server.leaf import identities

_SIGNED_BY = {Kind.SERVER: Kind.SERVER_CA, Kind.CLIENT: Kind.CLIENT_CA}

_REVOKED = {
    State.REVOKED: ["it was revoked"],
    State.UNLISTED: ["it was revoked, though the revocation list of the set does not say so (any more)"],
}


def client_refusals(certificate: x509.Certificate) -> list[str]:
    """Return why the server would not take this for a client's, as it would be audited.

    A role that stands in one place alone is a reason for policies that look in the other.
    """
    if reason := objection(certificate):
        return [reason]
    named = identities(certificate)
    reasons = {source: one for source, one in named.items() if isinstance(one, str)}
    if len(reasons) == len(named):
        return list(dict.fromkeys(reasons.values()))
    return [f'{reason} (for a policy with role_from = "{source.value}")' for source, reason in reasons.items()]


def server_refusals(certificate: x509.Certificate) -> list[str]:
    """Return why the server would not serve with this, or clients would not take it for a server's."""
    refused = _key_refusals(certificate.public_key())
    if not any(isinstance(extension.value, x509.SubjectAlternativeName) for extension in certificate.extensions):
        refused.append("it names no host")
    return refused


def ca_refusals(certificate: x509.Certificate) -> list[str]:
    """Return why nothing that this CA signs would be accepted."""
    refused = []
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.KeyUsage) and not extension.value.key_cert_sign:
            refused.append("it may not sign certificates")
    return refused


def standing_refusals(certificate: x509.Certificate, kind: Kind | None, judge: Standing, now: datetime) -> list[str]:
    """Return why this is not accepted where the set's CAs are trusted; `kind` is a leaf's, None for a CA's."""
    signer = judge.signer(certificate)
    if signer is None:
        return ["it is not signed by a CA of the set"]
    if kind is not None and signer.kind is not _SIGNED_BY[kind]:
        return [f"it is signed by {signer.name}, which signs no certificate of a {kind.value}"]
    return _REVOKED.get(judge.state(certificate, now), [])


def _key_refusals(key: object) -> list[str]:
    if isinstance(key, ec.EllipticCurvePublicKey):
        accepted = isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1)
        return [] if accepted else [f"its key is on the curve {key.curve.name}"]
    if isinstance(key, rsa.RSAPublicKey):
        small = key.key_size < MIN_RSA_BITS
        return [f"its RSA key has {key.key_size} bits, less than {MIN_RSA_BITS}"] if small else []
    return ["its key is of a type that gRPC's TLS library does not take"]
