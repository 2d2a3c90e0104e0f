"""What a certificate, key or revocation list says, as rows of names and values."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from jsched.ca.index import Entry, Kind, Standing, is_ca
from jsched.commands.certs.contents import EncryptedKey, Readable
from jsched.commands.certs.extensions import extension_rows, purposes
from jsched.commands.certs.refusals import ca_refusals, client_refusals, server_refusals, standing_refusals

Rows = list[tuple[str, str | list[str]]]
_MOST_SERIALS = 1000


@dataclass(frozen=True, slots=True)
class Described:
    """A thing, what it is in a few words, and what it says; `refused` is what jsched has against it."""

    title: str
    facts: Rows
    refused: Sequence[str] = ()

    @property
    def rows(self) -> Rows:
        """All there is to say, with what is refused at the end."""
        return [*self.facts, ("refused", list(self.refused) or "nothing")]

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        facts = {name.replace(" ", "_").replace("-", "_"): value for name, value in self.facts}
        return {"is": self.title, **facts, "refused": list(self.refused)}


def describe(thing: Readable, path: Path, judge: Standing | None, now: datetime) -> Described:
    """Return what a thing from the file `path` says; `judge` knows the CAs of the set, if there is one."""
    try:
        if isinstance(thing, x509.Certificate):
            return _certificate(thing, judge, now)
        if isinstance(thing, x509.CertificateRevocationList):
            return _revocation_list(thing, judge, now)
    except (ValueError, x509.DuplicateExtension, UnsupportedAlgorithm) as error:
        # The parser looks into names and extensions only when they are asked for.
        kind = "certificate" if isinstance(thing, x509.Certificate) else "revocation list"
        return Described(kind, [], [f"it can't be parsed: {error}"])
    return _key(thing, path)


def key_name(key: object) -> str:
    """Return a public or private key's type and size."""
    if isinstance(key, ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey):
        return {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}.get(key.curve.name, key.curve.name)
    if isinstance(key, rsa.RSAPublicKey | rsa.RSAPrivateKey):
        return f"RSA, {key.key_size} bits"
    return type(key).__name__.lstrip("_").removesuffix("PublicKey").removesuffix("PrivateKey")


def _certificate(certificate: x509.Certificate, judge: Standing | None, now: datetime) -> Described:
    kind, title, refused = _judged(certificate)
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begin:
        refused.append("it is not valid yet")
    if now > end:
        refused.append("it has expired")
    facts: Rows = [
        ("subject", certificate.subject.rfc4514_string()),
        ("issuer", certificate.issuer.rfc4514_string()),
        ("serial", f"{certificate.serial_number:x}"),
        ("valid", f"{_time(begin)} to {_time(end)}{_left(end - now)}"),
        ("key", key_name(certificate.public_key())),
        ("signature", certificate.signature_algorithm_oid._name),
        *extension_rows(certificate),
        ("sha-256", certificate.fingerprint(hashes.SHA256()).hex()),
    ]
    if judge is not None:
        facts.append(("signed by", _signer(judge.signer(certificate))))
        facts.append(("state", judge.state(certificate, now).value))
        refused += standing_refusals(certificate, kind, judge, now)
    return Described(title, facts, refused)


def _judged(certificate: x509.Certificate) -> tuple[Kind | None, str, list[str]]:
    """Return what a certificate says that it is, None for a CA's, and what is wrong with one of that kind."""
    if is_ca(certificate):
        return None, "certificate of a CA", ca_refusals(certificate)
    if purposes(certificate) == ["server"]:
        return Kind.SERVER, "certificate of a server", server_refusals(certificate)
    return Kind.CLIENT, "certificate of a client", client_refusals(certificate)


def _revocation_list(crl: x509.CertificateRevocationList, judge: Standing | None, now: datetime) -> Described:
    refused = []
    due = crl.next_update_utc
    facts: Rows = [
        ("issuer", crl.issuer.rfc4514_string()),
        ("number", _number(crl)),
        ("made", _time(crl.last_update_utc)),
        ("next", f"{_time(due)}{_left(due - now)}" if due else "none is announced"),
        ("signature", crl.signature_algorithm_oid._name),
        ("revoked", [_entry(entry) for entry in crl][:_MOST_SERIALS] or "none"),
    ]
    if judge is not None:
        signer = judge.signer(crl)
        facts.append(("signed by", _signer(signer)))
        if signer is None:
            refused.append("it is not signed by a CA of the set")
    return Described("revocation list", facts, refused)


def _key(key: object, path: Path) -> Described:
    refused = []
    mode = path.stat().st_mode
    if isinstance(key, EncryptedKey):
        refused.append("it is encrypted, and a server has nobody to ask for the password")
    if mode & stat.S_IRWXO:
        refused.append("every user of this host may open it: chmod 600")
    facts: Rows = [("mode", f"{stat.S_IMODE(mode):04o}")]
    if not isinstance(key, EncryptedKey):
        facts.insert(0, ("key", key_name(key)))
    return Described("private key", facts, refused)


def _signer(ca: Entry | None) -> str:
    return "no CA of the set" if ca is None else f"{ca.certificate.subject.rfc4514_string()} ({ca.name} of the set)"


def _number(crl: x509.CertificateRevocationList) -> str:
    try:
        return str(crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number)
    except x509.ExtensionNotFound:
        return "none"


def _entry(entry: x509.RevokedCertificate) -> str:
    text = f"{entry.serial_number:x} on {_time(entry.revocation_date_utc)}"
    try:
        reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    except x509.ExtensionNotFound:
        return text
    return f"{text}, {reason.value}"


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _left(left: timedelta) -> str:
    if left < timedelta():
        return f", over for {(-left).days} days"
    return f", {left.days} days left"
