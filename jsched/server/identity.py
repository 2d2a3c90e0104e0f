"""Who calls: the user and the role in the client's certificate, checked strictly at every call.

With a resumed session a certificate comes in that has expired or been revoked since, so what
changes with time and with the server's files is looked at each time.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from jsched.errors import Unauthenticated
from jsched.policy.policy import RoleSource
from jsched.server.leaf import Identity, Leaf
from jsched.server.trust import Trust

__all__ = ["Identity", "InvalidIdentity", "check_certificate", "client_certificate", "identify", "identity_of"]


class InvalidIdentity(Unauthenticated):
    """The caller's certificate does not give one clear identity.

    Clients learn no more than the message; `reason`, `serial` ("" if unknown) and `leaf`, what a
    trusted CA has signed though it is not good now, are for the audit alone.
    """

    def __init__(self, reason: str, serial: str = "", leaf: Leaf | None = None) -> None:
        super().__init__("invalid identity", hint="ask your administrator for a valid certificate with a role")
        self.reason = reason
        self.serial = serial
        self.leaf = leaf


def client_certificate(auth_context: Mapping[str, Iterable[bytes]]) -> bytes:
    """Return the client's certificate as PEM, from a call's auth_context().

    Raises InvalidIdentity unless the connection is TLS 1.3 and has exactly one.
    """
    version = list(auth_context.get("ssl_tls_version", ()))
    if version != [b"TLSv1.3"]:
        raise InvalidIdentity(f"the connection is {b','.join(version).decode('ascii', 'replace') or 'not TLS'}")
    certificates = list(auth_context.get("x509_pem_cert", ()))
    if len(certificates) != 1:
        raise InvalidIdentity(f"the connection has {len(certificates)} client certificates")
    return certificates[0]


def check_certificate(pem: bytes, trust: Trust) -> Leaf:
    """Return what a client's certificate says, if it is good now, by the wall clock, by CAs and revocation lists.

    Raises InvalidIdentity. Whether it names a user and a role is another question: `identity_of`.
    """
    leaf = trust.leaf(pem)
    if leaf.reason:
        raise InvalidIdentity(leaf.reason, leaf.serial)
    now = time.time()
    if now < leaf.starts:
        raise InvalidIdentity(f"the certificate is not valid before {_moment(leaf.starts)}", leaf.serial, leaf)
    if now > leaf.ends:
        raise InvalidIdentity(f"the certificate expired at {_moment(leaf.ends)}", leaf.serial, leaf)
    for signer in leaf.signers:
        if signer.starts <= now <= signer.ends:
            break
    else:
        raise InvalidIdentity("the CA that has signed the certificate is not valid now", leaf.serial, leaf)
    if trust.has_revoked(leaf):
        raise InvalidIdentity("the certificate is revoked", leaf.serial, leaf)
    return leaf


def identity_of(leaf: Leaf, source: RoleSource) -> Identity:
    """Return whom a certificate names, with the role from where the policy takes it; raises InvalidIdentity."""
    found = leaf.named(source)
    if isinstance(found, str):
        raise InvalidIdentity(found, leaf.serial)
    return found


def identify(
    auth_context: Mapping[str, Iterable[bytes]], trust: Trust, source: RoleSource = RoleSource.EXTENSION
) -> Identity:
    """Return who stands behind a call, from the call's auth_context(); raises InvalidIdentity."""
    return identity_of(check_certificate(client_certificate(auth_context), trust), source)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
