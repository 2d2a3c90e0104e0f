"""TLS 1.3 and nothing else, for the server's port.

grpcio has no setting for the TLS version. What it has is GRPC_SSL_CIPHER_SUITES, read once
when grpc is imported, for TLS 1.2 alone: set to a suite that needs a key which the server and
the client share beforehand, it leaves no TLS 1.2 handshake that could succeed, whatever type
of key the server has or gets later. Because that is a side effect, `probe` looks at the open
port and the server does not serve if it is not so.

This module must not import grpc before `prepare` has been called.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import sys
from pathlib import Path

from jsched.errors import Internal
from jsched.server.trust import read_trust

_VARIABLE = "GRPC_SSL_CIPHER_SUITES"
# gRPC has no pre-shared keys, so no client can agree with it on this one.
_NEVER_AGREED_ON = "ECDHE-PSK-CHACHA20-POLY1305"
# What a client offers that wants TLS 1.2.
_FOR_EC_KEYS = "ECDHE-ECDSA-AES128-GCM-SHA256"
_FOR_RSA_KEYS = "ECDHE-RSA-AES128-GCM-SHA256"

_ALERT = b"\x15"
_HANDSHAKE = b"\x16"
_SERVER_HELLO = b"\x02"
# A record's head of five bytes, then the first byte of what it holds (RFC 8446, section 5.1).
_FIRST_ANSWER = 6


def prepare(certs_dir: Path) -> None:
    """Check the server's certificate files and leave TLS 1.3 alone for the grpc imported afterwards.

    Raises FailedPrecondition naming the file and what to do, Internal if grpc is imported already.
    """
    read_trust(certs_dir)
    if "grpc" in sys.modules:
        raise Internal("grpc was imported before TLS was prepared, so it would accept TLS 1.2")
    os.environ[_VARIABLE] = _NEVER_AGREED_ON
    # At its own default grpc prints a line without a peer for every refused handshake, those of `probe` among them.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")


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
