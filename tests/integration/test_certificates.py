"""Certificates that were made by the command, and by openssl as the documentation says, before a real server."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jsched.client import Client
from jsched.client.settings import load
from tests.helpers.certs_command import Set, new_set
from tests.helpers.server import Server

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "certificates.md").read_text("utf-8")
RECIPE = "\n".join(re.findall(r"```sh\n(.*?)```", DOCUMENT.partition("## With openssl alone")[2], re.DOTALL))


def serving(root: Path, certs: Path) -> Iterator[Server]:
    server = Server(root, certs)
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="module")
def by_openssl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with certificates made by the commands of the documentation."""
    certs = tmp_path_factory.mktemp("openssl")
    done = subprocess.run(["sh", "-eu", "-c", RECIPE], cwd=certs, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    yield from serving(tmp_path_factory.mktemp("server"), certs)


@pytest.fixture(scope="module")
def by_command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with certificates made by the command, of CAs with Ed25519 keys."""
    made = new_set(tmp_path_factory.mktemp("made") / "ca", "--key", "ed25519")
    made.ok("server", "--host", "localhost", "--key", "rsa:2048")
    made.ok("client", "--user", "alice", "--role", "user")
    made.ok("client", "--user", "ci@example.com", "--role", "admin", "--key", "rsa:2048")
    yield from serving(tmp_path_factory.mktemp("server"), made.root)


def audited(server: Server, config: Path) -> dict[str, Any]:
    """Make a call with a client's configuration, and return its line in the audit log."""
    with Client(load({"config": config, "server": server.address}, environ={})) as client:
        client.list()
    line: dict[str, Any] = json.loads((server.data_dir / "audit.jsonl").read_text().splitlines()[-1])
    return line


def test_the_documented_openssl_commands_make_what_works(by_openssl: Server) -> None:
    """The recipe's server serves, and its admin is let in, with user and role as they were put in."""
    line = audited(by_openssl, by_openssl.certs / "olivia.toml")
    assert (line["user"], line["role"], line["status"]) == ("olivia", "admin", "OK")


def test_the_documented_list_revokes(by_openssl: Server) -> None:
    """The recipe's revocation list is the CA's and has the one that it is said to have."""
    certs = Set(by_openssl.certs)
    words = ["openssl", "verify", "-crl_check", "-CAfile", "client-ca.crt", "-CRLfile", "client-ca.crl"]
    done = {
        name: subprocess.run([*words, f"{name}.crt"], cwd=certs.root, capture_output=True, text=True, check=False)
        for name in ("olivia", "mallory")
    }
    assert done["olivia"].returncode == 0
    assert "certificate revoked" in done["mallory"].stderr
    assert "it was revoked" in certs.ok("show", certs.root / "mallory.crt").out
    for name in ("olivia.crt", "server.crt", "client-ca.crt", "server-ca.crt", "client-ca.crl"):
        assert "refused" in certs.ok("show", certs.root / name).out
        assert certs.ok("show", certs.root / name).out.rstrip().endswith("nothing")


def test_the_command_goes_on_with_what_openssl_has_begun(by_openssl: Server) -> None:
    """In the recipe's directory a client can be issued, which the server lets in."""
    certs = Set(by_openssl.certs)
    certs.ok("client", "--user", "bob", "--role", "user")
    assert audited(by_openssl, certs.root / "clients/bob/bob.toml")["user"] == "bob"


@pytest.mark.parametrize(("user", "role"), [("alice", "user"), ("ci@example.com", "admin")])
def test_what_the_command_makes_works(by_command: Server, user: str, role: str) -> None:
    """A server with an RSA key below an Ed25519 CA lets in clients with P-256 and RSA keys, as who they are."""
    line = audited(by_command, by_command.certs / "clients" / user / f"{user}.toml")
    assert (line["user"], line["role"], line["status"]) == (user, role, "OK")
    assert (by_command.certs / "issued" / f"{line['serial']}.crt").exists()


def test_a_client_trusts_both_cas_while_one_takes_over(by_command: Server) -> None:
    """With the new bundle a client accepts the server's certificate of the old CA."""
    certs = Set(by_command.certs)
    certs.ok("renew", "server-ca")
    assert (certs.root / "clients/alice/server-ca.crt").read_text().count("BEGIN CERTIFICATE") == 2
    assert audited(by_command, certs.root / "clients/alice/alice.toml")["status"] == "OK"
