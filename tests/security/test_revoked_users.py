"""What somebody with `jsched-cli` sees who is revoked, on a real server."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from jsched import certificate_files
from jsched.certificates import Issued
from tests.helpers.server import Server
from tests.helpers.trust import make_list
from tests.helpers.wait import wait_until

DEADLINE = 60.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, certs: Path) -> Iterator[Server]:
    """A server with certificates of its own, that the tests may change."""
    root = tmp_path_factory.mktemp("revoking")
    shutil.copytree(certs, root / "certs")
    with Server(root / "server", root / "certs") as server:
        yield server


def test_a_revoked_user_is_told_at_once_and_the_job_runs_on(server: Server) -> None:
    """A stream and a wait that are open end with the same clear words, without another attempt; an admin goes on."""
    started = server.cli("start", "-q", "--", "sh", "-c", "echo up; exec sleep 1000", text=True)
    assert started.returncode == 0, started.stderr
    job = started.stdout.strip()
    stream = server.popen_cli("stream", job, who="user", text=True)
    wait = server.popen_cli("wait", job, who="user", text=True)
    audit = server.data_dir / "audit.jsonl"
    assert stream.stdout is not None
    assert stream.stdout.readline() == "up\n"
    ca, key = certificate_files.read_pair(server.certs / "client-ca.crt", server.certs / "client-ca.key")
    user = x509.load_pem_x509_certificate((server.certs / "user.crt").read_bytes())
    (server.certs / "client-ca.crl").write_bytes(make_list(Issued(ca, key), [user]))  # type: ignore[arg-type]
    os.kill(server.pid, signal.SIGHUP)
    for process in (stream, wait):
        output, said = process.communicate(timeout=DEADLINE)
        assert process.returncode != 0
        assert output == ""
        assert f"does not accept your certificate {server.certs / 'user.crt'} (invalid identity)" in said
        assert "it may have been revoked" in said
        assert "reconnect" not in said
    refused = server.cli("status", job, who="user", text=True)
    assert "(invalid identity)" in refused.stderr
    wait_until(lambda: audit.read_text().count('"the certificate is revoked"') == 3, DEADLINE, "three lines")
    assert server.cli("status", job, text=True).stdout.count("running")
    assert server.cli("stop", job).returncode == 0


def test_a_server_does_not_start_with_a_list_that_is_wrong(server: Server) -> None:
    """A revocation list that can't be read or is a stranger's keeps a server from starting, and is named."""
    path = server.certs / "client-ca.crl"
    good = path.read_bytes()
    server.terminate()
    try:
        path.write_bytes(good[:-40])
        with pytest.raises(AssertionError, match=r"client-ca\.crl holds no revocation list"):
            server.start()
    finally:
        path.write_bytes(good)
    server.start()
    assert server.cli("list", who="user").returncode != 0
