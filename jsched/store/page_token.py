"""Where a list goes on, as a token: it fits the list that gave it alone, and tells whoever holds it nothing.

A row's number would tell how many jobs there are, of users too whose jobs the caller may not see.
The construction is SIV, RFC 5297, with keyed BLAKE2 for both of its functions: the tag is made of
what is told, and what is told is hidden with a pad that is made of the tag.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from jsched.errors import InvalidArgument

_POSITION = 8
_TAG = 16


class PageTokens:
    """Makes and reads tokens with a secret of the database's."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def token(self, position: int, scope: bytes) -> str:
        """Return the token of a position in the list whose filter is `scope`."""
        plain = position.to_bytes(_POSITION, "big")
        tag = self._tag(plain, scope)
        return base64.urlsafe_b64encode(tag + self._hide(plain, tag)).decode()

    def position(self, token: str, scope: bytes) -> int:
        """Return the position that a token stands for; raises InvalidArgument if it was not given for this list."""
        try:
            content = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
        except (UnicodeEncodeError, binascii.Error):
            content = b""
        if len(content) == _TAG + _POSITION:
            tag = content[:_TAG]
            plain = self._hide(content[_TAG:], tag)
            if hmac.compare_digest(tag, self._tag(plain, scope)):
                return int.from_bytes(plain, "big")
        raise InvalidArgument(
            "page_token is not one that this list gave",
            obj="page_token",
            hint="pass next_page_token of the page before, with the same filters",
        )

    def _tag(self, plain: bytes, scope: bytes) -> bytes:
        return hashlib.blake2b(plain + scope, key=self._secret, person=b"page token tag", digest_size=_TAG).digest()

    def _hide(self, text: bytes, tag: bytes) -> bytes:
        """Return a position hidden, or a hidden one as it was."""
        pad = hashlib.blake2b(tag, key=self._secret, person=b"page token pad", digest_size=_POSITION).digest()
        return bytes(one ^ other for one, other in zip(text, pad, strict=True))
