"""Certificates that were made by the command, and by openssl as the documentation says, before a real server."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from jsched.client import Client
from jsched.client.settings import load
from jsched.errors import Unauthenticated
from tests.helpers.certs_command import Set, new_set, run
from tests.helpers.server import Server
from tests.helpers.trail import ended_calls, trail
from tests.helpers.wait import wait_until

DEADLINE = 60.0
DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "certificates.md").read_text("utf-8")
RECIPE = "\n".join(re.findall(r"```sh\n(.*?)```", DOCUMENT.partition("## With openssl alone")[2], re.DOTALL))


MASKS = (
    (r"[0-9a-f]{12,}", "HEX"),
    (r"\d{4}-\d\d-\d\d( \d\d:\d\d UTC)?", "TIME"),
    (r"\d+ days left", "DAYS left"),
)


def serving(root: Path, certs: Path) -> Iterator[Server]:
    with Server(root, certs) as server:
        yield server


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
    return ended_calls(server)[-1]


def config_of(certs: Set, user: str) -> Path:
    return certs.root / "clients" / user / f"{user}.toml"


def is_let_in(server: Server, certs: Set, user: str) -> bool:
    try:
        return bool(audited(server, config_of(certs, user))["status"] == "OK")
    except Unauthenticated:
        return False


def served(server: Server) -> x509.Certificate:
    """The certificate that the server shows in a handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    host, _, port = server.address.rpartition(":")
    with socket.create_connection((host, int(port)), DEADLINE) as plain, context.wrap_socket(plain) as secure:
        certificate = secure.getpeercert(binary_form=True)
    assert certificate is not None
    return x509.load_der_x509_certificate(certificate)


def masked(text: str) -> str:
    """Text without what is another each time."""
    for pattern, name in MASKS:
        text = re.sub(pattern, name, text)
    return text


def test_the_document_shows_what_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands of the document, one after the other, print what it says, but for numbers and times."""
    root = str(tmp_path / "jsched-ca")
    monkeypatch.setenv("JSCHED_CERTS", root)
    blocks = re.findall(r"```console\n(.*?)```", DOCUMENT.partition("## With openssl alone")[0], re.DOTALL)
    shown = re.findall(r"^\$ jsched certs (.*)\n((?:(?!\$ ).*\n)*)", "".join(blocks), re.MULTILINE)
    assert len(shown) > 10
    for command, printed in shown:
        ran = run(*command.replace("/root/jsched-ca", root).split())
        assert masked((ran.out + ran.err).replace(root, "/root/jsched-ca")) == masked(printed), command


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
    assert audited(by_openssl, config_of(certs, "bob"))["user"] == "bob"


@pytest.mark.parametrize(("user", "role"), [("alice", "user"), ("ci@example.com", "admin")])
def test_what_the_command_makes_works(by_command: Server, user: str, role: str) -> None:
    """A server with an RSA key below an Ed25519 CA lets in clients with P-256 and RSA keys, as who they are."""
    line = audited(by_command, config_of(Set(by_command.certs), user))
    assert (line["user"], line["role"], line["status"]) == (user, role, "OK")
    assert (by_command.certs / "issued" / f"{line['serial']}.crt").exists()


def test_a_client_trusts_both_cas_while_one_takes_over(by_command: Server) -> None:
    """With the new bundle a client accepts the server's certificate of the old CA."""
    certs = Set(by_command.certs)
    certs.ok("renew", "server-ca")
    assert (certs.root / "clients/alice/server-ca.crt").read_text().count("BEGIN CERTIFICATE") == 2
    assert audited(by_command, config_of(certs, "alice"))["status"] == "OK"


def test_the_documented_list_keeps_out(by_openssl: Server) -> None:
    """Whom the recipe has revoked the server refuses, and the reason is in the audit log."""
    with pytest.raises(Unauthenticated):
        audited(by_openssl, by_openssl.certs / "mallory.toml")
    last = ended_calls(by_openssl)[-1]
    assert (last["user"], last["decision"]) == ("mallory", "deny")
    assert "revoked" in last["reason"]


def test_a_renewed_server_is_taken_up_without_a_restart(by_command: Server) -> None:
    """Soon after its renewal a server shows its new certificate, and clients are let in as before."""
    certs = Set(by_command.certs)
    serial = int(certs.ok("renew", "server").serial, 16)
    wait_until(lambda: served(by_command).serial_number == serial, DEADLINE, "the new certificate")
    assert audited(by_command, config_of(certs, "alice"))["status"] == "OK"


def test_a_new_client_ca_takes_over_without_a_restart(by_command: Server) -> None:
    """Clients of both CAs are let in until the end, and then those of the new one alone."""
    certs = Set(by_command.certs)
    certs.ok("renew", "client-ca", "--key", "p256")
    certs.ok("renew", "alice")
    wait_until(lambda: is_let_in(by_command, certs, "alice"), DEADLINE, "the new CA's client being let in")
    assert is_let_in(by_command, certs, "ci@example.com")
    certs.ok("renew", "client-ca", "--finish", "--force")
    wait_until(
        lambda: not is_let_in(by_command, certs, "ci@example.com"), DEADLINE, "the old CA's client being refused"
    )
    assert is_let_in(by_command, certs, "alice")


def test_who_is_revoked_is_let_in_no_more(by_command: Server) -> None:
    """Soon after its revocation a user is refused, and the others are not."""
    certs = Set(by_command.certs)
    certs.ok("client", "--user", "bob", "--role", "user")
    assert is_let_in(by_command, certs, "bob")
    certs.ok("revoke", "bob")
    wait_until(lambda: not is_let_in(by_command, certs, "bob"), DEADLINE, "the user being refused")
    assert is_let_in(by_command, certs, "alice")


def test_two_programs_that_make_lists_end_no_revocation(by_openssl: Server) -> None:
    """What jsched has revoked stays so though openssl, which knows nothing of it, makes a list of the same number."""
    certs = Set(by_openssl.certs)
    certs.ok("client", "--user", "nina", "--role", "user")
    assert is_let_in(by_openssl, certs, "nina")
    certs.ok("revoke", "nina")
    wait_until(lambda: not is_let_in(by_openssl, certs, "nina"), DEADLINE, "nina to be kept out")
    words = ["openssl", "ca", "-config", "jsched.cnf", "-gencrl", "-out", "client-ca.crl"]
    subprocess.run(words, cwd=certs.root, check=True, capture_output=True)
    wait_until(lambda: "says something else" in str(trail(by_openssl)), DEADLINE, "the audit to have it")
    assert "says something else" in by_openssl.printed()
    assert not is_let_in(by_openssl, certs, "nina")
    assert "revoked, not in the list" in certs.run("list").out
    certs.ok("revoke", "nina")
    assert "not in the list" not in certs.ok("list").out


@pytest.fixture
def robbed(tmp_path: Path) -> Iterator[Server]:
    """A server with a user, alice, whose key is to be stolen."""
    made = new_set(tmp_path / "ca")
    made.ok("server", "--host", "127.0.0.1")
    made.ok("client", "--user", "alice", "--role", "user")
    yield from serving(tmp_path / "server", made.root)


def test_a_stolen_server_key_is_replaced_step_by_step(robbed: Server) -> None:
    """The steps that `revoke` prints, one after the other, leave a server that clients reach, and the old CA gone."""
    made = Set(robbed.certs)
    steps = re.findall(r"^  \d\. (.*)$", made.ok("revoke", "server").out, re.MULTILINE)
    assert len(steps) == 4
    made.ok("renew", "server-ca")
    assert is_let_in(robbed, made, "alice")
    made.refused("renew", "server-ca", "--finish")
    for name in ("server.key", "server.crt"):
        (made.root / name).unlink()
    made.ok(*steps[1].partition(", then jsched certs ")[2].split())
    wait_until(lambda: served(robbed) == made.certificate("server.crt"), DEADLINE, "the new certificate")
    made.ok("renew", "server-ca", "--finish")
    assert is_let_in(robbed, made, "alice")
