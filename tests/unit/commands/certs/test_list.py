from __future__ import annotations

import json
import os
import subprocess
from datetime import datetime, timedelta
from pathlib import Path

from jsched.certificates import make_ca
from tests.helpers.certificates import make_odd_client
from tests.helpers.certs_command import Set
from tests.helpers.server import BIN


def states(ca: Set) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in json.loads(ca.ok("list", "-o", "json").out):
        found.setdefault(one["name"], []).append(one["state"])
    return found


def test_every_certificate_is_listed(ca: Set) -> None:
    """CAs, servers and clients, the oldest first, with what is needed to know and to revoke them."""
    found = json.loads(ca.ok("list", "-o", "json").out)
    assert [(one["name"], one["kind"], one["role"], one["state"]) for one in found] == [
        ("server-ca", "server CA", None, "valid"),
        ("client-ca", "client CA", None, "valid"),
        ("server", "server", None, "valid"),
        ("build8", "server", None, "valid"),
        ("alice", "client", "user", "valid"),
        ("olivia", "client", "admin", "valid"),
    ]
    certificate = ca.certificate("clients/alice/alice.crt")
    assert found[4]["serial"] == f"{certificate.serial_number:x}"
    assert datetime.fromisoformat(found[4]["not_before"]) == certificate.not_valid_before_utc
    assert datetime.fromisoformat(found[4]["not_after"]) == certificate.not_valid_after_utc
    table = ca.ok("list").out.splitlines()
    assert table[0].split() == ["NAME", "KIND", "ROLE", "SERIAL", "VALID", "UNTIL", "STATE"]
    assert table[5].split() == [
        "alice",
        "client",
        "user",
        found[4]["serial"][:12],
        f"{certificate.not_valid_after_utc:%Y-%m-%d}",
        "valid",
    ]


def test_states_are_what_they_are(ca: Set) -> None:
    """Soon to expire, revoked, and of a CA that is gone: each has its state."""
    ca.ok("client", "--user", "bob", "--role", "user", "--days", "20")
    ca.ok("revoke", "alice")
    found = states(ca)
    assert (found["bob"], found["alice"], found["olivia"]) == (["expires soon"], ["revoked"], ["valid"])
    ca.ok("renew", "client-ca")
    ca.ok("client", "--user", "carol", "--role", "user")
    assert states(ca)["client-ca"] == ["valid", "valid"]
    ca.ok("renew", "client-ca", "--finish", "--force")
    found = states(ca)
    assert (found["bob"], found["alice"], found["carol"]) == (["untrusted"], ["untrusted"], ["valid"])


def test_what_has_expired_is_listed_as_that(ca: Set) -> None:
    """A certificate whose time is over is expired."""
    gone = make_odd_client(ca.client_ca(), users=["gone"], ends_in=timedelta(seconds=-1))
    (ca.root / "issued" / f"{gone.certificate.serial_number:x}.crt").write_bytes(gone.certificate_pem)
    assert states(ca)["gone"] == ["expired"]


def test_a_damaged_index_is_said_to_be(ca: Set) -> None:
    """A file of the index that can't be read is named, rather than left out; other files don't matter."""
    (ca.root / "issued" / "README").write_text("about")
    ca.ok("list")
    path = next((ca.root / "issued").glob("*.crt"))
    path.write_bytes(b"")
    assert str(path) in ca.refused("list")


def test_the_set_is_the_one_that_a_server_would_use(ca: Set, tmp_path: Path) -> None:
    """Without --dir: JSCHED_CERTS, then the configuration file, then the default, then ./certs."""
    (tmp_path / "jsched.toml").write_text(f'certs_dir = "{ca.root}"\n')
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "certs").symlink_to(ca.root)
    base = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "JSCHED_SERVER_CONFIG": os.devnull}

    def listed(**env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [BIN / "jsched", "certs", "list"],
            cwd=tmp_path / env.pop("cwd", ""),
            env=base | env,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    assert "alice" in listed(JSCHED_CERTS=str(ca.root)).stdout
    assert "alice" in listed(JSCHED_SERVER_CONFIG=str(tmp_path / "jsched.toml")).stdout
    nowhere = listed(JSCHED_CERTS=str(tmp_path / "nowhere"))
    assert (nowhere.returncode, nowhere.stdout) == (1, "")
    assert f"{tmp_path}/nowhere holds no set of certificates" in nowhere.stderr
    assert "alice" in listed(JSCHED_CERTS=str(tmp_path / "nowhere"), cwd="here").stdout


def test_names_can_not_break_the_table(ca: Set) -> None:
    """Whatever stands in a certificate that somebody else made with the CA, one line stays one line."""
    odd = make_odd_client(make_ca("other"), users=["a\nb\x1b[2J"])
    (ca.root / "issued" / f"{odd.certificate.serial_number:x}.crt").write_bytes(odd.certificate_pem)
    lines = ca.ok("list").out.splitlines()
    assert len(lines) == 8
    assert all(line.isprintable() for line in lines)
