"""The server's certificates: there, valid, belonging together, and for how long."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from jsched import certificate_files
from jsched.commands.doctor.finding import Finding, fail, ok, warn
from jsched.config import Config
from jsched.errors import JschedError
from jsched.server.trust import read_trust

_SOON = timedelta(days=30)


def certificates(config: Config, now: datetime | None = None) -> Iterator[Finding]:
    """Whether the server can serve with them, and when that ends."""
    if config.certs_dir is None:
        yield fail("certificates", "no directory is configured", "set certs_dir, or give --certs")
        return
    try:
        read_trust(config.certs_dir)
    except JschedError as error:
        yield fail("certificates", error.message, error.hint or "make them again, or put the right files there")
        return
    for name in (certificate_files.SERVER_CERTIFICATE, certificate_files.CLIENT_CA):
        path = config.certs_dir / name
        until = min(one.not_valid_after_utc for one in certificate_files.read_certificates(path))
        left = until - (now or datetime.now(UTC))
        text = f"{path} is valid until {until:%Y-%m-%d}, {left.days} days"
        yield warn(name, text, "renew it and restart the server") if left < _SOON else ok(name, text)
