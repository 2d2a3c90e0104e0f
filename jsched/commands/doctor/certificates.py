"""The server's certificates: there, valid, belonging together, and for how long."""

from __future__ import annotations

import shlex
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from jsched import certificate_files
from jsched.ca import layout
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


# Whoever may write to one of them may do anything: make a CA of their own trusted, end revocations, or be the server.
_TRUSTED = (
    certificate_files.CLIENT_CA,
    certificate_files.CLIENT_CRL,
    certificate_files.SERVER_CERTIFICATE,
    certificate_files.SERVER_KEY,
    f"{layout.SERVER_CA}.crt",
)


def certificates(config: Config, now: datetime | None = None) -> Iterator[Finding]:
    """Whether the server can serve with them, when that ends, and whether others may write to them."""
    if config.certs_dir is None:
        yield fail("certificates", "no directory is configured", "set certs_dir, or give --certs")
        return
    now = now or datetime.now(UTC)
    yield from _writable(config.certs_dir)
    try:
        read_trust(config.certs_dir)
        found = expiries(config.certs_dir)
    except JschedError as error:
        yield fail("certificates", error.message, error.hint or "make them again, or put the right files there")
        return
    for one in found:
        name, text = one.path.name, one.describe(now)
        yield warn(name, text, _ADVICE[name]) if one.is_soon(now) else ok(name, text)


def _writable(certs_dir: Path) -> Iterator[Finding]:
    for path in (certs_dir, *(certs_dir / name for name in _TRUSTED)):
        if not path.exists():
            continue
        mode = path.stat().st_mode
        # In a directory with the sticky bit nobody replaces what is another's.
        if mode & (stat.S_IWGRP | stat.S_IWOTH) and not (stat.S_ISDIR(mode) and mode & stat.S_ISVTX):
            name = "certificates" if path == certs_dir else path.name
            text = f"{path} has mode {stat.S_IMODE(mode):04o}: who may write to it may do anything"
            yield warn(name, text, f"chmod go-w {shlex.quote(str(path))}")
