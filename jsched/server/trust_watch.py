"""Keeping what is trusted current: the files of the certificate directory, looked at while the server runs.

A thread reads them four times a second and compares: they are small, and bytes don't lie as time
stamps do. A file that is wrong changes nothing but the log.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from jsched import certificate_files
from jsched.certificate_files import CLIENT_CA, CLIENT_CRL, SERVER_CERTIFICATE, SERVER_KEY
from jsched.errors import FailedPrecondition
from jsched.server.authorities import Authority
from jsched.server.expiry_warnings import ExpiryWarnings
from jsched.server.trust import Trust, read_bundle, read_revocations, read_server

if TYPE_CHECKING:
    import grpc

# Seconds between two looks.
EVERY = 0.25
# A file that has just changed may be half-written; it counts once it is the same for so many seconds.
_SETTLES = 0.05
_LOOKS = 4
_MOST_SHOWN = 10
_FILES = (SERVER_CERTIFICATE, SERVER_KEY, CLIENT_CA, CLIENT_CRL)
_LOG = logging.getLogger("jsched.server")

# What is in each file, or why that can't be said.
_Found = dict[str, bytes | FailedPrecondition]


class TrustWatch:
    """`current` is what is trusted now; `listeners` are called on the event loop after each change of it.

    Made on the event loop that it tells; it looks every `every` seconds. `note(kind, **fields)` is called
    on its thread for each file that counts from now on, or does not. `close` ends the thread.
    """

    def __init__(
        self, certs_dir: Path, trust: Trust, *, every: float = EVERY, note: Callable[..., None] | None = None
    ) -> None:
        self.current = trust
        self._note = note
        self.listeners: list[Callable[[], None]] = []
        self._certs_dir = certs_dir
        self._expiry_warnings = ExpiryWarnings(certs_dir)
        self._every = every
        self._loop = asyncio.get_running_loop()
        self._complaints: dict[str, str] = {}
        self._say_again = False
        self._wake = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="trust", daemon=True)
        self._thread.start()

    def credentials(self, begins: Callable[[], None] | None = None) -> grpc.ServerCredentials:
        """Return credentials of one server that demand a certificate of the CAs, and are current at each handshake.

        `begins` is called before each of them, on a thread of gRPC's.
        """
        import grpc

        shown = self.current

        def next_configuration() -> grpc.ServerCertificateConfiguration | None:
            # gRPC calls this before each handshake, on a thread of its own, and never twice at once.
            # A new configuration costs it a TLS context, and its session tickets end with it.
            nonlocal shown
            if begins is not None:
                begins()
            trust = self.current
            if trust.server is shown.server and trust.bundle is shown.bundle:
                return None
            shown = trust
            return _configuration(trust)

        return grpc.dynamic_ssl_server_credentials(
            _configuration(shown),
            # None, for no change, is what the documentation has and the stub has not.
            cast("Callable[[], grpc.ServerCertificateConfiguration]", next_configuration),
            require_client_authentication=True,
        )

    def look_now(self) -> None:
        """Look at the files at once, and say again what is wrong with them."""
        self._say_again = True
        self._wake.set()

    def close(self) -> None:
        """End the thread; blocks for a moment."""
        self._closed = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closed:
            try:
                self._look()
                self._expiry_warnings.look()
            except Exception:  # noqa: BLE001 - a thread that ends would leave yesterday's trust in force
                _LOG.exception("a defect in looking at the certificate files; what was trusted before stays in use")
            self._wake.wait(self._every)
            self._wake.clear()

    def _look(self) -> None:
        if self._say_again:
            self._say_again = False
            self._complaints = {}
        found = self._read()
        trust = self._take_revocations(self._take_bundle(self._take_server(self.current, found), found), found)
        before = self.current
        if trust is before:
            return
        self.current = trust
        for name, changed in (
            (SERVER_CERTIFICATE, trust.server is not before.server),
            (CLIENT_CA, trust.bundle is not before.bundle),
            (CLIENT_CRL, trust.revocations is not before.revocations),
        ):
            if changed:
                self._tell_audit(name, "")
        try:
            self._loop.call_soon_threadsafe(self._tell)
        except RuntimeError:
            # The loop is closed, and with it all that could be told.
            _LOG.debug("certificate files changed after the event loop's end")

    def _tell(self) -> None:
        for listener in self.listeners:
            listener()

    def _read(self) -> _Found:
        """Return what is in the files, once they hold still; files that never do are taken as they are."""
        found = _read_all(self._certs_dir)
        for _ in range(_LOOKS):
            if self._closed or self._is_known(found):
                break
            time.sleep(_SETTLES)
            before, found = found, _read_all(self._certs_dir)
            if {name: _comparable(one) for name, one in before.items()} == {
                name: _comparable(one) for name, one in found.items()
            }:
                break
        return found

    def _is_known(self, found: _Found) -> bool:
        trust = self.current
        pems = (trust.server.chain_pem, trust.server.key_pem, trust.bundle.pem, trust.revocations.pem)
        return all(found[name] == pem for name, pem in zip(_FILES, pems, strict=True))

    def _take_server(self, trust: Trust, found: _Found) -> Trust:
        chain_pem, key_pem = found[SERVER_CERTIFICATE], found[SERVER_KEY]
        if (chain_pem, key_pem) == (trust.server.chain_pem, trust.server.key_pem):
            self._is_well(SERVER_CERTIFICATE)
            return trust
        try:
            server = read_server(
                self._certs_dir, self._content(found, SERVER_CERTIFICATE), self._content(found, SERVER_KEY)
            )
        except FailedPrecondition as error:
            self._complain(SERVER_CERTIFICATE, error)
            return trust
        self._is_well(SERVER_CERTIFICATE)
        _LOG.info(
            "%s: new connections get the certificate with serial number %x, valid until %s",
            SERVER_CERTIFICATE,
            server.certificate.serial_number,
            f"{server.certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC",
        )
        return replace(trust, server=server)

    def _take_bundle(self, trust: Trust, found: _Found) -> Trust:
        pem = found[CLIENT_CA]
        if pem == trust.bundle.pem:
            self._is_well(CLIENT_CA)
            return trust
        try:
            bundle = read_bundle(self._certs_dir, self._content(found, CLIENT_CA))
        except FailedPrecondition as error:
            self._complain(CLIENT_CA, error)
            return trust
        self._is_well(CLIENT_CA)
        _LOG.info("%s: trusted are %s", CLIENT_CA, "; ".join(map(_describe, bundle.authorities)))
        # Here rather than on the event loop, one after the other, as their calls come in.
        for leaf_pem in list(trust.bundle.leaves):
            bundle.leaf(leaf_pem)
        return replace(trust, bundle=bundle)

    def _take_revocations(self, trust: Trust, found: _Found) -> Trust:
        pem, authorities, before = found[CLIENT_CRL], trust.bundle.authorities, trust.revocations
        if pem == before.pem and (not pem or authorities is before.authorities):
            self._is_well(CLIENT_CRL)
            return trust
        try:
            revocations = read_revocations(self._certs_dir, self._content(found, CLIENT_CRL), authorities, before)
        except FailedPrecondition as error:
            self._complain(CLIENT_CRL, error)
            return trust
        self._is_well(CLIENT_CRL)
        for key_id, one in revocations.by_authority.items():
            _LOG.info("%s: %s", CLIENT_CRL, one)
            known = before.by_authority.get(key_id)
            if known is not None and (dropped := known.serials - one.serials):
                # A CA may drop those that have expired; of any other its holder is let in again.
                shown = ", ".join(f"{serial:x}" for serial in sorted(dropped)[:_MOST_SHOWN])
                _LOG.warning("%s: %d that were revoked are so no more: %s", CLIENT_CRL, len(dropped), shown)
        return replace(trust, revocations=revocations)

    def _content(self, found: _Found, name: str) -> bytes:
        content = found[name]
        if isinstance(content, FailedPrecondition):
            raise content.with_traceback(None)
        if not content:
            raise FailedPrecondition(f"{self._certs_dir / name} is gone or empty", obj=name)
        return content

    def _complain(self, name: str, error: FailedPrecondition) -> None:
        """Say what is wrong with a file, once."""
        if self._complaints.get(name) != error.message:
            self._complaints[name] = error.message
            _LOG.warning("%s; what was read before stays in use", error)
            self._tell_audit(name, error.message)

    def _tell_audit(self, name: str, reason: str) -> None:
        if self._note is not None:
            self._note("certificates_reload", file=name, reason=reason)

    def _is_well(self, name: str) -> None:
        if self._complaints.pop(name, None) is not None:
            _LOG.info("%s: all is well again", name)


def _configuration(trust: Trust) -> grpc.ServerCertificateConfiguration:
    import grpc

    # gRPC takes it over: one object serves once.
    return grpc.ssl_server_certificate_configuration(
        [(trust.server.key_pem, trust.server.chain_pem)], root_certificates=trust.bundle.pem
    )


def _read_all(certs_dir: Path) -> _Found:
    found: _Found = {}
    for name in _FILES:
        try:
            found[name] = certificate_files.read(certs_dir / name)
        except FailedPrecondition as error:
            # Nobody needs to have a revocation list.
            found[name] = b"" if name == CLIENT_CRL and not (certs_dir / name).exists() else error
    return found


def _comparable(found: bytes | FailedPrecondition) -> bytes | str:
    return found if isinstance(found, bytes) else found.message


def _describe(authority: Authority) -> str:
    return f"{authority.name} until {authority.certificate.not_valid_after_utc:%Y-%m-%d}"
