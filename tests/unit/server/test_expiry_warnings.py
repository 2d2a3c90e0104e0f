from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jsched.certificates import make_ca, make_server
from jsched.server.expiry_warnings import DAY, ExpiryWarnings
from tests.helpers.certificates import write_server_files
from tests.helpers.trust import make_list


@pytest.fixture
def certs(tmp_path: Path) -> Path:
    """A directory in which the server's certificate and one of two CAs end within 30 days, and a list has ended."""
    server_ca, soon, later = make_ca("server CA"), make_ca("soon", lifetime=timedelta(days=29)), make_ca("later")
    write_server_files(tmp_path, make_server(server_ca, lifetime=timedelta(days=12, hours=1)), [soon, later])
    (tmp_path / "client-ca.crl").write_bytes(make_list(later, made=datetime.now(UTC) - timedelta(days=31)))
    return tmp_path


def test_what_ends_soon_is_said_once_a_day(certs: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each certificate and list that ends within 30 days, or has ended, has one warning a day, and no other has one."""
    now = 1000.0
    warnings = ExpiryWarnings(certs, lambda: now)
    for _ in range(3):
        warnings.look()
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [line.split(" in ")[0] for line in said] == [
        "the server's certificate",
        "the CA CN=soon",
        "the revocation list of CN=later",
    ]
    assert "in 12 days" in said[0]
    assert " expired on " in said[2]
    caplog.clear()
    now += DAY - 1
    warnings.look()
    assert caplog.records == []
    now += 1
    warnings.look()
    assert len(caplog.records) == 3


def test_a_file_that_can_not_be_read_puts_the_warnings_off(certs: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where the dates can't be found out, the next look is for all of them."""
    good = (certs / "client-ca.crl").read_bytes()
    warnings = ExpiryWarnings(certs)
    (certs / "client-ca.crl").write_bytes(b"nothing")
    warnings.look()
    assert caplog.records == []
    (certs / "client-ca.crl").write_bytes(good)
    warnings.look()
    assert len(caplog.records) == 3
