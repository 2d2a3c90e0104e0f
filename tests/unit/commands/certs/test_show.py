from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.helpers.certificates import make_odd_client, utf8_string
from tests.helpers.certs_command import Set, run

ALICE = "clients/alice/alice.crt"


def shown(ca: Set, *files: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(ca.ok("show", *files, "-o", "json").out)
    return found


def test_a_clients_certificate_is_shown_whole(ca: Set) -> None:
    """Everything that matters of a certificate is there, and nothing is refused of a good one."""
    certificate = ca.certificate(ALICE)
    (found,) = shown(ca, ca.root / ALICE)
    assert found["is"] == "certificate of a client"
    assert (found["subject"], found["issuer"]) == ("CN=alice,OU=user", "CN=jsched client CA")
    assert found["serial"] == f"{certificate.serial_number:x}"
    assert found["valid"].endswith("364 days left")
    assert (found["key"], found["signature"]) == ("P-256", "ecdsa-with-SHA256")
    assert (found["role"], found["role_in_ou"]) == ("user", "user")
    assert (found["ca"], found["key_usage"], found["for"]) == (
        "no (critical)",
        "digital signature (critical)",
        "client",
    )
    assert found["signed_by"] == "CN=jsched client CA (client-ca of the set)"
    assert (found["state"], found["refused"]) == ("valid", [])


def test_text_and_json_say_the_same(ca: Set) -> None:
    """Each fact of the JSON is a line of the text."""
    (found,) = shown(ca, ca.root / "server.crt")
    text = ca.ok("show", ca.root / "server.crt").out
    assert text.startswith(f"{ca.root / 'server.crt'}: certificate of a server\n")
    for key in ("subject", "serial", "valid", "key", "signature", "sha_256"):
        assert found[key] in text
    assert found["names"] == ["build7.example.com", "10.1.2.3", "localhost", "127.0.0.1", "::1"]
    assert "names          build7.example.com\n                 10.1.2.3\n" in text
    assert "refused        nothing" in text


def test_everything_in_a_file_is_shown(ca: Set, tmp_path: Path) -> None:
    """A bundle, keys of each kind, and a revocation list, in PEM as in DER."""
    ca.ok("revoke", "alice", "--reason", "superseded")
    ca.ok("renew", "client-ca")
    bundle = shown(ca, ca.root / "client-ca.crt")
    assert [one["subject"] for one in bundle] == ["CN=jsched client CA 2", "CN=jsched client CA"]
    assert {one["ca"] for one in bundle} == {"yes, with no CAs below it (critical)"}
    _, old_list = shown(ca, ca.root / "client-ca.crl")
    assert old_list["number"] == "1"
    assert old_list["revoked"][0].startswith(f"{ca.certificate(ALICE).serial_number:x} on ")
    assert old_list["revoked"][0].endswith(", superseded")
    assert old_list["refused"] == []
    for name, key in (
        ("P-256", ec.generate_private_key(ec.SECP256R1())),
        ("Ed25519", ed25519.Ed25519PrivateKey.generate()),
    ):
        for encoding in (serialization.Encoding.PEM, serialization.Encoding.DER):
            path = tmp_path / "some.key"
            path.write_bytes(
                key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
            )
            path.chmod(0o600)
            assert shown(ca, path) == [
                {"file": str(path), "is": "private key", "key": name, "mode": "0600", "refused": []}
            ]
    der = tmp_path / "alice.der"
    der.write_bytes(ca.certificate(ALICE).public_bytes(serialization.Encoding.DER))
    assert shown(ca, der)[0]["subject"] == "CN=alice,OU=user"


def test_of_a_key_nothing_secret_is_shown(ca: Set) -> None:
    """A private key's type, size and mode are shown, and what is wrong with the mode or a password."""
    path = ca.root / "server.key"
    path.chmod(0o644)
    said = ca.ok("show", path).out
    assert "every user of this host may open it" in said
    body = "".join(path.read_text().splitlines()[1:-1])
    assert not any(body[at : at + 8] in said for at in range(len(body) - 8))
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    password = serialization.BestAvailableEncryption(b"x")
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, password))
    assert "it is encrypted" in ca.ok("show", path).out


SMALL = rsa.generate_private_key(65537, 1024)
ODD: list[tuple[str, dict[str, Any]]] = [
    ("expired", {"ends_in": timedelta(seconds=-5)}),
    ("not valid", {"starts_in": timedelta(hours=1)}),
    ("0 role extensions", {"roles": []}),
    ("Duplicate", {"roles": [utf8_string("user"), utf8_string("admin")]}),
    ("not a UTF8String", {"roles": [b"\x13\x04user"]}),
    ("short form", {"roles": [b"\x0c\x81\x04user"]}),
    ("short form", {"roles": [b"\x0c\x04user\0"]}),
    ("not UTF-8", {"roles": [b"\x0c\x01\xff"]}),
    ("characters or a length that no role has", {"roles": [utf8_string("Admin")]}),
    ("role extension is critical", {"critical_role": True}),
    ("2 common names", {"users": ("alice", "bob")}),
    ("characters or a length that no user has", {"users": ("a b",)}),
    ("no extended key usage", {"purpose": None}),
    ("not for clients", {"purpose": ExtendedKeyUsageOID.CODE_SIGNING}),
    ("1024 bits", {"key": SMALL}),
    ("curve secp256k1", {"key": ec.generate_private_key(ec.SECP256K1())}),
]


@pytest.mark.parametrize(("said", "odd"), ODD)
def test_what_a_server_would_refuse_is_said(ca: Set, tmp_path: Path, said: str, odd: dict[str, Any]) -> None:
    """Of a certificate that gives no identity the reason is shown, whatever is wrong with it."""
    (tmp_path / "odd.crt").write_bytes(make_odd_client(ca.client_ca(), **odd).certificate_pem)
    (found,) = shown(ca, tmp_path / "odd.crt")
    assert any(said in reason for reason in found["refused"]), found


def test_a_certificate_of_the_wrong_ca_is_refused(ca: Set, tmp_path: Path) -> None:
    """One that no CA of the set has signed is refused, and so is a client's that the server CA has signed."""
    (tmp_path / "other.crt").write_bytes(make_odd_client(None).certificate_pem)
    assert "it is not signed by a CA of the set" in shown(ca, tmp_path / "other.crt")[0]["refused"]
    for name in ("crt", "key"):
        (ca.root / f"client-ca.{name}").write_bytes((ca.root / f"server-ca.{name}").read_bytes())
    (tmp_path / "wrong.crt").write_bytes(make_odd_client(ca.client_ca()).certificate_pem)
    (found,) = shown(ca, tmp_path / "wrong.crt")
    assert any("it is signed by server-ca" in reason for reason in found["refused"])


def test_a_revoked_certificate_is_said_to_be(ca: Set) -> None:
    """What the set has revoked is refused."""
    ca.ok("revoke", "alice")
    (found,) = shown(ca, ca.root / ALICE)
    assert (found["state"], found["refused"]) == ("revoked", ["it was revoked"])


def test_nothing_in_a_certificate_reaches_the_terminal_raw(ca: Set, tmp_path: Path) -> None:
    """Escape sequences and line breaks in names are shown as what they are."""
    odd = make_odd_client(ca.client_ca(), users=["a\x1b[2J\n  refused  nothing"], roles=[b"\x0c\x05\x1b[2J\n"])
    (tmp_path / "odd.crt").write_bytes(odd.certificate_pem)
    said = ca.ok("show", tmp_path / "odd.crt").out
    assert all(line.isprintable() for line in said.splitlines())
    assert "\n  refused  nothing" not in said


def test_what_is_none_of_these_is_said_to_be(ca: Set, tmp_path: Path) -> None:
    """Another file, a request, a missing file and one that was cut off are errors that name the file."""
    for content, said in (
        (b"hello", "holds no certificate"),
        (b"", "holds no certificate"),
        ((ca.root / ALICE).read_bytes()[:-30], "is damaged"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "can't be parsed"),
        (b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "a certificate request"),
    ):
        (tmp_path / "some").write_bytes(content)
        refused = ca.refused("show", tmp_path / "some")
        assert said in refused
        assert str(tmp_path / "some") in refused
    assert "no such file" in ca.refused("show", tmp_path / "nowhere")
    assert "is a directory" in ca.refused("show", tmp_path)


def test_without_a_set_there_is_less_to_say(ca: Set, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no set, certificates are shown without who has signed them; one that is named must be there."""
    monkeypatch.setenv("JSCHED_CERTS", str(tmp_path / "nowhere"))
    monkeypatch.chdir(tmp_path)
    ran = run("show", str(ca.root / ALICE))
    assert ran.code == 0
    assert "signed by" not in ran.out
    assert "holds no set" in Set(tmp_path / "nowhere").refused("show", ca.root / ALICE)
    certificate = x509.load_pem_x509_certificate((ca.root / ALICE).read_bytes())
    assert f"{certificate.serial_number:x}" in ran.out
