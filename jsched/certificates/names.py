"""What stands in a certificate's names: user, role, hosts.

The role of a client stands in an extension of its own, `ROLE_OID`, whose value is one DER
UTF8String, and in the organizational unit, too. The extension must not be critical: gRPC's
TLS library refuses a handshake with a critical extension that it does not know (RFC 5280,
section 4.2).
"""

from __future__ import annotations

import ipaddress
import re

from cryptography import x509
from cryptography.x509.oid import NameOID

from jsched.errors import InvalidArgument

# The arc 2.25 needs no registration: below it stands a UUID as a number (ITU-T X.667), here
# 78763ddf-ce1c-46fd-88ef-b8bf98e04da4, made once for jsched. cryptography 50 and OpenSSL 3.0
# both read and write an arc of 128 bits (OpenSSL's -addext too; a test holds that).
ROLE_OID = x509.ObjectIdentifier("2.25.160121305482151175030160243682632027556")

USER_PATTERN = re.compile(r"[A-Za-z0-9._@-]{1,64}")
ROLE_PATTERN = re.compile(r"[a-z][a-z0-9_-]{0,31}")

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")

_UTF8_STRING = 0x0C
_HOST = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*")


def subject(common_name: str, unit: str | None = None) -> x509.Name:
    """Return a subject with a common name and, if one is given, an organizational unit before it."""
    units = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit)] if unit is not None else []
    return x509.Name([*units, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def common_name(name: x509.Name) -> str:
    """Return a subject's last common name, "" if it has none."""
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[-1].value) if found else ""


def check_user(user: str) -> None:
    """Raise InvalidArgument for a user that no server would accept."""
    if not USER_PATTERN.fullmatch(user):
        raise InvalidArgument(f"user {user!r} is not 1 to 64 letters, digits, '.', '_', '@' or '-'", obj="user")


def check_role(role: str) -> None:
    """Raise InvalidArgument for a role that no server would accept."""
    if not ROLE_PATTERN.fullmatch(role):
        raise InvalidArgument(
            f"role {role!r} is not 1 to 32 lower-case letters, digits, '_' or '-', beginning with a letter", obj="role"
        )


def role_extension(role: str) -> x509.UnrecognizedExtension:
    """Return the extension that holds a role: a DER UTF8String of at most 127 bytes (X.690, 8.1.3.4)."""
    text = role.encode()
    if len(text) > 127:
        raise InvalidArgument(f"role is {len(text)} bytes long, more than 127", obj="role")
    return x509.UnrecognizedExtension(ROLE_OID, bytes((_UTF8_STRING, len(text))) + text)


def read_role(value: bytes) -> str:
    """Return the role that an extension's value holds.

    Raises ValueError, saying what is wrong, unless it is exactly one DER UTF8String with a
    short-form length that holds a role.
    """
    if len(value) < 2 or value[0] != _UTF8_STRING:
        raise ValueError("the role is not a UTF8String")
    if value[1] != len(value) - 2 or value[1] > 127:
        raise ValueError("the role's length is not the short form of all its bytes")
    try:
        role = value[2:].decode()
    except UnicodeDecodeError:
        raise ValueError("the role is not UTF-8") from None
    if not ROLE_PATTERN.fullmatch(role):
        raise ValueError(f"the role {role!r} has characters or a length that no role has")
    return role


def general_name(host: str) -> x509.GeneralName:
    """Return a subject alternative name for a DNS name or an IP address; raises InvalidArgument."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
            raise InvalidArgument(
                f"host {host!r} has a scope, which a certificate can't say",
                obj="host",
                hint="give the address without what begins with '%'",
            )
        return x509.IPAddress(address)
    if len(host) > 253 or not _HOST.fullmatch(host) or host.rpartition(".")[2].isdigit():
        # The last label of a name is no number, so that 10.1.2 or 256.1.1.1 are addresses with a slip (RFC 1123, 2.1).
        raise InvalidArgument(f"{host!r} is neither a host name nor an IP address", obj="host")
    return x509.DNSName(host)
