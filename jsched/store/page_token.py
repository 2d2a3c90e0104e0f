"""Where a list goes on, as a token: it fits the list that gave it alone, and tells whoever holds it nothing.

A row's number would tell how many jobs there are, of users too whose jobs the caller may not see.
AES-SIV, RFC 5297: encrypted and authenticated, and no nonce to be used twice.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from jsched.errors import InvalidArgument

_POSITION = 8
_KEY = 64
_PURPOSE = b"page token"


class PageTokens:
    """Makes and reads tokens with a secret of the database's."""

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESSIV(hashlib.blake2b(key=secret, person=_PURPOSE, digest_size=_KEY).digest())

    def token(self, position: int, scope: bytes) -> str:
        """Return the token of a position in the list whose filter is `scope`."""
        return base64.urlsafe_b64encode(self._cipher.encrypt(position.to_bytes(_POSITION, "big"), [scope])).decode()

    def position(self, token: str, scope: bytes) -> int:
        """Return the position that a token stands for; raises InvalidArgument if it was not given for this list."""
        try:
            content = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
            return int.from_bytes(self._cipher.decrypt(content, [scope]), "big")
        except (UnicodeEncodeError, binascii.Error, InvalidTag, ValueError):
            raise InvalidArgument(
                "page_token is not one that this list gave",
                obj="page_token",
                hint="pass next_page_token of the page before, with the same filters",
            ) from None
