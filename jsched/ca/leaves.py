"""Certificates of servers and clients: issued, and renewed, with the files that they are handed over in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from jsched import certificate_files
from jsched.ca import authorities, layout, writing
from jsched.ca.index import Entry, Kind, entries, entry_of, record
from jsched.ca.predecessor import predecessor
from jsched.certificates import KeyType, make_client, make_key, make_server, renew
from jsched.certificates.issuing import SERVER_NAME, to_pem
from jsched.certificates.keys import key_pem, public_bytes, type_of
from jsched.errors import AlreadyExists, FailedPrecondition

DEFAULT_PORT = 50051
DEFAULT_SERVER = f"127.0.0.1:{DEFAULT_PORT}"
_FOR_A_SERVER = (certificate_files.CLIENT_CA, certificate_files.CLIENT_CRL)
_FOR_A_CLIENT = (f"{layout.SERVER_CA}.crt",)


@dataclass(frozen=True, slots=True)
class HandedOut:
    """A new certificate, the directory where it is, and the files that were written there."""

    certificate: x509.Certificate
    place: Path
    files: tuple[str, ...]


def issue_server(
    root: Path, hosts: Sequence[str], *, name: str, key_type: KeyType, days: int | None, out: Path | None
) -> HandedOut:
    """Issue a server's certificate in a set that is locked, and write all that the server reads.

    Raises AlreadyExists if there is one, InvalidArgument for a host or name that is none.
    """
    layout.check_server_name(name)
    place = out or layout.server_place(root, name)
    crt, key = certificate_files.SERVER_CERTIFICATE, certificate_files.SERVER_KEY
    writing.check_free(
        place,
        (crt, key),
        hint=f"for the same hosts: jsched certs renew {name}; for another server give --name; "
        "for other hosts move these files away first",
    )
    _check_kind(root, name, Kind.SERVER)
    ca = authorities.load(root, layout.SERVER_CA).current
    issued = make_server(
        ca,
        hosts,
        name=SERVER_NAME if name == layout.SERVER else name,
        key_type=key_type,
        lifetime=authorities.lifetime_within(ca, days),
    )
    files = {key: issued.key_pem, crt: issued.certificate_pem}
    return _hand_out(root, place, issued.certificate, files, _FOR_A_SERVER)


def issue_client(
    root: Path, user: str, role: str, *, server: str | None, key_type: KeyType, days: int | None, out: Path | None
) -> HandedOut:
    """Issue a client's certificate in a set that is locked, and write it with a configuration for `jsched-cli`.

    Raises AlreadyExists if there is one, InvalidArgument for a user or role that no server
    would accept.
    """
    layout.check_client_name(user)
    place = out or layout.client_place(root, user)
    names = tuple(f"{user}.{ending}" for ending in ("key", "crt", "toml"))
    writing.check_free(
        place,
        names,
        hint=f"the same again: jsched certs renew {user}; a second one for this user: --out DIR; "
        "for another role, revoke it and remove these files first",
    )
    _check_kind(root, user, Kind.CLIENT)
    ca = authorities.load(root, layout.CLIENT_CA).current
    lifetime = authorities.lifetime_within(ca, days)
    issued = make_client(ca, user, role, key_type=key_type, lifetime=lifetime)
    toml = client_config(server or default_server(root), user).encode()
    files = dict(zip(names, (issued.key_pem, issued.certificate_pem, toml), strict=True))
    return _hand_out(root, place, issued.certificate, files, _FOR_A_CLIENT)


def renew_leaf(
    root: Path, what: str, *, keep_key: bool, key_type: KeyType | None, days: int | None, out: Path | None
) -> tuple[HandedOut, Entry]:
    """Issue a certificate that says the same as the one that lies in its place, and put it there; return both.

    `what` is a name or a serial number; the old one stays valid. Raises NotFound if there is none,
    FailedPrecondition if all were revoked, it is not settled which, or the key that is there is another.
    """
    old, place = predecessor(root, what, out=out, keep_key=keep_key)
    is_server = old.kind is Kind.SERVER
    ca = authorities.load(root, layout.SERVER_CA if is_server else layout.CLIENT_CA).current
    stem = layout.stem(is_server, old.name)
    public_key = old.certificate.public_key()
    assert isinstance(public_key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey)
    files = {}
    if keep_key:
        _check_key(place / f"{stem}.key", old)
    else:
        key = make_key(key_type or type_of(public_key))
        public_key = key.public_key()
        # Before the certificate, so that a certificate that is there always has its key on its way.
        files[f"{stem}.key"] = key_pem(key)
    certificate = renew(ca, old.certificate, public_key, lifetime=authorities.lifetime_within(ca, days))
    files[f"{stem}.crt"] = to_pem(certificate)
    if not is_server and not (place / f"{stem}.toml").exists():
        files[f"{stem}.toml"] = client_config(default_server(root), old.name).encode()
    copies = _FOR_A_SERVER if is_server else _FOR_A_CLIENT
    return _hand_out(root, place, certificate, files, copies, replace=True), old


def refresh_copies(root: Path) -> list[Path]:
    """Write the set's CAs and revocation list of now into the directories that are handed over; return those."""
    refreshed = []
    for directory, names in ((layout.SERVERS, _FOR_A_SERVER), (layout.CLIENTS, _FOR_A_CLIENT)):
        for place in sorted((root / directory).glob("*/")):
            changed = {
                name: content for name, content in _copies(root, names).items() if _differs(place / name, content)
            }
            if changed:
                writing.put_at(root, place, changed, replace=True)
                refreshed.append(place)
    return refreshed


def client_config(server: str, user: str) -> str:
    """Return a configuration for `jsched-cli` that stands beside the files that it names."""
    values = {"server": server, "ca": f"{layout.SERVER_CA}.crt", "cert": f"{user}.crt", "key": f"{user}.key"}
    # A JSON string of ASCII is a TOML basic string, too.
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())


def default_server(root: Path) -> str:
    """Return the address of the set's own server, by the first host in its certificate that is not this machine."""
    path = root / certificate_files.SERVER_CERTIFICATE
    if not path.exists():
        return DEFAULT_SERVER
    hosts = entry_of(certificate_files.read_certificates(path)[0]).hosts
    host = hosts[0] if hosts else "127.0.0.1"
    return f"[{host}]:{DEFAULT_PORT}" if ":" in host else f"{host}:{DEFAULT_PORT}"


def _hand_out(
    root: Path,
    place: Path,
    certificate: x509.Certificate,
    files: dict[str, bytes],
    copies: tuple[str, ...],
    *,
    replace: bool = False,
) -> HandedOut:
    record(root, certificate)
    writing.put_at(root, place, files, replace=replace)
    changed = {name: one for name, one in _copies(root, copies).items() if _differs(place / name, one)}
    if changed:
        writing.put_at(root, place, changed, replace=True)
    return HandedOut(certificate, place, (*files, *changed))


def _copies(root: Path, names: Sequence[str]) -> dict[str, bytes]:
    return {name: (root / name).read_bytes() for name in names if (root / name).exists()}


def _differs(path: Path, content: bytes) -> bool:
    return not path.exists() or path.read_bytes() != content


def _check_kind(root: Path, name: str, kind: Kind) -> None:
    if any(entry.name == name and entry.kind is not kind for entry in entries(root)):
        raise AlreadyExists(f"{name} is the name of a certificate of another kind in this set", obj=name)


def _check_key(path: Path, old: Entry) -> None:
    if path.exists() and public_bytes(certificate_files.read_key(path).public_key()) != public_bytes(
        old.certificate.public_key()
    ):
        raise FailedPrecondition(
            f"{path} is not the key of certificate {old.serial}, so it can't be kept",
            obj=str(path),
            hint="renew without --keep-key",
        )
