"""What the server trusts: its own certificate, the CAs of clients, their revocation lists; as values.

Each is read from the files of one directory, and can be wrong by itself; `trust_watch` keeps
them current.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from jsched import certificate_files
from jsched.certificate_files import CLIENT_CA, CLIENT_CRL, SERVER_CERTIFICATE, SERVER_KEY
from jsched.errors import FailedPrecondition
from jsched.server.authorities import Authority, authorities_in
from jsched.server.leaf import Leaf, read_leaf
from jsched.server.revocations import NO_REVOCATIONS, Revocations, revocations_in

_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_MIN_RSA_BITS = 2048
# Far more than a server has clients; who makes up certificates needs a CA's signature for each.
_MOST_LEAVES = 4096


@dataclass(frozen=True, slots=True)
class ServerPair:
    """The server's certificate with its chain, and its key, as PEM; what was checked is what is served."""

    chain_pem: bytes
    key_pem: bytes = field(repr=False)
    certificate: x509.Certificate


@dataclass(frozen=True, slots=True)
class Bundle:
    """The CAs of clients; `leaves` remembers what has been found out about certificates under them."""

    pem: bytes
    authorities: tuple[Authority, ...]
    leaves: dict[bytes, Leaf] = field(default_factory=dict, repr=False)

    def leaf(self, pem: bytes) -> Leaf:
        """Return what a certificate says under these CAs."""
        leaf = self.leaves.get(pem)
        if leaf is None:
            if len(self.leaves) >= _MOST_LEAVES:
                self.leaves.clear()
            leaf = self.leaves[pem] = read_leaf(pem, self.authorities)
        return leaf


@dataclass(frozen=True, slots=True)
class Trust:
    """Everything that is trusted at one moment."""

    server: ServerPair
    bundle: Bundle
    revocations: Revocations = NO_REVOCATIONS

    def leaf(self, pem: bytes) -> Leaf:
        """Return what a certificate says, which takes 0.2 ms the first time and no time after it."""
        return self.bundle.leaf(pem)

    def has_revoked(self, leaf: Leaf) -> bool:
        """Return whether a CA that has signed the certificate has revoked it."""
        for signer in leaf.signers:
            crl = self.revocations.by_authority.get(signer.key_id)
            if crl is not None and leaf.number in crl.serials:
                return True
        return False


def read_trust(certs_dir: Path) -> Trust:
    """Read all files of the directory; raises FailedPrecondition naming the one that is wrong and what to do."""
    for name in (SERVER_CERTIFICATE, SERVER_KEY, CLIENT_CA):
        if not (certs_dir / name).exists():
            raise FailedPrecondition(
                f"{certs_dir / name} is not there",
                obj=str(certs_dir / name),
                hint="give the directory with --certs; jsched certs init and jsched certs server make one, "
                "jsched certs dev DIR one for development",
            )
    read = certificate_files.read
    server = read_server(certs_dir, read(certs_dir / SERVER_CERTIFICATE), read(certs_dir / SERVER_KEY))
    bundle = read_bundle(certs_dir, read(certs_dir / CLIENT_CA))
    if not (certs_dir / CLIENT_CRL).exists():
        return Trust(server, bundle)
    return Trust(server, bundle, read_revocations(certs_dir, read(certs_dir / CLIENT_CRL), bundle.authorities))


def read_server(certs_dir: Path, chain_pem: bytes, key_pem: bytes) -> ServerPair:
    """Check the server's certificate and key, read from this directory; raises FailedPrecondition."""
    path, key_path = certs_dir / SERVER_CERTIFICATE, certs_dir / SERVER_KEY
    certificate, key = certificate_files.pair_in(chain_pem, path, key_pem, key_path)
    certificate_files.check_validity(certificate, path)
    _check_mode(key_path)
    usable = isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, _CURVES)
    if not usable and not (isinstance(key, rsa.RSAPrivateKey) and key.key_size >= _MIN_RSA_BITS):
        raise FailedPrecondition(
            f"{path} has a key of a type or size that is not accepted",
            obj=str(path),
            hint=f"make the server's certificate with a P-256 key, or RSA of {_MIN_RSA_BITS} bits and more",
        )
    return ServerPair(chain_pem, key_pem, certificate)


def read_bundle(certs_dir: Path, pem: bytes) -> Bundle:
    """Check the CAs of clients, read from this directory; raises FailedPrecondition."""
    return Bundle(pem, authorities_in(pem, certs_dir / CLIENT_CA))


def read_revocations(
    certs_dir: Path, pem: bytes, authorities: tuple[Authority, ...], before: Revocations = NO_REVOCATIONS
) -> Revocations:
    """Check the revocation lists, read from this directory; raises FailedPrecondition."""
    return revocations_in(pem, certs_dir / CLIENT_CRL, authorities, before)


def _check_mode(key_path: Path) -> None:
    try:
        mode = key_path.stat().st_mode
    except OSError as error:
        raise FailedPrecondition(f"{key_path} can't be read: {error.strerror}", obj=str(key_path)) from None
    if mode & stat.S_IRWXO:
        raise FailedPrecondition(
            f"the private key {key_path} is open to every user of this host",
            obj=str(key_path),
            hint=f"chmod 600 {key_path}",
        )
