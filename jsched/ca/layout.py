"""Where everything is in a set of certificates.

server-ca.crt .key    signs servers' certificates; clients trust it
client-ca.crt .key    signs clients' certificates; servers trust it
*-ca.old.key          the key of the CA before, while one takes over from the other
client-ca.crl         which clients' certificates were revoked
server.crt .key       what a server in this directory serves with
servers/NAME/         the same for a server elsewhere, and copies of client-ca.crt and .crl
clients/USER/         USER.crt .key .toml and a copy of server-ca.crt, to be handed over
issued/SERIAL.crt     every certificate that was issued, written before it was handed out
issued/SERIAL.revoked beside it once it was revoked, with the number of a list that says so

"""

from __future__ import annotations

from pathlib import Path

from jsched.certificates.names import USER_PATTERN, check_user
from jsched.errors import FailedPrecondition, InvalidArgument

SERVER_CA = "server-ca"
CLIENT_CA = "client-ca"
CAS = (SERVER_CA, CLIENT_CA)
SERVER = "server"
ISSUED = "issued"
SERVERS = "servers"
CLIENTS = "clients"

_RESERVED = (*CAS, SERVER)


def check_there(root: Path) -> None:
    """Raise FailedPrecondition unless there is a set in the directory."""
    for name in CAS:
        if not (root / f"{name}.crt").exists():
            raise FailedPrecondition(
                f"{root} holds no set of certificates: {name}.crt is not there",
                obj=str(root),
                hint=f"make one with jsched certs init --dir {root}, or give the directory of yours with --dir",
            )


def check_client_name(user: str) -> None:
    """Raise InvalidArgument for a user that no server would accept, or that can't have files of that name."""
    check_user(user)
    if user in (".", "..") or user in _RESERVED:
        raise InvalidArgument(
            f"user {user!r} would be confused with a file of the set", obj="user", hint="choose another name"
        )


def check_server_name(name: str) -> None:
    """Raise InvalidArgument for a name that a server's directory can't have."""
    if not USER_PATTERN.fullmatch(name) or name in (".", "..") or name in CAS:
        raise InvalidArgument(
            f"server name {name!r} is not 1 to 64 letters, digits, '.', '_', '@' or '-', or means something else",
            obj="name",
        )


def server_place(root: Path, name: str) -> Path:
    """Return the directory of a server's files."""
    return root if name == SERVER else root / SERVERS / name


def stem(is_server: bool, name: str) -> str:
    """Return what the names of a certificate's files begin with."""
    return SERVER if is_server else name


def client_place(root: Path, user: str) -> Path:
    """Return the directory of a client's files: its own, or the set's where development certificates are."""
    return root if (root / f"{user}.crt").exists() else root / CLIENTS / user
