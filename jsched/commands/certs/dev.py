"""Make certificates for development.

Two CAs (one that servers trust, one that clients trust), a certificate for the server, and
one with its client configuration for an admin and for a user. What is there and valid is
kept; nothing is ever overwritten. The other verbs of `jsched certs` work on such a set, too.
"""

from __future__ import annotations

import argparse
import os
import tomllib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from cryptography import x509

from jsched import certificate_files
from jsched.ca import writing
from jsched.ca.index import has_signed, record
from jsched.ca.leaves import DEFAULT_SERVER, client_config
from jsched.certificates import LOCAL_HOSTS, general_name, make_ca, make_client, make_server
from jsched.config import split_address
from jsched.errors import FailedPrecondition

EXAMPLES = """
jsched certs dev certs
jsched certs dev certs --host build7.example.com --server build7.example.com:50051
"""

# Each leaf and CA of the set, and the CA that signs it.
_SIGNED_BY = {
    "server-ca": "server-ca",
    "client-ca": "client-ca",
    "server": "server-ca",
    "admin": "client-ca",
    "user": "client-ca",
}
_ROLES = ("admin", "user")
_FILES = (
    *(f"{name}.{ending}" for name in _SIGNED_BY for ending in ("crt", "key")),
    *(f"{role}.toml" for role in _ROLES),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the directory and what goes into the server's certificate."""
    parser.add_argument("directory", metavar="DIR", type=Path, help="where to put them; made if it is not there")
    parser.add_argument(
        "--host",
        metavar="H",
        action="append",
        default=[],
        help=f"a further name or address of the server, besides {', '.join(LOCAL_HOSTS)}; may be repeated",
    )
    parser.add_argument(
        "--server",
        metavar="HOST:PORT",
        help=f"the server that admin.toml and user.toml name ({DEFAULT_SERVER})",
    )


def run(args: argparse.Namespace) -> int:
    """Make the set, or check the one that is there."""
    directory: Path = args.directory
    server: str = args.server or DEFAULT_SERVER
    hosts = [*args.host, split_address(server)[0]]
    for host in hosts:
        general_name(host)
    with writing.locked(directory, create=True):
        if any(os.path.lexists(directory / name) for name in _FILES):
            until = _check_set(directory, hosts, args.server)
            print(f"using the certificates in {directory}, valid until {until:%Y-%m-%d}")
        else:
            _make_set(directory, hosts, server)
            print(f"made development certificates in {directory}")
    return 0


def _make_set(directory: Path, hosts: Sequence[str], server: str) -> None:
    server_ca = make_ca("jsched development server CA")
    client_ca = make_ca("jsched development client CA")
    pairs = {"server-ca": server_ca, "client-ca": client_ca, "server": make_server(server_ca, hosts)}
    pairs |= {role: make_client(client_ca, role, role) for role in _ROLES}
    for name in ("server", *_ROLES):
        record(directory, pairs[name].certificate)
    files = {}
    for name, issued in pairs.items():
        files[f"{name}.crt"] = issued.certificate_pem
        files[f"{name}.key"] = issued.key_pem
    files |= {f"{role}.toml": client_config(server, role).encode() for role in _ROLES}
    writing.put(directory, files)


def _check_set(directory: Path, hosts: Sequence[str], server: str | None) -> datetime:
    """Return until when the whole set is valid; raise FailedPrecondition for what is wrong with it."""
    again = f"remove {directory}/*.crt {directory}/*.key {directory}/*.toml and run this again"
    if missing := [name for name in _FILES if not (directory / name).exists()]:
        raise FailedPrecondition(
            f"{directory} holds some of the certificates, but not {', '.join(missing)}", obj=str(directory), hint=again
        )
    try:
        certificates = {name: _check_pair(directory, name) for name in _SIGNED_BY}
        for name, signer in _SIGNED_BY.items():
            _check_signature(directory, name, certificates[name], signer)
        _check_hosts(directory / "server.crt", certificates["server"], hosts)
        for role in _ROLES:
            _check_client_config(directory / f"{role}.toml", server)
    except FailedPrecondition as error:
        raise FailedPrecondition(error.message, obj=error.obj, hint=error.hint or again) from None
    return min(certificate.not_valid_after_utc for certificate in certificates.values())


def _check_pair(directory: Path, name: str) -> x509.Certificate:
    path = directory / f"{name}.crt"
    certificate, _ = certificate_files.read_pair(path, directory / f"{name}.key")
    certificate_files.check_validity(certificate, path)
    return certificate


def _check_signature(directory: Path, name: str, certificate: x509.Certificate, signer: str) -> None:
    # Two of them while a new CA takes over from an old one.
    cas = certificate_files.read_certificates(directory / f"{signer}.crt")
    if not any(has_signed(ca, certificate) for ca in cas):
        raise FailedPrecondition(
            f"the certificate {directory / name}.crt was not signed by {signer}.crt", obj=f"{directory / name}.crt"
        )


def _check_hosts(path: Path, certificate: x509.Certificate, hosts: Sequence[str]) -> None:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise FailedPrecondition(f"the certificate {path} names no host", obj=str(path)) from None
    if other := [host for host in hosts if general_name(host) not in names]:
        raise FailedPrecondition(f"the certificate {path} is not for {', '.join(other)}", obj=str(path))


def _check_client_config(path: Path, server: str | None) -> None:
    try:
        config = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise FailedPrecondition(f"{path} can't be used: {error}", obj=str(path)) from None
    if server is not None and config.get("server") != server:
        raise FailedPrecondition(
            f"{path} names the server {config.get('server')!r}, not {server!r}",
            obj=str(path),
            hint=f'write server = "{server}" into it',
        )
