"""X.509 certificates as jsched uses them: CAs, server certificates, client certificates with a role."""

from __future__ import annotations

from jsched.certificates.issuing import (
    CA_LIFETIME,
    LEAF_LIFETIME,
    Extension,
    Issued,
    issue,
    leaf_extensions,
    make_ca,
    make_client,
    make_server,
    renew,
)
from jsched.certificates.keys import P256, Key, KeyType, make_key, parse_key_type
from jsched.certificates.names import (
    LOCAL_HOSTS,
    ROLE_OID,
    ROLE_PATTERN,
    USER_PATTERN,
    general_name,
    read_role,
    role_extension,
)

__all__ = [
    "CA_LIFETIME",
    "LEAF_LIFETIME",
    "LOCAL_HOSTS",
    "P256",
    "ROLE_OID",
    "ROLE_PATTERN",
    "USER_PATTERN",
    "Extension",
    "Issued",
    "Key",
    "KeyType",
    "general_name",
    "issue",
    "leaf_extensions",
    "make_ca",
    "make_client",
    "make_key",
    "make_server",
    "parse_key_type",
    "read_role",
    "renew",
    "role_extension",
]
