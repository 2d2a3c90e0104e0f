"""The server's certificates: there, valid, belonging together, and for how long."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from jsched import certificate_files
from jsched.certificate_expiries import expiries
from jsched.commands.doctor.finding import Finding, fail, ok, warn
from jsched.config import Config
from jsched.errors import JschedError
from jsched.server.trust import read_trust

_ADVICE = {
    certificate_files.SERVER_CERTIFICATE: "make a new one: jsched certs renew server",
    certificate_files.CLIENT_CA: "make a new one, in time for all clients: jsched certs renew client-ca",
    certificate_files.CLIENT_CRL: "issue it again with what made it: it says that a newer one is due",
}


def certificates(config: Config, now: datetime | None = None) -> Iterator[Finding]:
    """Whether the server can serve with them, and when that ends."""
    if config.certs_dir is None:
        yield fail("certificates", "no directory is configured", "set certs_dir, or give --certs")
        return
    now = now or datetime.now(UTC)
    try:
        read_trust(config.certs_dir)
        found = expiries(config.certs_dir)
    except JschedError as error:
        yield fail("certificates", error.message, error.hint or "make them again, or put the right files there")
        return
    for one in found:
        name, text = one.path.name, one.describe(now)
        yield warn(name, text, _ADVICE[name]) if one.is_soon(now) else ok(name, text)
