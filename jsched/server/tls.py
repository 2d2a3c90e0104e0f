"""TLS 1.3 and nothing else, for the server's port.

grpcio has no setting for the TLS version. What it has is GRPC_SSL_CIPHER_SUITES, read once
when grpc is imported, for TLS 1.2 alone: set to suites that need another type of key than
the server has, it leaves no TLS 1.2 handshake that could succeed. Because that is a side
effect, `probe` looks at the open port and the server does not serve if it is not so.

This module must not import grpc before `prepare` has been called.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from jsched import certificate_files
from jsched.errors import FailedPrecondition, Internal

if TYPE_CHECKING:
    import grpc

CERTIFICATE = "server.crt"
KEY = "server.key"
CLIENT_CA = "client-ca.crt"

_VARIABLE = "GRPC_SSL_CIPHER_SUITES"
_FOR_EC_KEYS = "ECDHE-ECDSA-AES128-GCM-SHA256"
_FOR_RSA_KEYS = "ECDHE-RSA-AES128-GCM-SHA256"

_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_MIN_RSA_BITS = 2048

_ALERT = b"\x15"
_HANDSHAKE = b"\x16"
_SERVER_HELLO = b"\x02"
# A record's head of five bytes, then the first byte of what it holds (RFC 8446, section 5.1).
_FIRST_ANSWER = 6


def prepare(certs_dir: Path) -> None:
    """Check the server's certificate files and leave TLS 1.3 alone for the grpc imported afterwards.

    Raises FailedPrecondition naming the file and what to do, Internal if grpc is imported already.
    """
    suites = check(certs_dir)
    if "grpc" in sys.modules:
        raise Internal("grpc was imported before TLS was prepared, so it would accept TLS 1.2")
    os.environ[_VARIABLE] = suites
    # At its own default grpc prints a line without a peer for every refused handshake, those of `probe` among them.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")


def check(certs_dir: Path) -> str:
    """Check that the server can serve with these files, and return TLS 1.2 suites that fail with its key.

    Raises FailedPrecondition naming the file and what to do.
    """
    certificate_path, key_path, ca_path = (certs_dir / name for name in (CERTIFICATE, KEY, CLIENT_CA))
    for path in (certificate_path, key_path, ca_path):
        if not path.exists():
            raise FailedPrecondition(
                f"{path} is not there",
                obj=str(path),
                hint="give the directory with --certs; for development: jsched certs dev DIR",
            )
    certificate, key = certificate_files.read_pair(certificate_path, key_path)
    certificate_files.check_validity(certificate, certificate_path)
    _check_mode(key_path)
    for ca in certificate_files.read_certificates(ca_path):
        certificate_files.check_validity(ca, ca_path)
    return _suites_that_fail(key, certificate_path)


def credentials(certs_dir: Path) -> grpc.ServerCredentials:
    """Return credentials that demand a client certificate signed by the client CA."""
    import grpc

    certificate, key, client_ca = (_read(certs_dir / name) for name in (CERTIFICATE, KEY, CLIENT_CA))
    return grpc.ssl_server_credentials([(key, certificate)], root_certificates=client_ca, require_client_auth=True)


def probe(host: str, port: int, *, timeout: float = 5.0) -> None:
    """Look from outside whether the open port refuses TLS 1.2 and answers TLS 1.3.

    Blocks for up to `timeout` seconds a connection; run it in a thread. A failed handshake
    would prove nothing, since there is no client certificate here; what counts is the
    server's first record. gRPC refuses with an alert or by closing without a word, and a
    silent close proves something only beside TLS 1.3 offers that the same port answers, so
    these come first and last. Raises Internal if TLS 1.2 gets in or TLS 1.3 does not.
    """
    _check_answered(host, port, timeout)
    for suites in (_FOR_EC_KEYS, _FOR_RSA_KEYS, "ALL"):
        answer = _first_answer(host, port, _offer(ssl.TLSVersion.TLSv1_2, suites), timeout)
        if answer[:1] not in (b"", _ALERT):
            raise Internal(f"a TLS 1.2 handshake was accepted on port {port}", obj=f"{host}:{port}")
    _check_answered(host, port, timeout)


def _check_answered(host: str, port: int, timeout: float) -> None:
    answer = _first_answer(host, port, _offer(ssl.TLSVersion.TLSv1_3), timeout)
    if answer[:1] != _HANDSHAKE or answer[5:] != _SERVER_HELLO:
        raise Internal(f"a TLS 1.3 handshake was not answered on port {port}", obj=f"{host}:{port}")


def _offer(version: ssl.TLSVersion, suites: str | None = None) -> bytes:
    """Return the first message of a client that speaks this version of TLS and no other."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    if suites is not None:
        context.set_ciphers(suites)
    # gRPC refuses clients without it, and that would look like a refusal of the version.
    context.set_alpn_protocols(["h2"])
    outgoing = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing).do_handshake()
    return outgoing.read()


def _first_answer(host: str, port: int, offer: bytes, timeout: float) -> bytes:
    """Send the offer and return up to six bytes of what the server says to it."""
    answer = b""
    try:
        with socket.create_connection((host, port), timeout) as connection:
            connection.sendall(offer)
            while len(answer) < _FIRST_ANSWER and (more := connection.recv(_FIRST_ANSWER - len(answer))):
                answer += more
    except ConnectionResetError:
        # As good as a close: what was said before it is in `answer`.
        return answer
    except OSError as error:
        raise Internal(f"port {port} can't be looked at: {error}", obj=f"{host}:{port}") from None
    return answer


def _suites_that_fail(key: object, path: Path) -> str:
    """Return TLS 1.2 suites that can't be negotiated with this key; raise FailedPrecondition if gRPC can't use it."""
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, _CURVES):
        return _FOR_RSA_KEYS
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= _MIN_RSA_BITS:
        return _FOR_EC_KEYS
    raise FailedPrecondition(
        f"{path} has a key of a type or size that is not accepted",
        obj=str(path),
        hint=f"make the server's certificate with a P-256 key, or RSA of {_MIN_RSA_BITS} bits and more",
    )


def _check_mode(key_path: Path) -> None:
    if key_path.stat().st_mode & stat.S_IRWXO:
        raise FailedPrecondition(
            f"the private key {key_path} is open to every user of this host",
            obj=str(key_path),
            hint=f"chmod 600 {key_path}",
        )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FailedPrecondition(f"{path} can't be read: {error.strerror}", obj=str(path)) from None
