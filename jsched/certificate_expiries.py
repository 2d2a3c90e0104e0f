"""When what a server needs for its TLS ends, and whether that is soon."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from jsched import certificate_files

SOON = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Expiry:
    """The end (UTC) of one certificate or revocation list in a file; `what` says which of the file's it is."""

    path: Path
    what: str
    until: datetime

    def is_soon(self, now: datetime) -> bool:
        """Whether it has ended, or does within 30 days."""
        return self.until - now < SOON

    def describe(self, now: datetime) -> str:
        """Return a sentence without a full stop, such as `the CA x in /c/client-ca.crt expires on 2027-01-02, ...`."""
        left = self.until - now
        date = f"{self.until:%Y-%m-%d}"
        if left < timedelta():
            return f"the {self.what} in {self.path} expired on {date}"
        days = "today" if left < timedelta(days=1) else f"in {left.days} day{'s' if left.days > 1 else ''}"
        return f"the {self.what} in {self.path} expires on {date}, {days}"


def expiries(certs_dir: Path) -> list[Expiry]:
    """Return the ends of the server's certificate, of each CA of clients and of each revocation list.

    Blocks for a few reads of small files. A revocation list ends when the next one is due
    (RFC 5280, section 5.1.2.5); one that names no such time is not among them. Raises
    FailedPrecondition naming a file that can't be read.
    """
    server, client_ca, client_crl = (
        certs_dir / name
        for name in (
            certificate_files.SERVER_CERTIFICATE,
            certificate_files.CLIENT_CA,
            certificate_files.CLIENT_CRL,
        )
    )
    found = [Expiry(server, "server's certificate", certificate_files.read_certificates(server)[0].not_valid_after_utc)]
    found += [
        Expiry(client_ca, f"CA {_named(ca.subject)}", ca.not_valid_after_utc)
        for ca in certificate_files.read_certificates(client_ca)
    ]
    if client_crl.exists():
        found += [
            Expiry(client_crl, f"revocation list of {_named(crl.issuer)}", crl.next_update_utc)
            for crl in certificate_files.read_revocation_lists(client_crl)
            if crl.next_update_utc is not None
        ]
    return found


def _named(name: x509.Name) -> str:
    # Whoever made a CA may have put anything into its name, and this goes to a log and a terminal.
    return name.rfc4514_string().encode("unicode_escape").decode("ascii")
